// Authorization codes, pushed requests and refresh tokens with two client libraries that know
// nothing of Keybound: npm openid-client and npm oauth4webapi, as public clients with a DPoP key.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { calculateJwkThumbprint, decodeJwt, exportJWK } from 'jose';
import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';
import { startDev } from '../lib/keybound.mjs';

const loopback = { [oauth.allowInsecureRequests]: true };
const REDIRECT = 'http://127.0.0.1:53682/callback';
const METADATA = {
  token_endpoint_auth_method: 'none',
  redirect_uris: [REDIRECT],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
};

/** Goes to the authorization endpoint as a browser would, and says where it was sent. */
async function visit(url) {
  const response = await fetch(url, { redirect: 'manual' });
  assert.equal(response.status, 303, await response.text());
  return new URL(response.headers.get('location'));
}

async function thumbprint(key) {
  return calculateJwkThumbprint(await exportJWK(key.publicKey));
}

describe('codes with openid-client', () => {
  let world;
  let config;
  let key;

  before(async () => {
    world = await startDev();
    config = await client.dynamicClientRegistration(
      new URL(world.issuer),
      METADATA,
      client.None(),
      { algorithm: 'oauth2', execute: [client.allowInsecureRequests] },
    );
    key = await client.randomDPoPKeyPair('ES256');
  });
  after(async () => world?.stop());

  async function authorize(DPoP, { pushed }) {
    const verifier = client.randomPKCECodeVerifier();
    const parameters = {
      redirect_uri: REDIRECT,
      scope: 'approvals:read',
      resource: `${world.gateway}/`,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state: client.randomState(),
    };
    const url = pushed
      ? await client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP })
      : client.buildAuthorizationUrl(config, parameters);
    return { verifier, state: parameters.state, location: await visit(url) };
  }

  async function redeem({ verifier, state, location }, DPoP) {
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    return client.authorizationCodeGrant(config, location, checks, undefined, { DPoP });
  }

  test('a pushed request is bound to its key, and a stolen code is worth nothing', async () => {
    const DPoP = client.getDPoPHandle(config, key);
    const flow = await authorize(DPoP, { pushed: true });
    const thief = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'));
    await assert.rejects(redeem(flow, thief), { error: 'invalid_grant' });
    const tokens = await redeem(flow, DPoP);
    assert.equal(tokens.token_type, 'dpop');
    assert.equal(decodeJwt(tokens.access_token).cnf.jkt, await thumbprint(key));
    assert.equal(decodeJwt(tokens.access_token).sub, 'demo-user');
    const answer = await client.fetchProtectedResource(
      config,
      tokens.access_token,
      new URL('/approvals', world.gateway),
      'GET',
      undefined,
      undefined,
      { DPoP },
    );
    assert.equal(answer.status, 200, await answer.text());
  });

  test('refresh tokens rotate, and one that comes back in other hands ends the grant', async () => {
    const DPoP = client.getDPoPHandle(config, key);
    const first = await redeem(await authorize(DPoP, { pushed: false }), DPoP);
    const thief = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'));
    const refresh = (token, handle) => client.refreshTokenGrant(config, token, {}, { DPoP: handle });
    await assert.rejects(refresh(first.refresh_token, thief), { error: 'invalid_grant' });
    const second = await refresh(first.refresh_token, DPoP);
    assert.notEqual(second.refresh_token, first.refresh_token);
    assert.equal(decodeJwt(second.access_token).cnf.jkt, await thumbprint(key));
    await assert.rejects(refresh(first.refresh_token, thief), { error: 'invalid_grant' });
    await assert.rejects(refresh(second.refresh_token, DPoP), { error: 'invalid_grant' });
  });
});

describe('codes with oauth4webapi', () => {
  let world;
  let server;
  let registered;
  let key;

  before(async () => {
    world = await startDev();
    const issuer = new URL(world.issuer);
    const discovered = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...loopback });
    server = await oauth.processDiscoveryResponse(issuer, discovered);
    const response = await oauth.dynamicClientRegistrationRequest(server, METADATA, loopback);
    registered = await oauth.processDynamicClientRegistrationResponse(response);
    key = await oauth.generateKeyPair('ES256');
  });
  after(async () => world?.stop());

  test('code, use, refresh and revocation', async () => {
    const DPoP = oauth.DPoP(registered, key);
    const verifier = oauth.generateRandomCodeVerifier();
    const state = oauth.generateRandomState();
    const parameters = new URLSearchParams({
      client_id: registered.client_id,
      redirect_uri: REDIRECT,
      response_type: 'code',
      scope: 'approvals:read',
      resource: `${world.gateway}/`,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
    });
    const pushed = await oauth.pushedAuthorizationRequest(
      server, registered, oauth.None(), parameters, { DPoP, ...loopback },
    );
    const { request_uri } = await oauth.processPushedAuthorizationResponse(server, registered, pushed);
    const url = new URL(server.authorization_endpoint);
    url.search = new URLSearchParams({ client_id: registered.client_id, request_uri });
    const location = await visit(url);
    // The library refuses an answer without `iss`, since the metadata promises it (RFC 9207).
    const answer = oauth.validateAuthResponse(server, registered, location, state);
    const granted = await oauth.authorizationCodeGrantRequest(
      server, registered, oauth.None(), answer, REDIRECT, verifier, { DPoP, ...loopback },
    );
    const tokens = await oauth.processAuthorizationCodeResponse(server, registered, granted);
    assert.equal(decodeJwt(tokens.access_token).cnf.jkt, await thumbprint(key));

    const use = (token) =>
      oauth.protectedResourceRequest(
        token, 'GET', new URL('/approvals', world.gateway), undefined, null, { DPoP, ...loopback },
      );
    assert.equal((await use(tokens.access_token)).status, 200);

    const refreshed = await oauth.processRefreshTokenResponse(
      server,
      registered,
      await oauth.refreshTokenGrantRequest(
        server, registered, oauth.None(), tokens.refresh_token, { DPoP, ...loopback },
      ),
    );
    assert.equal((await use(refreshed.access_token)).status, 200);

    // A code that comes twice ends everything that came of it.
    const again = await oauth.authorizationCodeGrantRequest(
      server, registered, oauth.None(), answer, REDIRECT, verifier, { DPoP, ...loopback },
    );
    await assert.rejects(oauth.processAuthorizationCodeResponse(server, registered, again), {
      error: 'invalid_grant',
    });
    const end = Date.now() + 10_000;
    let status = 200;
    while (status === 200 && Date.now() < end) {
      status = await use(refreshed.access_token).then(
        (response) => response.status,
        (error) => error.status,
      );
    }
    assert.equal(status, 401, 'the gateway goes on taking tokens of a revoked grant');
  });
});
