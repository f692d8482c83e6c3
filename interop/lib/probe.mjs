// The real `keybound probe` against a peer that trusts an issuer key made for the test, and what it is
// expected to find there: `tests/probe.expected.json`, by configuration.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import path from 'node:path';
import { spawn } from 'node:child_process';
import * as jose from 'jose';
import { executable } from './keybound.mjs';

const PROBE_WITHIN_MS = 300_000;
const expectations = new URL('../tests/probe.expected.json', import.meta.url);

/** An issuer key, its public half on a loopback JWKS, and a proof key; all in `directory`. */
export async function startTrust(directory) {
  const pair = await jose.generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await jose.exportJWK(pair.publicKey)), kid: 'test-1', alg: 'ES256', use: 'sig' };
  const issuerKey = path.join(directory, 'issuer.pem');
  await writeFile(issuerKey, await jose.exportPKCS8(pair.privateKey), { mode: 0o600 });
  const server = createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ keys: [jwk] }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const audience = 'https://api.example/';
  return {
    issuer,
    audience,
    jwk,
    jwksUri: `${issuer}/jwks`,
    privateKey: pair.privateKey,
    arguments: [
      '--issuer-key', `file:${issuerKey}`, '--issuer-kid', jwk.kid, '--issuer-name', issuer,
      '--audience', audience, '--scope', 'read',
    ],
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Runs `keybound probe` and gives its report. */
export async function probe(subcommand, target, args) {
  const all = ['probe', subcommand, target, ...args, '--yes', '--rate', '0', '--json'];
  const child = spawn(executable(), all, {
    env: { PATH: process.env.PATH, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: PROBE_WITHIN_MS,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const [code] = await once(child, 'close');
  if (!stdout.startsWith('{')) throw new Error(`keybound probe ended with ${code}\n${stderr}`);
  const report = JSON.parse(stdout);
  return { code, report, stderr };
}

/** The ids of the cases with this verdict, sorted. */
export function ids(report, verdict) {
  return report.findings
    .filter((finding) => finding.verdict === verdict)
    .map((finding) => finding.id)
    .sort();
}

/**
 * Holds a report against what was confirmed by hand for this configuration. A case in `races` asks
 * what a peer does with requests at the same moment; where the peer itself has no one answer, both
 * are right, and it has to have been asked.
 */
export async function assertExpected(configuration, { code, report }) {
  const confirmed = JSON.parse(await readFile(expectations, 'utf8'))[configuration];
  const { races = [], ...expected } = confirmed ?? {};
  const found = {
    not_enforced: ids(report, 'not_enforced').filter((id) => !races.includes(id)),
    inconclusive: ids(report, 'inconclusive'),
  };
  const asked = [...ids(report, 'enforced'), ...ids(report, 'not_enforced')];
  assert.ok(races.every((id) => asked.includes(id)), `not asked: ${races}`);
  const { requests, seconds, grade } = report;
  console.log(`${configuration}: ${requests} requests, ${seconds.toFixed(1)} s, grade ${grade}`);
  if (process.env.KEYBOUND_SHOW_FINDINGS) {
    for (const { id, verdict, reason, got } of report.findings) {
      if (verdict !== 'enforced') console.log(`  ${id} ${verdict}: ${reason} [${got}]`);
    }
    console.log(JSON.stringify({ [configuration]: found }, null, 1));
  }
  assert.ok(confirmed, `no expectation for ${configuration}`);
  assert.deepEqual(found, expected);
  const open = expected.not_enforced.length > 0;
  assert.equal(code, open ? 1 : expected.inconclusive.length > 0 ? 6 : 0);
}
