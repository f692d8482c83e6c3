// TLS terminators that ask for a client certificate and hand it on: nginx, HAProxy and Caddy from
// `interop/.proxies`, Apache httpd from Debian, Envoy from its wheel. Their configurations are the
// files in `proxies/`; the guide on mutual TLS shows the same lines.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { listens } from './apache.mjs';
import { envoyProgram } from './envoy.mjs';

const READY_WITHIN_MS = 30_000;
const unpacked = fileURLToPath(new URL('../.proxies', import.meta.url));
const templates = new URL('../proxies/', import.meta.url);
const MODULES = '/usr/lib/apache2/modules';

export const PROXIES_INSTALL = 'interop/.venv/bin/python interop/peers/proxies.py';

const libraryPath = ['x86_64-linux-gnu', 'aarch64-linux-gnu']
  .map((triple) => path.join(unpacked, 'usr/lib', triple))
  .join(':');

/** What each terminator is, and how it is started. */
const PROXIES = {
  nginx: {
    profile: 'nginx',
    program: () => path.join(unpacked, 'usr/sbin/nginx'),
    template: 'nginx.conf',
    args: (root, config) => ['-p', root, '-c', config],
  },
  haproxy: {
    profile: 'haproxy',
    program: () => path.join(unpacked, 'usr/sbin/haproxy'),
    template: 'haproxy.cfg',
    args: (root, config) => ['-f', config, '-db'],
  },
  caddy: {
    profile: 'caddy',
    program: () => path.join(unpacked, 'usr/bin/caddy'),
    template: 'Caddyfile',
    args: (root, config) => ['run', '--config', config, '--adapter', 'caddyfile'],
  },
  apache: {
    profile: 'nginx',
    program: () => '/usr/sbin/apache2',
    template: 'apache.conf',
    args: (root, config) => ['-D', 'FOREGROUND', '-f', config],
  },
  envoy: {
    profile: 'envoy',
    program: envoyProgram,
    template: 'envoy.yaml',
    args: (root, config) => [
      '-c', config, '--log-level', 'warning', '--use-dynamic-base-id', '--concurrency', '1',
    ],
  },
};

export const NAMES = Object.keys(PROXIES);

/** The profile of the gateway that understands a terminator. */
export function profileOf(name) {
  return PROXIES[name].profile;
}

/** Why a terminator cannot be started here; nothing where it can. */
export async function proxyMissing(name) {
  const file = await PROXIES[name].program();
  const found = file && (await access(file).then(() => true, () => false));
  return found ? undefined : `not there: ${name === 'apache' ? 'apt-get install apache2-bin' : PROXIES_INSTALL}`;
}

/** Starts one on `port` in front of the gateway; `file` names the certificates' files. */
export async function startProxy(name, { directory, port, gateway, file }) {
  const proxy = PROXIES[name];
  const root = path.join(directory, `terminator-${name}`);
  await mkdir(root, { recursive: true });
  const bundle = path.join(root, 'server-bundle.pem');
  const parts = await Promise.all([file('server.pem'), file('server.key')].map((one) => readFile(one, 'utf8')));
  await writeFile(bundle, parts.join(''), { mode: 0o600 });
  const values = {
    DIR: root, PORT: port, GATEWAY: gateway, MODULES, SERVER: file('server.pem'),
    SERVER_KEY: file('server.key'), SERVER_BUNDLE: bundle, CLIENT_CA: file('ca.pem'),
  };
  const template = await readFile(new URL(proxy.template, templates), 'utf8');
  const config = path.join(root, proxy.template);
  await writeFile(config, template.replace(/@([A-Z_]+)@/g, (_, key) => String(values[key])));
  let text = '';
  const child = spawn(await proxy.program(), proxy.args(root, config), {
    env: {
      PATH: process.env.PATH, LD_LIBRARY_PATH: libraryPath, HOME: root, XDG_DATA_HOME: root,
      XDG_CONFIG_HOME: root,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.on('data', (chunk) => (text += chunk));
  child.stderr.on('data', (chunk) => (text += chunk));
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  };
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!(await listens(port))) {
    if (Date.now() > deadline || child.exitCode !== null) {
      await stop();
      throw new Error(`${name} does not become ready\n${text}`);
    }
    await sleep(50);
  }
  return { stop, output: () => text };
}
