// `keybound probe` against servers we did not write. What it must find at each is in
// `probe.expected.json`, by configuration, each case confirmed once by a request made by hand.

import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as jose from 'jose';
import { apacheMissing, startApache } from '../lib/apache.mjs';
import { makeCertificates, opensslMissing } from '../lib/certificates.mjs';
import { envoyMissing, startEnvoy } from '../lib/envoy.mjs';
import { freePortBase, keybound, temporaryDirectory } from '../lib/keybound.mjs';
import { CLIENT_ID, startPeer } from '../lib/peer.mjs';
import { assertExpected, probe, startTrust } from '../lib/probe.mjs';
import { pythonMissing, startPython } from '../lib/python.mjs';
import { startResource } from '../peers/resource.mjs';
import { startUserinfo } from '../peers/userinfo.mjs';

const noPython = await pythonMissing();
const noApache = await apacheMissing();
const noEnvoy = await envoyMissing();
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

  against('bearer-validator', noEnvoy, async () => {
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

  test('authorization-server', async () => {
    const key = path.join(directory, 'client.pem');
    await keybound(['key', 'new', '--out', key]);
    const shown = await keybound(['key', 'show', key, '--jwks']);
    const resource = 'https://api.example/';
    const port = await freePortBase(1);
    const peer = await startPeer({ port, clientJwks: JSON.parse(shown.stdout), resource });
    try {
      const found = await probe('as', peer.issuer, [
        '--client-id', CLIENT_ID, '--client-key', `file:${key}`, '--resource', resource,
        '--scope', 'approvals:read', '--level', 'quick',
      ]);
      await assertExpected('authorization-server', found);
    } finally {
      await peer.stop();
    }
  });

  test('userinfo', async () => {
    const peer = await startUserinfo({ port: await freePortBase(1) });
    const bound = async (name) => {
      const key = path.join(directory, `${name}.pem`);
      const made = await keybound(['key', 'new', '--out', key, '--json']);
      const file = path.join(directory, `${name}.token`);
      await writeFile(file, await peer.token(JSON.parse(made.stdout).jkt), { mode: 0o600 });
      return { key: `file:${key}`, token: `@${file}` };
    };
    const [own, other] = [await bound('reader'), await bound('other-reader')];
    await assertFound('userinfo', peer, [
      '--token', own.token, '--key', own.key, '--other-token', other.token, '--other-key', other.key,
    ]);
  });
});
