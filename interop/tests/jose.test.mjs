// npm jose and the resource-server half of oauth4webapi verify our tokens and our holder's proofs,
// so that any other resource server can.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import { boundToken } from '../lib/client.mjs';
import { keybound, startDev, temporaryDirectory } from '../lib/keybound.mjs';
import { newKey, proof } from '../lib/proof.mjs';

const loopback = { [oauth.allowInsecureRequests]: true };

describe('jose as a resource server for our tokens', () => {
  let world;
  let resource;
  let issued;
  let keys;

  before(async () => {
    world = await startDev();
    resource = `${world.gateway}/`;
    issued = await boundToken(world.issuer, { resource, scope: 'approvals:read' });
    keys = jose.createRemoteJWKSet(new URL(issued.server.jwks_uri));
  });
  after(async () => world?.stop());

  const rules = () => ({ issuer: world.issuer, audience: resource, typ: 'at+jwt' });

  test('refused: another audience, another issuer, another type', async () => {
    const wrong = [
      { ...rules(), audience: `${world.gateway}/reports` },
      { ...rules(), issuer: world.gateway },
      { ...rules(), typ: 'dpop+jwt' },
    ];
    for (const options of wrong) {
      await assert.rejects(jose.jwtVerify(issued.token, keys, options), jose.errors.JOSEError);
    }
  });

  test('refused: one changed character of the signature', async () => {
    const [header, payload, signature] = issued.token.split('.');
    const other = signature[0] === 'A' ? 'B' : 'A';
    const changed = `${header}.${payload}.${other}${signature.slice(1)}`;
    await assert.rejects(
      jose.jwtVerify(changed, keys, rules()),
      jose.errors.JWSSignatureVerificationFailed,
    );
  });

  test('the token verifies with the published key and names its holder\'s key', async () => {
    const { payload, protectedHeader } = await jose.jwtVerify(issued.token, keys, rules());
    assert.deepEqual(Object.keys(protectedHeader), ['typ', 'alg', 'kid']);
    assert.match(protectedHeader.kid, /^kb-/);
    assert.equal(payload.cnf.jkt, issued.key.jkt);
    assert.equal(payload.client_id, issued.client.client_id);
    assert.match(payload.jti, /^tok_/);
    assert.equal(payload.scope, 'approvals:read');
    assert.ok(payload.sub, 'RFC 9068 requires a subject');
    assert.equal(payload.exp - payload.iat, issued.answer.expires_in);
    assert.equal(issued.answer.token_type, 'DPoP');
  });

  test('the key set publishes public halves only, each with a use and an algorithm', async () => {
    const set = await (await fetch(issued.server.jwks_uri)).json();
    assert.ok(set.keys.length > 0);
    for (const key of set.keys) {
      assert.ok(!('d' in key), 'no private member');
      assert.equal(key.use, 'sig');
      assert.ok(key.alg && key.kid);
    }
  });

  /** The decision of an independent resource server about one request. */
  async function decide(headers, method = 'GET') {
    const request = new Request(`${world.gateway}/approvals`, { method, headers });
    const options = { requireDPoP: true, ...loopback };
    return oauth.validateJwtAccessToken(issued.server, request, resource, options);
  }

  async function headersWith(key, method = 'GET') {
    const url = `${world.gateway}/approvals`;
    return {
      authorization: `DPoP ${issued.token}`,
      dpop: await proof(key, method, url, { token: issued.token }),
    };
  }

  test('an independent resource server refuses what ours refuses', async () => {
    await assert.rejects(decide({ authorization: `Bearer ${issued.token}` }));
    await assert.rejects(decide({ authorization: `DPoP ${issued.token}` }));
    await assert.rejects(decide(await headersWith(await newKey())));
    await assert.rejects(decide(await headersWith(issued.key, 'POST')));
  });

  test('an independent resource server accepts the token with its key\'s proof', async () => {
    const claims = await decide(await headersWith(issued.key));
    assert.equal(claims.cnf.jkt, issued.key.jkt);
  });

  test('an independent resource server accepts what our holder signs, for that request only', async () => {
    const home = await temporaryDirectory();
    const url = `${world.gateway}/approvals`;
    const printed = await keybound(['request', '--offline', 'GET', url], {
      env: { XDG_DATA_HOME: home },
    });
    await rm(home, { recursive: true, force: true });
    assert.equal(printed.code, 0, printed.stderr);
    const field = (name) => new RegExp(`^${name}: (.*)$`, 'im').exec(printed.stdout)?.[1];
    const headers = { authorization: field('authorization'), dpop: field('dpop') };
    const claims = await decide(headers);
    const { jwk } = jose.decodeProtectedHeader(headers.dpop);
    assert.equal(claims.cnf.jkt, await jose.calculateJwkThumbprint(jwk));
    await assert.rejects(decide(headers, 'DELETE'));
  });
});
