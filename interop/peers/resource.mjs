// An API of a dozen lines on oauth4webapi: the library checks the token and its proof.

import { createServer } from 'node:http';
import { once } from 'node:events';
import * as oauth from 'oauth4webapi';

/** Starts it; `requireDPoP` as the library has it. */
export async function startResource({ issuer, jwksUri, audience, requireDPoP }) {
  const as = { issuer, jwks_uri: jwksUri };
  const server = createServer(async (incoming, response) => {
    const origin = `http://127.0.0.1:${server.address().port}`;
    const headers = new Headers();
    for (const [name, values] of Object.entries(incoming.headersDistinct)) {
      for (const value of values) headers.append(name, value);
    }
    incoming.resume();
    try {
      const request = new Request(new URL(incoming.url, origin), { method: incoming.method, headers });
      await oauth.validateJwtAccessToken(as, request, audience, {
        requireDPoP,
        signingAlgorithms: ['ES256', 'EdDSA'],
        [oauth.allowInsecureRequests]: true,
      });
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end('{"ok":true}');
    } catch {
      response.writeHead(401, { 'www-authenticate': 'DPoP error="invalid_token"' });
      response.end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/things`,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
