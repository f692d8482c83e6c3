// A real Chromium through log-in and consent: `keybound serve` with issuer and control, the link
// of `keybound login`, and npm openid-client as the program that wants to act for somebody.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { calculateJwkThumbprint, decodeJwt, exportJWK } from 'jose';
import * as client from 'openid-client';
import { chromium } from 'playwright-core';
import { freePortBase, keybound, startServer, temporaryDirectory } from '../lib/keybound.mjs';

const CHROMIUM = '/usr/bin/chromium';

/** The program's own little server, which the person comes back to. */
function startCallback(port) {
  let arrived;
  const url = new Promise((resolve) => (arrived = resolve));
  const server = http.createServer((request, response) => {
    response.end('You can close this page.');
    if (request.url.startsWith('/callback')) arrived(new URL(request.url, `http://127.0.0.1:${port}`));
  });
  server.listen(port, '127.0.0.1');
  return { url, stop: () => server.close() };
}

describe('people', () => {
  let directory;
  let server;
  let browser;
  let base;
  let profile;

  before(async () => {
    directory = await temporaryDirectory();
    base = await freePortBase(5);
    const write = (name, text) => writeFile(path.join(directory, name), text, { mode: 0o600 });
    await mkdir(directory, { recursive: true });
    await write('kek', randomBytes(32).toString('base64url'));
    const made = await keybound(['key', 'new', '--out', path.join(directory, 'ann.pem')]);
    assert.equal(made.code, 0, made.stderr);
    const shown = await keybound(['key', 'show', path.join(directory, 'ann.pem'), '--jwks']);
    assert.equal(shown.code, 0, shown.stderr);
    await write('ann.jwks.json', shown.stdout);
    await write(
      'keybound.toml',
      `[store]
url = "sqlite:${directory}/keybound.db"
key_encryption_key_file = "kek"
[issuer]
url = "http://127.0.0.1:${base}"
listen = "127.0.0.1:${base}"
[issuer.authorization]
[issuer.registration]
mode = "open"
resources = ["http://127.0.0.1:${base + 1}/"]
scopes = ["approvals:read", "approvals:write"]
[[issuer.resource]]
url = "http://127.0.0.1:${base + 1}/"
scopes = ["approvals:read", "approvals:write"]
[[issuer.client]]
id = "ann"
auth = "private_key_jwt"
jwks = "ann.jwks.json"
scopes = ["keybound:read", "keybound:respond"]
resources = ["http://127.0.0.1:${base + 2}/"]
[control]
url = "http://127.0.0.1:${base + 2}"
listen = "127.0.0.1:${base + 2}"
[management]
listen = "127.0.0.1:${base + 3}"
`,
    );
    profile = path.join(directory, 'ann.toml');
    await write(
      'ann.toml',
      `issuer = "http://127.0.0.1:${base}"
client_id = "ann"
key = "file:ann.pem"
control = "http://127.0.0.1:${base + 2}"
`,
    );
    server = await startServer(
      ['serve', '--config', path.join(directory, 'keybound.toml')],
      base + 3,
    );
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  async function logIn(page) {
    const link = await keybound(['login', '--profile', profile, '--json']);
    assert.equal(link.code, 0, link.stderr);
    const { url, identity } = JSON.parse(link.stdout);
    assert.equal(identity, 'ann');
    await page.goto(url);
    await show(page, 'log-in');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByText('You are logged in').waitFor();
    const used = await fetch(url);
    assert.equal(used.status, 410, 'the link works once');
  }

  /** A picture of the page, for whoever wants to look. */
  async function show(page, name) {
    const folder = process.env.KEYBOUND_PICTURES;
    if (folder) await page.screenshot({ path: path.join(folder, `${name}.png`) });
  }

  /** Registers, pushes a request, and says where the person has to go. */
  async function program(callback) {
    const config = await client.dynamicClientRegistration(
      new URL(`http://127.0.0.1:${base}`),
      {
        client_name: 'Expense <b>helper</b>',
        token_endpoint_auth_method: 'none',
        redirect_uris: [callback],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
      },
      client.None(),
      { algorithm: 'oauth2', execute: [client.allowInsecureRequests] },
    );
    const key = await client.randomDPoPKeyPair('ES256');
    const DPoP = client.getDPoPHandle(config, key);
    const verifier = client.randomPKCECodeVerifier();
    const state = client.randomState();
    const url = await client.buildAuthorizationUrlWithPAR(
      config,
      {
        redirect_uri: callback,
        scope: 'approvals:read',
        resource: `http://127.0.0.1:${base + 1}/`,
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        state,
      },
      { DPoP },
    );
    const redeem = (location) =>
      client.authorizationCodeGrant(
        config,
        location,
        { pkceCodeVerifier: verifier, expectedState: state },
        undefined,
        { DPoP },
      );
    return { url, redeem, jkt: await calculateJwkThumbprint(await exportJWK(key.publicKey)) };
  }

  test('whoever is not logged in is told how to be', async () => {
    const page = await (await browser.newContext()).newPage();
    const { url } = await program(`http://127.0.0.1:${base + 4}/callback`);
    await page.goto(url.href);
    await page.getByText('keybound login').waitFor();
    await show(page, 'log-in-first');
    assert.equal(await page.getByRole('button').count(), 0);
  });

  test('a person reads, allows, and the token is theirs and bound', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const faults = [];
    page.on('console', (message) => faults.push(message.text()));
    page.on('pageerror', (error) => faults.push(error.message));
    await logIn(page);
    const callback = startCallback(base + 4);
    try {
      const { url, redeem, jkt } = await program(`http://127.0.0.1:${base + 4}/callback`);
      await page.goto(url.href);
      await page.getByRole('heading', { name: 'Expense <b>helper</b> wants to act for you' }).waitFor();
      await show(page, 'consent');
      const text = await page.locator('main').innerText();
      for (const said of ['ann', 'approvals:read', 'For 30 days', jkt, 'registered itself']) {
        assert.ok(text.includes(said), `${said}: ${text}`);
      }
      await page.getByRole('button', { name: 'Allow' }).click();
      const tokens = await redeem(await callback.url);
      const claims = decodeJwt(tokens.access_token);
      assert.deepEqual([claims.sub, claims.cnf.jkt], ['ann', jkt]);
    } finally {
      callback.stop();
    }
    assert.deepEqual(faults, []);
  });

  test('a person says no', async () => {
    const page = await (await browser.newContext()).newPage();
    await logIn(page);
    const callback = startCallback(base + 4);
    try {
      const { url, redeem } = await program(`http://127.0.0.1:${base + 4}/callback`);
      await page.goto(url.href);
      await page.getByRole('button', { name: 'Deny' }).click();
      await assert.rejects(redeem(await callback.url), { error: 'access_denied' });
    } finally {
      callback.stop();
    }
  });

  test('a page of another site cannot decide', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await logIn(page);
    const { url } = await program(`http://127.0.0.1:${base + 4}/callback`);
    await page.goto(url.href);
    const id = new URL(page.url()).searchParams.get('id');
    const evil = http.createServer((request, response) => {
      response.setHeader('content-type', 'text/html');
      response.end(
        `<form method="post" action="http://127.0.0.1:${base}/consent">` +
          `<input name="id" value="${id}"><button name="decision" value="allow">Win</button></form>` +
          `<iframe src="http://127.0.0.1:${base}/consent?id=${id}"></iframe>`,
      );
    });
    await new Promise((resolve) => evil.listen(0, '127.0.0.1', resolve));
    try {
      await page.goto(`http://localhost:${evil.address().port}/`);
      const frame = page.frames().find((one) => one !== page.mainFrame());
      assert.ok(!(await frame.content()).includes('wants to act'), 'the page lets itself be framed');
      const answered = page.waitForResponse((response) => response.url().endsWith('/consent'));
      await page.getByRole('button', { name: 'Win' }).click();
      assert.equal((await answered).status(), 403);
    } finally {
      evil.close();
    }
  });
});
