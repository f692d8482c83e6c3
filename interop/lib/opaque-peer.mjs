// npm oidc-provider as an issuer of opaque tokens: DPoP-bound, asked about by introspection, with answers
// as JSON or signed (RFC 9701).

import { once } from 'node:events';
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

export const AGENT = 'opaque-agent';
export const GATEWAY = 'gateway-1';

/** Starts the issuer; `questions` counts what reached its introspection endpoint. */
export async function startOpaquePeer({ port, agentJwks, resource, gatewaySecret }) {
  const issuer = `http://127.0.0.1:${port}`;
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const signingKey = { ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig', kid: 'peer-1' };
  const silent = { grant_types: [], response_types: [], redirect_uris: [] };
  const basic = { token_endpoint_auth_method: 'client_secret_basic', client_secret: gatewaySecret };
  const provider = new Provider(issuer, {
    jwks: { keys: [signingKey] },
    clients: [
      {
        ...silent,
        client_id: AGENT,
        grant_types: ['client_credentials'],
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        jwks: agentJwks,
      },
      { ...silent, ...basic, client_id: GATEWAY },
      { ...silent, ...basic, client_id: `${GATEWAY}-signed`, introspection_signed_response_alg: 'RS256' },
    ],
    clientAuthMethods: ['private_key_jwt', 'client_secret_basic'],
    enabledJWA: {
      clientAuthSigningAlgValues: ['ES256'],
      dPoPSigningAlgValues: ['ES256', 'EdDSA'],
      introspectionSigningAlgValues: ['RS256'],
    },
    scopes: ['approvals:read'],
    ttl: { ClientCredentials: 300 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      jwtIntrospection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        getResourceServerInfo: () => ({
          scope: 'approvals:read', audience: resource, accessTokenFormat: 'opaque',
        }),
      },
    },
  });
  const seen = { questions: 0, fail: undefined };
  provider.use(async (context, next) => {
    if (context.path !== '/token/introspection') return next();
    seen.questions += 1;
    if (seen.fail) {
      seen.fail(context);
      return undefined;
    }
    return next();
  });
  const server = createServer(provider.callback());
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    issuer,
    seen,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
