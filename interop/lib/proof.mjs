// DPoP proofs made by hand with `jose`, for the requests that no honest client library would send.

import { createHash, randomUUID } from 'node:crypto';
import * as jose from 'jose';

export async function newKey(alg = 'ES256') {
  const pair = await jose.generateKeyPair(alg, { extractable: true });
  const jwk = await jose.exportJWK(pair.publicKey);
  return { ...pair, alg, jwk, jkt: await jose.calculateJwkThumbprint(jwk) };
}

/** One proof; `claims` replaces single claims, an `undefined` removes one. */
export async function proof(key, method, url, { token, nonce, claims = {} } = {}) {
  const payload = {
    jti: randomUUID(),
    htm: method,
    htu: url,
    iat: Math.floor(Date.now() / 1000),
    ath: token && createHash('sha256').update(token).digest('base64url'),
    nonce,
    ...claims,
  };
  return new jose.SignJWT(payload)
    .setProtectedHeader({ typ: 'dpop+jwt', alg: key.alg, jwk: key.jwk })
    .sign(key.privateKey);
}

/** A request with exactly these credentials. */
export async function call(url, { method = 'GET', authorization, dpop, body } = {}) {
  const headers = new Headers();
  if (authorization) headers.set('authorization', authorization);
  if (dpop) headers.set('dpop', dpop);
  if (body !== undefined) headers.set('content-type', 'application/json');
  return fetch(url, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    redirect: 'manual',
  });
}

/** The `error` parameter of a DPoP challenge. */
export function challengeError(response) {
  const challenge = response.headers.get('www-authenticate') ?? '';
  return /(?:^|[\s,])DPoP\b.*?error="([^"]+)"/.exec(challenge)?.[1];
}
