// The authorization scenarios of npm @modelcontextprotocol/conformance, which know no DPoP, and
// the checks that its pull request 396 describes for authorization servers that do.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as oauth from 'oauth4webapi';
import { freePortBase, startDev, startServer, temporaryDirectory } from '../lib/keybound.mjs';
import { newKey, proof } from '../lib/proof.mjs';

const modules = fileURLToPath(new URL('../node_modules/', import.meta.url));
const SUITE = path.join(modules, '@modelcontextprotocol/conformance/dist/index.js');
const WITHIN_MS = 60_000;

/** The suite needs Node.js 22; the packages of it are for machines that have an older one. */
function node() {
  if (Number(process.versions.node.split('.')[0]) >= 22) return process.execPath;
  return path.join(modules, `node-linux-${process.arch}`, 'bin', 'node');
}

/** An issuer with one client of the suite, which has a secret and no key. */
async function startIssuer(directory, base, callback) {
  // No character of it may look like an option to the suite.
  const secret = randomBytes(32).toString('hex');
  const write = (name, text) => writeFile(path.join(directory, name), text, { mode: 0o600 });
  await mkdir(directory, { recursive: true });
  await write('kek', randomBytes(32).toString('base64url'));
  await write('secret', secret);
  await write(
    'keybound.toml',
    `[store]
url = "sqlite:${directory}/keybound.db"
key_encryption_key_file = "kek"
[issuer]
url = "http://127.0.0.1:${base}"
listen = "127.0.0.1:${base}"
[issuer.authorization]
unsafe_approve_as = "person"
[[issuer.resource]]
url = "http://127.0.0.1:${base + 1}/mcp"
scopes = ["tools"]
[[issuer.client]]
id = "suite"
auth = "client_secret_basic"
secret_file = "secret"
grants = ["authorization_code", "refresh_token"]
redirect_uris = ["http://127.0.0.1:${callback}/callback"]
scopes = ["tools"]
resources = ["http://127.0.0.1:${base + 1}/mcp"]
unconstrained = true
unconstrained_reason = "the suite has no key to prove"
[management]
listen = "127.0.0.1:${base + 3}"
`,
  );
  const server = await startServer(
    ['serve', '--config', path.join(directory, 'keybound.toml')],
    base + 3,
  );
  return { secret, ...server };
}

describe('MCP conformance, authorization server', () => {
  let directory;
  let issuer;
  let base;

  before(async () => {
    directory = await temporaryDirectory();
    base = await freePortBase(5);
    issuer = await startIssuer(directory, base, base + 4);
  });
  after(async () => {
    await issuer?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  test('every published scenario passes', async () => {
    const suite = spawn(
      node(),
      [
        SUITE, 'authorization', '--url', `http://127.0.0.1:${base}`,
        '--client-id', 'suite', '--client-secret', issuer.secret,
        '--resource', `http://127.0.0.1:${base + 1}/mcp`, '--port', String(base + 4),
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], timeout: WITHIN_MS },
    );
    let output = '';
    let visited = false;
    const read = (chunk) => {
      output += chunk;
      // The suite waits for a person; following the redirects is all there is to do.
      const url = /^http:\/\/\S+\/authorize\?\S+$/m.exec(output)?.[0];
      if (url && !visited && output.includes('Callback server started')) {
        visited = true;
        fetch(url).catch(() => {});
      }
    };
    suite.stdout.on('data', read);
    suite.stderr.on('data', read);
    const [code] = await once(suite, 'close');
    assert.equal(code, 0, output);
    for (const scenario of ['authorization-server-metadata-endpoint', 'authorization-code-grant']) {
      assert.match(output, new RegExp(`${scenario}: 1 passed, 0 failed`), output);
    }
  });
});

describe('MCP conformance, DPoP at the authorization server', () => {
  let world;
  let metadata;

  before(async () => {
    world = await startDev();
    const response = await fetch(`${world.issuer}/.well-known/oauth-authorization-server`);
    metadata = await response.json();
  });
  after(async () => world?.stop());

  test('sep-1932-as-metadata-alg-values and sep-1932-as-no-none-alg', () => {
    const algorithms = metadata.dpop_signing_alg_values_supported;
    assert.ok(algorithms.length > 0);
    assert.ok(algorithms.every((name) => name !== 'none' && !name.startsWith('HS')), algorithms);
  });

  async function redeem({ withProof }) {
    const redirect = 'http://127.0.0.1:53682/callback';
    const registration = await fetch(metadata.registration_endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token_endpoint_auth_method: 'none', redirect_uris: [redirect] }),
    });
    const { client_id } = await registration.json();
    const verifier = oauth.generateRandomCodeVerifier();
    const query = new URLSearchParams({
      client_id,
      response_type: 'code',
      redirect_uri: redirect,
      resource: `${world.gateway}/`,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    const sent = await fetch(`${metadata.authorization_endpoint}?${query}`, { redirect: 'manual' });
    const code = new URL(sent.headers.get('location')).searchParams.get('code');
    const key = await newKey();
    const headers = withProof
      ? { dpop: await proof(key, 'POST', metadata.token_endpoint) }
      : undefined;
    const response = await fetch(metadata.token_endpoint, {
      method: 'POST',
      headers,
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        client_id,
        redirect_uri: redirect,
        code,
        code_verifier: verifier,
      }),
    });
    return { status: response.status, body: await response.json(), key };
  }

  test('sep-1932-as-dpop-bound-enforcement', async () => {
    const { status, body } = await redeem({ withProof: false });
    assert.equal(status, 400);
    assert.equal(body.access_token, undefined);
  });

  test('sep-1932-as-token-binding', async () => {
    const { status, body, key } = await redeem({ withProof: true });
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(body.token_type, 'DPoP');
    const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
    const { payload } = await jwtVerify(body.access_token, keys, { issuer: world.issuer });
    assert.equal(payload.cnf.jkt, key.jkt);
  });
});
