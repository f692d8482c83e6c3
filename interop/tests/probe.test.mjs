// `keybound probe` against servers we did not write. What it must find at each is in
// `probe.expected.json`, by configuration, each case confirmed once by a request made by hand.

import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as jose from 'jose';
import { apacheMissing, startApache } from '../lib/apache.mjs';
import { makeCertificates, opensslMissing } from '../lib/certificates.mjs';
import { startEnvoy } from '../lib/envoy.mjs';
import { keybound, temporaryDirectory } from '../lib/keybound.mjs';
import { assertExpected, probe, startTrust } from '../lib/probe.mjs';
import { pythonMissing, startPython } from '../lib/python.mjs';
import { startResource } from '../peers/resource.mjs';

const noPython = await pythonMissing();
const noApache = await apacheMissing();
const noOpenssl = await opensslMissing();

describe('keybound probe', () => {
  let directory;
  let trust;

  before(async () => {
    directory = await temporaryDirectory();
    trust = await startTrust(directory);
  });
  after(async () => {
    await trust?.stop();
    if (directory) await rm(directory, { recursive: true, force: true });
  });

  /** A test that says in its own line, and on standard error, that a peer is missing. */
  function against(configuration, missing, run) {
    if (missing) console.error(`SKIPPED: probe against ${configuration}: ${missing}`);
    test(configuration, { skip: missing }, run);
  }

  async function assertFound(configuration, peer, args = trust.arguments) {
    try {
      const found = await probe('rs', peer.url, [...args, '--level', 'quick']);
      await assertExpected(configuration, found);
    } finally {
      await peer.stop();
    }
  }

  const python = (variant) =>
    startPython('resource.py', [variant, trust.issuer, trust.audience, JSON.stringify(trust.jwk)]);

  against('dpop-strict', noPython, async () => assertFound('dpop-strict', await python('strict')));
  against('dpop-naive', noPython, async () => assertFound('dpop-naive', await python('naive')));

  test('dpop-library', async () => {
    await assertFound('dpop-library', await startResource({ ...trust, requireDPoP: true }));
  });

  against('dpop-module', noApache, async () => {
    await assertFound('dpop-module', await startApache({ directory, trust }));
  });

  against('bearer-validator', noPython, async () => {
    await assertFound('bearer-validator', await startEnvoy({ directory, trust }));
  });

  against('certificate-module', noApache ?? noOpenssl, async () => {
    const { file, thumbprint } = await makeCertificates(directory);
    const peer = await startApache({
      directory,
      trust,
      tls: { certificate: file('server.pem'), key: file('server.key'), authority: file('ca.pem') },
    });
    const token = await new jose.SignJWT({
      client_id: 'owner', scope: 'read', jti: 'one', cnf: { 'x5t#S256': thumbprint },
    })
      .setProtectedHeader({ typ: 'at+jwt', alg: 'ES256', kid: trust.jwk.kid })
      .setIssuer(trust.issuer)
      .setSubject('owner')
      .setAudience(trust.audience)
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(trust.privateKey);
    const tokenFile = path.join(directory, 'token');
    await writeFile(tokenFile, token, { mode: 0o600 });
    const key = path.join(directory, 'unused.pem');
    await keybound(['key', 'new', '--out', key]);
    await assertFound('certificate-module', peer, [
      ...trust.arguments, '--token', `@${tokenFile}`, '--key', `file:${key}`,
      '--ca-cert', file('ca.pem'), '--client-cert', file('owner.pem'),
      '--client-cert-key', file('owner.key'), '--other-client-cert', file('another.pem'),
      '--other-client-cert-key', file('another.key'), '--renewed-client-cert', file('renewed.pem'),
    ]);
  });
});
