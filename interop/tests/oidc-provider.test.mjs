// npm oidc-provider, a certified authorization server that demands DPoP nonces, with our holder as its
// client and our gateway as the resource server for its tokens. The route demands nonces too.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import { freePortBase, keybound, startServer, temporaryDirectory } from '../lib/keybound.mjs';
import { CLIENT_ID, startPeer } from '../lib/peer.mjs';
import { call, challengeError, newKey, proof } from '../lib/proof.mjs';
import { startUpstream } from '../lib/upstream.mjs';

describe('our holder and our gateway with oidc-provider', () => {
  let directory;
  let upstream;
  let gateway;
  let server;
  let peer;
  let careless;
  let profile;
  let jkt;

  before(async () => {
    directory = await temporaryDirectory();
    const base = await freePortBase(4);
    gateway = `http://127.0.0.1:${base}`;
    upstream = await startUpstream();
    const key = path.join(directory, 'holder.pem');
    const made = await keybound(['key', 'new', '--out', key, '--json']);
    assert.equal(made.code, 0, made.stderr);
    jkt = JSON.parse(made.stdout).jkt;
    const shown = await keybound(['key', 'show', key, '--jwks']);
    const clientJwks = JSON.parse(shown.stdout);
    const resource = `${gateway}/`;
    peer = await startPeer({ port: base + 2, clientJwks, resource });
    careless = await startPeer({ port: base + 3, clientJwks, resource, bindTokens: false });
    profile = await writeProfile('profile.toml', peer.issuer);
    server = await startGateway(base + 1);
  });
  after(async () => {
    await server?.stop();
    await peer?.stop();
    await careless?.stop();
    await upstream?.stop();
    if (directory) await rm(directory, { recursive: true, force: true });
  });

  async function writeProfile(name, issuer) {
    const file = path.join(directory, name);
    const lines = [
      `issuer = "${issuer}"`,
      `client_id = "${CLIENT_ID}"`,
      'key = "file:holder.pem"',
      `resource = "${gateway}/"`,
      'scope = "approvals:read"',
    ];
    await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 });
    return file;
  }

  async function startGateway(managementPort) {
    const secret = path.join(directory, 'nonce.key');
    await writeFile(secret, randomBytes(32).toString('base64url'), { mode: 0o600 });
    const config = path.join(directory, 'keybound.toml');
    await writeFile(
      config,
      `[gateway]
url = "${gateway}"
listen = "${new URL(gateway).host}"
nonce_secret_file = "${secret}"
state_dir = "${path.join(directory, 'state')}"
[[gateway.issuer]]
url = "${peer.issuer}"
algorithms = ["RS256"]
[[gateway.route]]
path = "/approvals"
upstream = "${upstream.origin}"
enforcement = "require"
nonce = true
scopes = { GET = ["approvals:read"] }
[management]
listen = "127.0.0.1:${managementPort}"
`,
    );
    return startServer(['serve', '--config', config], managementPort);
  }

  async function rawToken() {
    const got = await keybound(['token', 'get', '--profile', profile, '--raw']);
    assert.equal(got.code, 0, got.stderr);
    return got.stdout.trim();
  }

  test('refused: an authorization server that answers with a bearer token', async () => {
    const file = await writeProfile('careless.toml', careless.issuer);
    const got = await keybound(['token', 'get', '--profile', file, '--raw']);
    assert.notEqual(got.code, 0);
    assert.ok(careless.seen.tokenRequests > 0, 'the server did answer');
    assert.equal(got.stdout, '', 'an unbound token is not handed out');
    assert.match(got.stderr, /bound|Bearer|DPoP/i);
  });

  test('the holder answers the nonce challenge with a fresh proof, once', async () => {
    const before = { ...peer.seen };
    const token = await rawToken();
    assert.equal(peer.seen.nonceChallenges - before.nonceChallenges, 1);
    assert.equal(peer.seen.tokenRequests - before.tokenRequests, 2);
    assert.equal(new Set(peer.seen.proofs).size, peer.seen.proofs.length, 'no proof was sent twice');

    const keys = jose.createRemoteJWKSet(new URL(`${peer.issuer}/jwks`));
    const { payload } = await jose.jwtVerify(token, keys, {
      issuer: peer.issuer,
      audience: `${gateway}/`,
      typ: 'at+jwt',
    });
    assert.equal(payload.cnf.jkt, jkt, 'bound to the key of the profile');
  });

  test('one command calls the API; the upstream sees the caller and no credentials', async () => {
    const url = `${gateway}/approvals?state=open`;
    const answer = await keybound(['request', '--profile', profile, 'GET', url]);
    assert.equal(answer.code, 0, answer.stderr);
    assert.match(answer.stdout, /GET \/approvals\?state=open/);
    const { headers } = upstream.requests.at(-1);
    assert.equal(headers.authorization, undefined);
    assert.equal(headers.dpop, undefined);

    const assertion = headers['keybound-assertion'];
    const keys = jose.createRemoteJWKSet(new URL(`${gateway}/.well-known/keybound-jwks`));
    const rules = { issuer: gateway, audience: upstream.origin, typ: 'keybound-assertion+jwt' };
    const elsewhere = { ...rules, audience: 'http://127.0.0.1:1' };
    await assert.rejects(jose.jwtVerify(assertion, keys, elsewhere), jose.errors.JOSEError);
    const { payload } = await jose.jwtVerify(assertion, keys, rules);
    assert.equal(payload.client_id, CLIENT_ID);
    assert.equal(payload.token_issuer, peer.issuer);
    assert.equal(payload.cnf.jkt, jkt);
    assert.ok(payload.exp - payload.iat <= 60);
  });

  test('identity that a client claims does not reach the upstream', async () => {
    const answer = await keybound([
      'request', '--profile', profile, 'GET', `${gateway}/approvals`, 'Keybound-Assertion:forged',
      'Keybound-Subject:root',
    ]);
    assert.equal(answer.code, 0, answer.stderr);
    const { headers } = upstream.requests.at(-1);
    assert.notEqual(headers['keybound-assertion'], 'forged');
    assert.equal(headers['keybound-subject'], undefined);
  });

  test('refused at the gateway: Bearer, no nonce, another key, a made-up nonce', async () => {
    const token = await rawToken();
    const served = upstream.requests.length;
    const url = `${gateway}/approvals`;
    const authorization = `DPoP ${token}`;

    const bearer = await call(url, { authorization: `Bearer ${token}` });
    assert.equal(bearer.status, 401);
    assert.equal(challengeError(bearer), 'invalid_token');

    const stranger = await newKey();
    const challenged = await call(url, {
      authorization,
      dpop: await proof(stranger, 'GET', url, { token }),
    });
    assert.equal(challenged.status, 401);
    assert.equal(challengeError(challenged), 'use_dpop_nonce');
    const nonce = challenged.headers.get('dpop-nonce');
    assert.ok(nonce);

    const wrongKey = await call(url, {
      authorization,
      dpop: await proof(stranger, 'GET', url, { token, nonce }),
    });
    assert.equal(wrongKey.status, 401);
    assert.equal(challengeError(wrongKey), 'invalid_token');

    const invented = await call(url, {
      authorization,
      dpop: await proof(stranger, 'GET', url, { token, nonce: 'x'.repeat(nonce.length) }),
    });
    assert.equal(challengeError(invented), 'use_dpop_nonce');
    assert.equal(upstream.requests.length, served, 'nothing of this reached the upstream');
  });

  test('a nonce of the authorization server is unknown to the gateway', async () => {
    const token = await rawToken();
    const key = await newKey();
    const endpoint = `${peer.issuer}/token`;
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { dpop: await proof(key, 'POST', endpoint) },
      body: new URLSearchParams({ grant_type: 'client_credentials', client_id: CLIENT_ID }),
    });
    const foreign = response.headers.get('dpop-nonce');
    await response.arrayBuffer();
    const url = `${gateway}/approvals`;
    const answer = await call(url, {
      authorization: `DPoP ${token}`,
      dpop: await proof(key, 'GET', url, { token, nonce: foreign ?? randomBytes(24).toString('base64url') }),
    });
    assert.equal(challengeError(answer), 'use_dpop_nonce');
  });

  test('oauth4webapi answers the gateway\'s nonce challenge', async () => {
    const loopback = { [oauth.allowInsecureRequests]: true };
    const pem = path.join(directory, 'holder.pem');
    const { readFile } = await import('node:fs/promises');
    const text = await readFile(pem, 'utf8');
    const privateKey = await jose.importPKCS8(text, 'ES256', { extractable: true });
    const jwk = await jose.exportJWK(privateKey);
    delete jwk.d;
    const publicKey = await jose.importJWK({ ...jwk, ext: true }, 'ES256');
    const DPoP = oauth.DPoP({ client_id: CLIENT_ID }, { privateKey, publicKey });
    const token = await rawToken();
    const url = new URL('/approvals', gateway);
    const ask = () =>
      oauth.protectedResourceRequest(token, 'GET', url, undefined, undefined, { DPoP, ...loopback });
    await assert.rejects(ask(), (error) => oauth.isDPoPNonceError(error));
    const served = await ask();
    assert.equal(served.status, 200);
    const again = await ask();
    assert.equal(again.status, 200, 'the nonce serves the next request too, without a challenge');
  });
});
