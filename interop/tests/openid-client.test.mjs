// npm openid-client, the most used OpenID client of Node.js, against `keybound dev`.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { calculateJwkThumbprint, exportJWK } from 'jose';
import * as client from 'openid-client';
import { eventually, startDev } from '../lib/keybound.mjs';
import { challengeError } from '../lib/proof.mjs';

describe('openid-client', () => {
  let world;
  let resource;
  let url;

  before(async () => {
    world = await startDev();
    resource = `${world.gateway}/`;
    url = new URL('/approvals', world.gateway);
  });
  after(async () => world?.stop());

  /** Registers and discovers in one go; the result authenticates by itself from then on. */
  async function register(metadata, authentication) {
    return client.dynamicClientRegistration(
      new URL(world.issuer),
      { grant_types: ['client_credentials'], response_types: [], ...metadata },
      authentication,
      { algorithm: 'oauth2', execute: [client.allowInsecureRequests] },
    );
  }

  async function withKey() {
    const pair = await client.randomDPoPKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(pair.publicKey);
    return register(
      {
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [{ ...jwk, alg: 'ES256', use: 'sig' }] },
      },
      client.PrivateKeyJwt(pair.privateKey),
    );
  }

  async function withSecret() {
    // The library's own default is to send the secret in the body, which the issuer does not take.
    const metadata = { token_endpoint_auth_method: 'client_secret_basic' };
    return register(metadata, client.ClientSecretBasic());
  }

  function grant(configuration, DPoP, scope = 'approvals:read approvals:write') {
    return client.clientCredentialsGrant(configuration, { resource, scope }, { DPoP });
  }

  async function bound(configuration) {
    const pair = await client.randomDPoPKeyPair('ES256', { extractable: true });
    return { pair, DPoP: client.getDPoPHandle(configuration, pair) };
  }

  /** The gateway's answer, also where the library makes an exception of a challenge. */
  async function get(configuration, token, DPoP) {
    return client
      .fetchProtectedResource(configuration, token, url, 'GET', undefined, undefined, { DPoP })
      .catch((error) => error.response ?? Promise.reject(error));
  }

  test('refused: a token request without a proof', async () => {
    await assert.rejects(grant(await withKey(), undefined), (error) => {
      assert.equal(error.error, 'invalid_dpop_proof');
      return true;
    });
  });

  test('refused: a scope the client may not have', async () => {
    const configuration = await withKey();
    const { DPoP } = await bound(configuration);
    await assert.rejects(grant(configuration, DPoP, 'keybound:respond'), (error) => {
      assert.equal(error.error, 'invalid_scope');
      return true;
    });
  });

  test('refused: the token as Bearer, and with the proof of another key', async () => {
    const configuration = await withKey();
    const owner = await bound(configuration);
    const { access_token: token } = await grant(configuration, owner.DPoP);
    const good = await get(configuration, token, owner.DPoP);
    assert.equal(good.status, 200);

    const bearer = await get(configuration, token, undefined);
    assert.equal(bearer.status, 401);
    assert.equal(challengeError(bearer), 'invalid_token');

    const thief = await bound(configuration);
    const stolen = await get(configuration, token, thief.DPoP);
    assert.equal(stolen.status, 401);
    assert.equal(challengeError(stolen), 'invalid_token');
  });

  for (const [name, registration] of [
    ['private_key_jwt', withKey],
    ['client_secret_basic', withSecret],
  ]) {
    test(`${name}: register, token, call, introspect, revoke, refused`, async () => {
      const configuration = await registration();
      const { pair, DPoP } = await bound(configuration);
      const issued = await grant(configuration, DPoP);
      assert.equal(issued.token_type, 'dpop');
      assert.ok(issued.expiresIn() > 0);
      const token = issued.access_token;

      const listed = await get(configuration, token, DPoP);
      assert.equal(listed.status, 200);
      const decided = await client.fetchProtectedResource(
        configuration,
        token,
        url,
        'POST',
        JSON.stringify({ id: '1', decision: 'approve' }),
        new Headers({ 'content-type': 'application/json' }),
        { DPoP },
      );
      assert.ok(decided.ok, `${decided.status}`);

      const facts = await client.tokenIntrospection(configuration, token);
      assert.equal(facts.active, true);
      assert.equal(facts.cnf.jkt, await calculateJwkThumbprint(await exportJWK(pair.publicKey)));

      await client.tokenRevocation(configuration, token);
      const gone = await client.tokenIntrospection(configuration, token);
      assert.deepEqual({ ...gone }, { active: false });
      const last = await eventually(async () => {
        const response = await get(configuration, token, DPoP);
        assert.equal(response.status, 401);
        return response;
      });
      assert.equal(challengeError(last), 'invalid_token');
    });
  }

  test('one client cannot look into or end another client\'s token', async () => {
    const owner = await withKey();
    const { DPoP } = await bound(owner);
    const { access_token: token } = await grant(owner, DPoP);
    const stranger = await withKey();
    const facts = await client.tokenIntrospection(stranger, token);
    assert.deepEqual({ ...facts }, { active: false });
    await assert.rejects(client.tokenRevocation(stranger, token), (error) => {
      assert.equal(error.error, 'invalid_request');
      return true;
    });
    const own = await client.tokenIntrospection(owner, token);
    assert.equal(own.active, true);
    const still = await get(owner, token, DPoP);
    assert.equal(still.status, 200);
  });

  test('an Ed25519 proof key is as good', async () => {
    const configuration = await withKey();
    const pair = await client.randomDPoPKeyPair('Ed25519', { extractable: true });
    const DPoP = client.getDPoPHandle(configuration, pair);
    const { access_token: token } = await grant(configuration, DPoP);
    const response = await get(configuration, token, DPoP);
    assert.equal(response.status, 200);
  });
});
