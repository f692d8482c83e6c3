// npm oidc-provider as the peer of our issuer in `cargo xtask bench`: `client_credentials` with
// `private_key_jwt` and DPoP, tokens as JWTs for one resource, everything kept in memory, as it comes.
//
// Usage: node oidc-provider.mjs JWKS ALGORITHM RESOURCE. Prints its address, then serves until it is ended.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

const [jwksFile, algorithm, resource] = process.argv.slice(2);
// Standard output is for the address.
console.info = console.error;

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const address = `127.0.0.1:${server.address().port}`;

const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
const signingKey = { ...(await exportJWK(privateKey)), alg: algorithm, use: 'sig', kid: 'peer-1' };
const provider = new Provider(`http://${address}`, {
  jwks: { keys: [signingKey] },
  clients: [
    {
      client_id: 'bench',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: algorithm,
      id_token_signed_response_alg: algorithm,
      dpop_bound_access_tokens: true,
      jwks: JSON.parse(await readFile(jwksFile, 'utf8')),
    },
  ],
  clientAuthMethods: ['private_key_jwt'],
  enabledJWA: {
    clientAuthSigningAlgValues: [algorithm],
    dPoPSigningAlgValues: [algorithm],
    idTokenSigningAlgValues: [algorithm],
  },
  scopes: ['approvals:read'],
  ttl: { ClientCredentials: 300 },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      getResourceServerInfo: () => ({
        scope: 'approvals:read',
        audience: resource,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: algorithm } },
      }),
    },
  },
});
server.on('request', provider.callback());
process.stdout.write(`${address}\n`);
