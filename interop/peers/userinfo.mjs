// npm oidc-provider's userinfo endpoint as a resource server: an opaque token bound to a proof key, made
// in the server itself, since a machine has no log-in page to click through.

import { createServer } from 'node:http';
import { once } from 'node:events';
import Provider from 'oidc-provider';

/** Starts it; `token(jkt)` gives a token that is bound to that key. */
export async function startUserinfo({ port }) {
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      {
        client_id: 'reader',
        client_secret: 'not-used',
        redirect_uris: ['https://client.example/callback'],
        dpop_bound_access_tokens: true,
      },
    ],
    findAccount: async (_, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
    features: { dPoP: { enabled: true }, userinfo: { enabled: true }, devInteractions: { enabled: false } },
  });
  const server = createServer(provider.callback());
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${port}/me`,
    async token(jkt) {
      const client = await provider.Client.find('reader');
      const grant = new provider.Grant({ accountId: 'somebody', clientId: 'reader' });
      grant.addOIDCScope('openid');
      const token = new provider.AccessToken({
        accountId: 'somebody',
        client,
        grantId: await grant.save(),
        gty: 'authorization_code',
        scope: 'openid',
      });
      token.setThumbprint('jkt', jkt);
      return token.save();
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
