// A registered client and its bound token in three plain requests, for tests that are about what
// happens afterwards.

import { randomUUID } from 'node:crypto';
import * as jose from 'jose';
import { newKey, proof } from './proof.mjs';

/** Registers a `private_key_jwt` client and gets a token bound to a fresh key. */
export async function boundToken(issuer, { resource, scope, key }) {
  const discovery = await fetch(`${issuer}/.well-known/oauth-authorization-server`);
  const server = await discovery.json();
  const authentication = await newKey();
  const registration = await fetch(server.registration_endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [{ ...authentication.jwk, alg: 'ES256', use: 'sig' }] },
    }),
  });
  const client = await registration.json();
  if (registration.status !== 201) throw new Error(JSON.stringify(client));
  const proofKey = key ?? (await newKey());
  const response = await fetch(server.token_endpoint, {
    method: 'POST',
    headers: { dpop: await proof(proofKey, 'POST', server.token_endpoint) },
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      resource,
      scope,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await assertion(authentication, client.client_id, server.issuer),
    }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(JSON.stringify(answer));
  return { server, client, key: proofKey, answer, token: answer.access_token };
}

async function assertion(key, clientId, audience) {
  return new jose.SignJWT({ jti: randomUUID() })
    .setProtectedHeader({ alg: key.alg })
    .setIssuer(clientId)
    .setSubject(clientId)
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime('60s')
    .sign(key.privateKey);
}
