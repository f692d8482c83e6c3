// npm oauth4webapi, a strict client library, against `keybound dev`.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { calculateJwkThumbprint } from 'jose';
import * as oauth from 'oauth4webapi';
import { eventually, startDev } from '../lib/keybound.mjs';
import { call, challengeError, newKey, proof } from '../lib/proof.mjs';

/** What the server said, whichever of its two error types the library made of it. */
async function refusal(outcome) {
  const error = await outcome.then(
    () => assert.fail('the server accepted what it must refuse'),
    (reason) => reason,
  );
  if (error instanceof oauth.ResponseBodyError) return { status: error.status, error: error.error };
  if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error;
  return { status: error.status, error: (await error.response.json()).error };
}

const loopback = { [oauth.allowInsecureRequests]: true };

describe('oauth4webapi', () => {
  let world;
  let server;
  let resource;

  before(async () => {
    world = await startDev();
    resource = `${world.gateway}/`;
    server = await discover('oauth2');
  });
  after(async () => world?.stop());

  async function discover(algorithm) {
    const issuer = new URL(world.issuer);
    const response = await oauth.discoveryRequest(issuer, { algorithm, ...loopback });
    return oauth.processDiscoveryResponse(issuer, response);
  }

  async function register(metadata) {
    const response = await oauth.dynamicClientRegistrationRequest(
      server,
      { grant_types: ['client_credentials'], response_types: [], ...metadata },
      loopback,
    );
    return oauth.processDynamicClientRegistrationResponse(response);
  }

  async function registerWithKey() {
    const key = await oauth.generateKeyPair('ES256');
    const jwk = await crypto.subtle.exportKey('jwk', key.publicKey);
    const client = await register({
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [{ kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y, alg: 'ES256', use: 'sig' }] },
    });
    return { client, authentication: oauth.PrivateKeyJwt(key.privateKey) };
  }

  async function registerWithSecret() {
    const client = await register({ token_endpoint_auth_method: 'client_secret_basic' });
    return { client, authentication: oauth.ClientSecretBasic(client.client_secret) };
  }

  /** A token request with the library's own answer to a nonce challenge: repeat once. */
  async function token({ client, authentication }, DPoP, parameters = {}) {
    const attempt = async () => {
      const response = await oauth.clientCredentialsGrantRequest(
        server,
        client,
        authentication,
        { resource, scope: 'approvals:read approvals:write', ...parameters },
        { DPoP, ...loopback },
      );
      return oauth.processClientCredentialsResponse(server, client, response);
    };
    try {
      return await attempt();
    } catch (error) {
      if (!oauth.isDPoPNonceError(error)) throw error;
      return attempt();
    }
  }

  async function dpopHandle(client) {
    const pair = await oauth.generateKeyPair('ES256');
    return { pair, handle: oauth.DPoP(client, pair) };
  }

  async function request(accessToken, method, path, body, DPoP) {
    const headers = new Headers(body ? { 'content-type': 'application/json' } : {});
    const options = { DPoP, ...loopback };
    const url = new URL(path, world.gateway);
    return oauth.protectedResourceRequest(accessToken, method, url, headers, body, options);
  }

  test('refused: a registered client that asks for a token without a proof', async () => {
    const subject = await registerWithKey();
    const answer = await refusal(token(subject, undefined));
    assert.deepEqual(answer, { status: 400, error: 'invalid_dpop_proof' });
  });

  test('refused: a secret that is not the client\'s', async () => {
    const { client } = await registerWithSecret();
    const { handle } = await dpopHandle(client);
    const authentication = oauth.ClientSecretBasic('not-the-secret');
    const answer = await refusal(token({ client, authentication }, handle));
    assert.deepEqual(answer, { status: 401, error: 'invalid_client' });
  });

  test('refused: a resource that does not exist', async () => {
    const subject = await registerWithKey();
    const { handle } = await dpopHandle(subject.client);
    const elsewhere = { resource: 'https://elsewhere.example/' };
    const answer = await refusal(token(subject, handle, elsewhere));
    assert.deepEqual(answer, { status: 400, error: 'invalid_target' });
  });

  test('refused: metadata of another issuer', async () => {
    const wrong = new URL(world.gateway);
    const response = await oauth.discoveryRequest(new URL(world.issuer), {
      algorithm: 'oauth2',
      ...loopback,
    });
    await assert.rejects(oauth.processDiscoveryResponse(wrong, response));
  });

  test('discovery: both well-known forms say the same', async () => {
    assert.equal(server.issuer, world.issuer);
    assert.deepEqual(await discover('oidc'), server);
    const algorithms = server.dpop_signing_alg_values_supported;
    assert.ok(algorithms.includes('ES256') && algorithms.includes('EdDSA'), `${algorithms}`);
    assert.ok(!algorithms.some((name) => name === 'none' || name.startsWith('HS')));
    const methods = server.token_endpoint_auth_methods_supported;
    assert.ok(methods.includes('private_key_jwt') && methods.includes('client_secret_basic'));
    assert.ok(methods.includes('none'), 'public clients may register');
    assert.ok(!server.introspection_endpoint_auth_methods_supported.includes('none'));
  });

  test('resource metadata leads to the issuer', async () => {
    const url = new URL(resource);
    const response = await oauth.resourceDiscoveryRequest(url, loopback);
    const metadata = await oauth.processResourceDiscoveryResponse(url, response);
    assert.deepEqual(metadata.authorization_servers, [world.issuer]);
    assert.equal(metadata.dpop_bound_access_tokens_required, true);
  });

  for (const [name, registration] of [
    ['private_key_jwt', registerWithKey],
    ['client_secret_basic', registerWithSecret],
  ]) {
    test(`${name}: register, token, list, approve, introspect, revoke, refused`, async () => {
      const subject = await registration();
      assert.equal(subject.client.dpop_bound_access_tokens, true);
      const { pair, handle } = await dpopHandle(subject.client);
      const issued = await token(subject, handle);
      assert.equal(issued.token_type, 'dpop');
      const secret = issued.access_token;

      const listed = await request(secret, 'GET', '/approvals', undefined, handle);
      assert.equal(listed.status, 200);
      const decision = JSON.stringify({ id: '1', decision: 'approve' });
      const decided = await request(secret, 'POST', '/approvals', decision, handle);
      assert.ok(decided.ok, `${decided.status}`);

      const answer = await oauth.introspectionRequest(
        server, subject.client, subject.authentication, secret, loopback,
      );
      const facts = await oauth.processIntrospectionResponse(server, subject.client, answer);
      assert.equal(facts.active, true);
      assert.equal(facts.token_type, 'DPoP');
      assert.equal(facts.client_id, subject.client.client_id);
      const jwk = await crypto.subtle.exportKey('jwk', pair.publicKey);
      assert.equal(facts.cnf.jkt, await calculateJwkThumbprint(jwk));

      const revocation = await oauth.revocationRequest(
        server, subject.client, subject.authentication, secret, loopback,
      );
      await oauth.processRevocationResponse(revocation);
      const after = await oauth.introspectionRequest(
        server, subject.client, subject.authentication, secret, loopback,
      );
      const gone = await oauth.processIntrospectionResponse(server, subject.client, after);
      assert.deepEqual(gone, { active: false });

      // The library turns a challenge into an exception; its response is the gateway's answer.
      const last = await eventually(async () => {
        const response = await request(secret, 'GET', '/approvals', undefined, handle)
          .catch((error) => error.response ?? Promise.reject(error));
        assert.equal(response.status, 401);
        return response;
      });
      assert.equal(challengeError(last), 'invalid_token');
    });
  }

  describe('a stolen token at the gateway', () => {
    let secret;
    let owner;
    let url;

    before(async () => {
      url = `${world.gateway}/approvals`;
      owner = await newKey();
      const subject = await registerWithKey();
      const pair = { publicKey: owner.publicKey, privateKey: owner.privateKey };
      secret = (await token(subject, oauth.DPoP(subject.client, pair))).access_token;
      const dpop = await proof(owner, 'GET', url, { token: secret });
      const good = await call(url, { authorization: `DPoP ${secret}`, dpop });
      assert.equal(good.status, 200, 'the owner is served, so the refusals below mean something');
    });

    async function refused(expectedError, options) {
      const response = await call(url, options);
      assert.equal(response.status, 401);
      assert.equal(challengeError(response), expectedError);
      assert.ok(response.headers.get('x-request-id'), 'every refusal can be looked up');
    }

    test('refused: as Bearer', async () => {
      await refused('invalid_token', { authorization: `Bearer ${secret}` });
    });

    test('refused: without a proof', async () => {
      await refused('invalid_dpop_proof', { authorization: `DPoP ${secret}` });
    });

    test('refused: with a proof by another key', async () => {
      const dpop = await proof(await newKey(), 'GET', url, { token: secret });
      await refused('invalid_token', { authorization: `DPoP ${secret}`, dpop });
    });

    test('refused: the same proof again', async () => {
      const dpop = await proof(owner, 'GET', url, { token: secret });
      const first = await call(url, { authorization: `DPoP ${secret}`, dpop });
      assert.equal(first.status, 200);
      await refused('invalid_dpop_proof', { authorization: `DPoP ${secret}`, dpop });
    });

    test('refused: a proof for another method, another path, another token, another time', async () => {
      const now = Math.floor(Date.now() / 1000);
      const proofs = [
        await proof(owner, 'POST', url, { token: secret }),
        await proof(owner, 'GET', `${world.gateway}/reports`, { token: secret }),
        await proof(owner, 'GET', url, { token: `${secret}x` }),
        await proof(owner, 'GET', url, { token: secret, claims: { iat: now - 3_600 } }),
        await proof(owner, 'GET', url, { token: secret, claims: { iat: now + 3_600 } }),
        await proof(owner, 'GET', url, { token: secret, claims: { jti: undefined } }),
      ];
      for (const dpop of proofs) {
        await refused('invalid_dpop_proof', { authorization: `DPoP ${secret}`, dpop });
      }
    });

    test('refused: at the other resource', async () => {
      const other = `${world.gateway}/reports`;
      const dpop = await proof(owner, 'GET', other, { token: secret });
      const response = await call(other, { authorization: `DPoP ${secret}`, dpop });
      assert.equal(response.status, 401);
      assert.equal(challengeError(response), 'invalid_token');
    });

    test('accepted: a query, which a proof does not cover', async () => {
      const dpop = await proof(owner, 'GET', url, { token: secret });
      const response = await call(`${url}?state=open`, { authorization: `DPoP ${secret}`, dpop });
      assert.equal(response.status, 200);
    });
  });

  test('refused: a client assertion used twice', async () => {
    const subject = await registerWithKey();
    const { handle } = await dpopHandle(subject.client);
    let kept;
    const authentication = async (as, client, body, headers) => {
      if (!kept) {
        await subject.authentication(as, client, body, headers);
        kept = [body.get('client_assertion_type'), body.get('client_assertion'), body.get('client_id')];
      } else {
        const [type, assertion, id] = kept;
        body.set('client_assertion_type', type);
        body.set('client_assertion', assertion);
        if (id) body.set('client_id', id);
      }
    };
    await token({ client: subject.client, authentication }, handle);
    const answer = await refusal(token({ client: subject.client, authentication }, handle));
    assert.deepEqual(answer, { status: 401, error: 'invalid_client' });
  });
});
