// Client certificates from end to end: npm oauth4webapi, with Node's TLS, as client of our issuer
// and our gateway; Debian's Apache with mod_oauth2 as another verifier of the issuer's tokens.

import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import { decodeJwt } from 'jose';
import { apacheMissing, startApache } from '../lib/apache.mjs';
import { makeCertificates, opensslMissing } from '../lib/certificates.mjs';
import { fetchAs } from '../lib/mtls.mjs';
import { freePortBase, keybound, startServer, temporaryDirectory } from '../lib/keybound.mjs';
import { startUpstream } from '../lib/upstream.mjs';

const noOpenssl = await opensslMissing();
const noApache = noOpenssl ?? (await apacheMissing());
if (noOpenssl) console.error(`SKIPPED: client certificates: ${noOpenssl}`);

describe('client certificates', { skip: noOpenssl }, () => {
  let directory;
  let certificates;
  let upstream;
  let service;
  let issuer;
  let resource;
  let server;

  before(async () => {
    directory = await temporaryDirectory();
    certificates = { ...(await makeCertificates(directory)), keyOf: { renewed: 'owner' } };
    upstream = await startUpstream();
    const base = await freePortBase(6);
    issuer = new URL(`http://127.0.0.1:${base}`);
    resource = `https://localhost:${base + 5}/`;
    const made = await keybound([
      'init', path.join(directory, 'keybound'), '--port-base', String(base), '--upstream', upstream.origin,
    ]);
    assert.equal(made.code, 0, made.stderr);
    const config = path.join(directory, 'keybound', 'keybound.toml');
    await writeFile(config, configuration(await readFile(config, 'utf8'), base));
    service = await startServer(['serve', '--config', config], base + 3);
    const options = { algorithm: 'oauth2', [oauth.allowInsecureRequests]: true };
    const response = await oauth.discoveryRequest(issuer, options);
    server = await oauth.processDiscoveryResponse(issuer, response);
  });
  after(async () => {
    await service?.stop();
    await upstream?.stop();
    if (directory) await rm(directory, { recursive: true, force: true });
  });

  /** What `keybound init` wrote, with TLS for issuer and gateway and two clients. */
  function configuration(toml, base) {
    const { file } = certificates;
    const tls = (part, port) => `[${part}.tls]
listen = "127.0.0.1:${port}"
certificate = "${file('server.pem')}"
key = "${file('server.key')}"
client_certificates = "optional"
`;
    const client = (id, more) => `[[issuer.client]]
id = "${id}"
auth = "tls_client_auth"
client_ca = "${file('ca.pem')}"
tls_client_auth_subject_dn = "CN=the owner"
tls_client_certificate_bound_access_tokens = true
resources = ["${resource}"]
${more}
`;
    return [
      toml
        .replace('[issuer]\n', `[issuer]\nmtls_url = "https://localhost:${base + 4}"\n`)
        .replace(`url = "http://127.0.0.1:${base + 1}"`, `url = "https://localhost:${base + 5}"`)
        .replace('enforcement = "require"', 'enforcement = "require"\nbinding_methods = ["mtls"]'),
      tls('issuer', base + 4),
      tls('gateway', base + 5),
      client('strict', ''),
      client('lasting', 'certificate_binding = "public_key"'),
    ].join('\n');
  }

  /** A token of `id` on a connection with the certificate `who`. */
  async function token(id, who) {
    const client = { client_id: id, use_mtls_endpoint_aliases: true };
    const options = { [oauth.customFetch]: await fetchAs(certificates, who) };
    const response = await oauth.clientCredentialsGrantRequest(
      server, client, oauth.TlsClientAuth(), { resource }, options,
    );
    return oauth.processClientCredentialsResponse(server, client, response);
  }

  /** A call with a token; what was answered, also if it is a challenge. */
  async function call(accessToken, who, url = new URL('things', resource)) {
    const options = { [oauth.customFetch]: await fetchAs(certificates, who) };
    return oauth
      .protectedResourceRequest(accessToken, 'GET', url, new Headers(), null, options)
      .catch((error) => error.response ?? Promise.reject(error));
  }

  async function refused(outcome) {
    const error = await outcome.then(
      () => assert.fail('the issuer accepted what it must refuse'),
      (reason) => reason,
    );
    const body = error.cause?.error ?? (await error.response?.clone().json().catch(() => ({})))?.error;
    return { status: error.status ?? error.response?.status, error: error.error ?? body };
  }

  test('the metadata names the endpoints and the methods', () => {
    const { port } = new URL(server.mtls_endpoint_aliases.token_endpoint);
    assert.equal(Number(port), Number(issuer.port) + 4);
    assert.equal(server.tls_client_certificate_bound_access_tokens, true);
    const methods = server.token_endpoint_auth_methods_supported;
    for (const method of ['tls_client_auth', 'self_signed_tls_client_auth']) {
      assert.ok(methods.includes(method), method);
    }
  });

  test('refused: no certificate, another client\'s, and the plain endpoint', async () => {
    for (const who of [undefined, 'another']) {
      const outcome = await refused(token('strict', who));
      assert.deepEqual(outcome, { status: 401, error: 'invalid_client' }, who);
    }
    const client = { client_id: 'strict' };
    const response = await oauth.clientCredentialsGrantRequest(
      server, client, oauth.TlsClientAuth(), { resource },
      { [oauth.allowInsecureRequests]: true, [oauth.customFetch]: await fetchAs(certificates, 'owner') },
    );
    assert.equal(response.status, 401);
  });

  test('a bound token is served with its certificate and refused with any other', async () => {
    const { access_token: bound, token_type: type } = await token('strict', 'owner');
    assert.equal(type, 'bearer');
    assert.equal(decodeJwt(bound).cnf['x5t#S256'], certificates.thumbprint);
    for (const who of [undefined, 'another', 'renewed']) {
      const answer = await call(bound, who);
      assert.equal(answer.status, 401, who);
      assert.match(answer.headers.get('www-authenticate'), /^Bearer error="invalid_token"/);
    }
    assert.equal(upstream.requests.length, 0, 'nothing refused reaches the API');
    const answer = await call(bound, 'owner');
    assert.equal(answer.status, 200, service.output());
    assert.equal((await answer.json()).served, 'GET /things');
  });

  test('a token bound to the key as well lasts beyond the renewal', async () => {
    const { access_token: bound } = await token('lasting', 'owner');
    assert.equal((await call(bound, 'another')).status, 401);
    assert.equal((await call(bound, undefined)).status, 401);
    assert.equal((await call(bound, 'renewed')).status, 200);
    assert.equal((await call(bound, 'owner')).status, 200);
  });

  test('introspection by certificate says what the token is bound to', async () => {
    const { access_token: bound } = await token('strict', 'owner');
    const client = { client_id: 'strict', use_mtls_endpoint_aliases: true };
    const options = { [oauth.customFetch]: await fetchAs(certificates, 'owner') };
    const response = await oauth.introspectionRequest(
      server, client, oauth.TlsClientAuth(), bound, options,
    );
    const facts = await oauth.processIntrospectionResponse(server, client, response);
    assert.equal(facts.active, true);
    assert.equal(facts.cnf['x5t#S256'], certificates.thumbprint);
  });

  if (noApache && !noOpenssl) console.error(`SKIPPED: mod_oauth2 and client certificates: ${noApache}`);
  test('mod_oauth2 verifies the issuer\'s tokens', { skip: noApache }, async () => {
    const { keys } = await (await fetch(server.jwks_uri)).json();
    const { file } = certificates;
    const tls = { certificate: file('server.pem'), key: file('server.key'), authority: file('ca.pem') };
    const apache = await startApache({ directory, trust: { jwk: keys[0] }, tls });
    try {
      const url = new URL(apache.url);
      const { access_token: strict } = await token('strict', 'owner');
      const { access_token: lasting } = await token('lasting', 'owner');
      for (const bound of [strict, lasting]) {
        // The rule for renewals is our own: others go on asking for the very certificate.
        for (const who of [undefined, 'another', 'renewed']) {
          const answer = await call(bound, who, url);
          assert.equal(answer.status, 401, `${who} ${await readFile(apache.log, 'utf8')}`);
        }
        const answer = await call(bound, 'owner', url);
        assert.equal(answer.status, 200, await readFile(apache.log, 'utf8'));
      }
    } finally {
      await apache.stop();
    }
  });
});
