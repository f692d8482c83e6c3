// Other people's TLS terminators in front of our gateway, each with a client certificate that its
// fields hand on, and with fields that a client made up.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as jose from 'jose';
import { makeCertificates, opensslMissing } from '../lib/certificates.mjs';
import { freePortBase, startServer, temporaryDirectory } from '../lib/keybound.mjs';
import { startTrust } from '../lib/probe.mjs';
import { NAMES, profileOf, proxyMissing, startProxy } from '../lib/proxies.mjs';
import { startUpstream } from '../lib/upstream.mjs';

const noOpenssl = await opensslMissing();
const missing = Object.fromEntries(
  await Promise.all(NAMES.map(async (name) => [name, noOpenssl ?? (await proxyMissing(name))])),
);

/** One request; resolves with the answer. */
async function ask(client, options) {
  const request = client.request({ method: 'GET', path: '/things', agent: false, ...options });
  request.end();
  const [response] = await once(request, 'response');
  let text = '';
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode, text };
}

describe('TLS terminators', () => {
  let directory;
  let trust;
  let certificates;
  let upstream;
  let forged;

  before(async () => {
    directory = await temporaryDirectory();
    trust = await startTrust(directory);
    upstream = await startUpstream();
    if (noOpenssl) return;
    certificates = await makeCertificates(directory);
    forged = await forgedFields(await readFile(certificates.file('owner.pem'), 'utf8'));
  });
  after(async () => {
    await trust?.stop();
    await upstream?.stop();
    if (directory) await rm(directory, { recursive: true, force: true });
  });

  /** A token bound to the owner's certificate. */
  async function token() {
    return new jose.SignJWT({
      client_id: 'owner', scope: 'read', jti: crypto.randomUUID(),
      cnf: { 'x5t#S256': certificates.thumbprint },
    })
      .setProtectedHeader({ typ: 'at+jwt', alg: 'ES256', kid: trust.jwk.kid })
      .setIssuer(trust.issuer)
      .setSubject('owner')
      .setAudience(trust.audience)
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(trust.privateKey);
  }

  async function startGateway(name, port, base) {
    const root = path.join(directory, `gateway-${name}`);
    await mkdir(root, { mode: 0o700 });
    const config = path.join(root, 'keybound.toml');
    await writeFile(
      config,
      `[gateway]
url = "https://localhost:${port}"
listen = "127.0.0.1:${base}"
resource = "${trust.audience}"
state_dir = "state"
[gateway.certificate_header]
profile = "${profileOf(name)}"
peers = ["127.0.0.1/32"]
[[gateway.issuer]]
url = "${trust.issuer}"
jwks_uri = "${trust.jwksUri}"
[[gateway.route]]
path = "/"
upstream = "${upstream.origin}"
enforcement = "require"
binding_methods = ["mtls"]
identity = "none"
[management]
listen = "127.0.0.1:${base + 1}"
`,
    );
    return startServer(['serve', '--config', config], base + 1);
  }

  for (const name of NAMES) {
    if (missing[name]) console.error(`SKIPPED: ${name} as a terminator: ${missing[name]}`);
    test(name, { skip: missing[name] }, async () => {
      const base = await freePortBase(3);
      const port = base + 2;
      const { file } = certificates;
      const gateway = await startGateway(name, port, base);
      const proxy = await startProxy(name, { directory, port, gateway: base, file });
      try {
        const ca = await readFile(file('ca.pem'));
        const authorization = `Bearer ${await token()}`;
        const through = async (who, headers = {}) => {
          const identity = who && {
            cert: await readFile(file(`${who}.pem`)), key: await readFile(file(`${who}.key`)),
          };
          return ask(https, {
            host: 'localhost', port, ca, ...identity, headers: { authorization, ...headers },
          });
        };
        const refused = async (answer, what) => {
          assert.notEqual(answer.status, 200, `${what}: ${answer.text}`);
          assert.ok([400, 401].includes(answer.status), `${what}: ${answer.status} ${answer.text}`);
        };

        await refused(await through(undefined), 'no certificate');
        await refused(await through('another'), 'another certificate');
        for (const [form, fields] of Object.entries(forged)) {
          await refused(await through(undefined, fields), `forged ${form}, no certificate`);
          await refused(await through('another', fields), `forged ${form}, another certificate`);
          const listed = { ...fields, connection: `close, ${Object.keys(fields).join(', ')}` };
          await refused(await through('another', listed), `forged ${form}, listed in Connection`);
        }
        // Past the terminator, from an address that is none.
        for (const [form, fields] of Object.entries(forged)) {
          const answer = await ask(http, {
            host: '127.0.0.1', port: base, localAddress: '127.0.0.2',
            headers: { host: `localhost:${port}`, authorization, ...fields },
          });
          await refused(answer, `forged ${form}, around the terminator`);
        }
        assert.equal(upstream.requests.length, 0, 'nothing refused reaches the API');

        for (const fields of [{}, ...Object.values(forged)]) {
          const answer = await through('owner', fields);
          assert.equal(answer.status, 200, `${answer.text}\n${gateway.output()}\n${proxy.output()}`);
        }
        const names = Object.values(forged).flatMap((fields) => Object.keys(fields));
        for (const { headers } of upstream.requests) {
          for (const field of names) assert.equal(headers[field], undefined, field);
        }
      } finally {
        upstream.requests.length = 0;
        await proxy.stop();
        await gateway.stop();
      }
    });
  }
});

/** The owner's certificate in the fields of every form, as anybody who has seen it could send it. */
async function forgedFields(pem) {
  const base64 = pem.replace(/-----[^-]+-----|\s/g, '');
  const hash = Buffer.from(
    await crypto.subtle.digest('SHA-256', Buffer.from(base64, 'base64')),
  ).toString('hex');
  const escaped = encodeURIComponent(pem);
  return {
    rfc9440: { 'client-cert': `:${base64}:` },
    nginx: { 'x-ssl-client-verify': 'SUCCESS', 'x-ssl-client-escaped-cert': escaped },
    envoy: { 'x-forwarded-client-cert': `Hash=${hash};Cert="${escaped}"` },
    traefik: { 'x-forwarded-tls-client-cert': base64 },
  };
}
