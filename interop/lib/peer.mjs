// npm oidc-provider as the authorization server that our holder has to get along with: DPoP with a
// required nonce, `client_credentials`, `private_key_jwt`, tokens as JWTs for one resource.

import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

export const CLIENT_ID = 'keybound-holder';

/**
 * Starts the peer for one client.
 *
 * `clientJwks` holds the client's public keys. `seen` counts token requests and nonce challenges.
 */
export async function startPeer({ port, clientJwks, resource, bindTokens = true }) {
  const issuer = `http://127.0.0.1:${port}`;
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const signingKey = { ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig', kid: 'peer-1' };
  const provider = new Provider(issuer, {
    jwks: { keys: [signingKey] },
    clients: [
      {
        client_id: CLIENT_ID,
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        dpop_bound_access_tokens: bindTokens,
        jwks: clientJwks,
      },
    ],
    clientAuthMethods: ['private_key_jwt'],
    enabledJWA: { clientAuthSigningAlgValues: ['ES256'], dPoPSigningAlgValues: ['ES256', 'EdDSA'] },
    scopes: ['approvals:read'],
    ttl: { ClientCredentials: 300 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: {
        enabled: bindTokens,
        nonceSecret: randomBytes(32),
        requireNonce: () => true,
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        getResourceServerInfo: () => ({
          scope: 'approvals:read',
          audience: resource,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  const seen = { tokenRequests: 0, nonceChallenges: 0, proofs: [] };
  provider.use(async (context, next) => {
    await next();
    if (context.path !== '/token') return;
    seen.tokenRequests += 1;
    seen.proofs.push(context.get('DPoP'));
    if (context.body?.error === 'use_dpop_nonce') seen.nonceChallenges += 1;
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
