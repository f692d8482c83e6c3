// Opaque, DPoP-bound tokens of npm oidc-provider at our gateway, which asks the issuer about each: with
// JSON answers and with signed ones. Then what an endpoint can do wrong.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as jose from 'jose';
import { eventually, freePortBase, startServer, temporaryDirectory } from '../lib/keybound.mjs';
import { AGENT, GATEWAY, startOpaquePeer } from '../lib/opaque-peer.mjs';
import { call, challengeError, newKey, proof } from '../lib/proof.mjs';
import { startUpstream } from '../lib/upstream.mjs';

const SECRET = 'opaque gateway secret: 1/2+3';

for (const answers of ['json', 'signed']) {
  describe(`opaque tokens of oidc-provider, ${answers} answers`, () => {
    let directory;
    let upstream;
    let gateway;
    let server;
    let peer;
    let agent;

    before(async () => {
      directory = await temporaryDirectory();
      const base = await freePortBase(3);
      gateway = `http://127.0.0.1:${base}`;
      upstream = await startUpstream();
      agent = await newKey();
      const agentJwks = { keys: [{ ...agent.jwk, alg: 'ES256', use: 'sig' }] };
      const resource = `${gateway}/`;
      peer = await startOpaquePeer({ port: base + 2, agentJwks, resource, gatewaySecret: SECRET });
      server = await startGateway(base + 1);
    });
    after(async () => {
      await server?.stop();
      await peer?.stop();
      await upstream?.stop();
      if (directory) await rm(directory, { recursive: true, force: true });
    });

    async function startGateway(managementPort) {
      const secret = path.join(directory, 'introspection.secret');
      await writeFile(secret, SECRET, { mode: 0o600 });
      const config = path.join(directory, 'keybound.toml');
      const clientId = answers === 'signed' ? `${GATEWAY}-signed` : GATEWAY;
      await writeFile(
        config,
        `[gateway]
url = "${gateway}"
listen = "${new URL(gateway).host}"
state_dir = "${path.join(directory, 'state')}"
[[gateway.issuer]]
url = "${peer.issuer}"
algorithms = ["RS256"]
may_lack = ["sub"]
[gateway.issuer.introspection]
client_id = "${clientId}"
client_secret_file = "${secret}"
answers = "${answers}"
cache_ttl = "2s"
[[gateway.route]]
path = "/approvals"
upstream = "${upstream.origin}"
enforcement = "require"
scopes = { GET = ["approvals:read"] }
[management]
listen = "127.0.0.1:${managementPort}"
`,
      );
      // Ready means that the endpoint was asked and answered.
      return startServer(['serve', '--config', config], managementPort);
    }

    async function tokenRequest(endpoint, form, headers = {}) {
      const assertion = await new jose.SignJWT({ jti: randomUUID() })
        .setProtectedHeader({ alg: 'ES256' })
        .setIssuer(AGENT)
        .setSubject(AGENT)
        .setAudience(peer.issuer)
        .setIssuedAt()
        .setExpirationTime('60s')
        .sign(agent.privateKey);
      return fetch(endpoint, {
        method: 'POST',
        headers,
        body: new URLSearchParams({
          client_id: AGENT,
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: assertion,
          ...form,
        }),
      });
    }

    async function token({ bound = true } = {}) {
      const endpoint = `${peer.issuer}/token`;
      const headers = bound ? { dpop: await proof(agent, 'POST', endpoint) } : {};
      const form = { grant_type: 'client_credentials', scope: 'approvals:read' };
      const response = await tokenRequest(endpoint, form, headers);
      const answer = await response.json();
      assert.equal(response.status, 200, JSON.stringify(answer));
      assert.equal(answer.token_type, bound ? 'DPoP' : 'Bearer');
      assert.doesNotMatch(answer.access_token, /\./, 'the token is opaque');
      return answer.access_token;
    }

    async function present(text, key = agent) {
      const url = `${gateway}/approvals`;
      const dpop = await proof(key, 'GET', url, { token: text });
      return call(url, { authorization: `DPoP ${text}`, dpop });
    }

    test('refused: made-up tokens, unbound tokens, another key, no proof', async () => {
      const served = upstream.requests.length;
      const madeUp = await present('not-a-token-of-anybody');
      assert.equal(madeUp.status, 401);
      assert.equal(challengeError(madeUp), 'invalid_token');

      const unbound = await present(await token({ bound: false }));
      assert.equal(unbound.status, 401);

      const bound = await token();
      const stolen = await present(bound, await newKey());
      assert.equal(stolen.status, 401);
      assert.equal(challengeError(stolen), 'invalid_token');
      const bearer = await call(`${gateway}/approvals`, { authorization: `Bearer ${bound}` });
      assert.equal(bearer.status, 401);
      assert.equal(upstream.requests.length, served, 'nothing of this reached the upstream');
    });

    test('served, and asked about once', async () => {
      const bound = await token();
      const before = peer.seen.questions;
      for (let time = 0; time < 5; time += 1) {
        const answer = await present(bound);
        assert.equal(answer.status, 200, await answer.text());
      }
      assert.ok(peer.seen.questions - before <= 2, 'an answer serves for two seconds');
      const { headers } = upstream.requests.at(-1);
      const [, claims] = headers['keybound-assertion'].split('.');
      const identity = JSON.parse(Buffer.from(claims, 'base64url'));
      assert.equal(identity.client_id, AGENT);
      assert.equal(identity.token_issuer, peer.issuer);
      assert.equal(identity.cnf.jkt, agent.jkt);
      assert.notEqual(identity.token_id, bound, 'the handle is not the token');
    });

    test('a revocation at the issuer counts when the answer is old', async () => {
      const bound = await token();
      assert.equal((await present(bound)).status, 200);
      const revoked = await tokenRequest(`${peer.issuer}/token/revocation`, { token: bound });
      assert.equal(revoked.status, 200);
      await eventually(async () => assert.equal((await present(bound)).status, 401));
    });

    test('an endpoint that answers badly permits nothing, and is used again when it does not', async () => {
      const page = (context) => {
        context.type = 'text/html';
        context.body = '<html>active</html>';
      };
      const plain = (context) => {
        context.type = 'application/json';
        context.body = { active: 'true' };
      };
      const fails = (context) => {
        context.status = 500;
      };
      const redirects = (context) => {
        context.redirect(`${peer.issuer}/elsewhere`);
      };
      const huge = (context) => {
        context.type = 'application/json';
        context.body = JSON.stringify({ active: true, x: 'x'.repeat(70_000) });
      };
      const bound = await token();
      for (const fail of [page, plain, fails, redirects, huge]) {
        peer.seen.fail = fail;
        const refused = await present(bound);
        assert.equal(refused.status, 503, fail.name);
        assert.ok(refused.headers.get('retry-after'));
      }
      peer.seen.fail = undefined;
      assert.equal((await present(bound)).status, 200);
    });
  });
}
