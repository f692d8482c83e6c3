// Debian's Apache with mod_oauth2 from a directory of the test: DPoP-bound tokens over HTTP, or
// certificate-bound ones over TLS.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePortBase } from './keybound.mjs';

const PROGRAM = '/usr/sbin/apache2';
const MODULES = '/usr/lib/apache2/modules';
const READY_WITHIN_MS = 20_000;

export const APACHE_INSTALL = 'apt-get install apache2-bin libapache2-mod-oauth2';

/** Why Apache cannot be asked here; nothing where it can. */
export async function apacheMissing() {
  const files = [PROGRAM, `${MODULES}/mod_oauth2.so`];
  const found = await Promise.all(files.map((file) => access(file).then(() => true, () => false)));
  return found.every(Boolean) ? undefined : `not installed: ${APACHE_INSTALL}`;
}

/**
 * Starts it for tokens of `trust`. With `tls` (files `certificate`, `key` and `authority`) it takes
 * tokens bound to the client certificate.
 */
export async function startApache({ directory, trust, tls }) {
  const root = path.join(directory, tls ? 'apache-tls' : 'apache');
  await mkdir(path.join(root, 'htdocs'), { recursive: true });
  await writeFile(path.join(root, 'htdocs', 'things'), '{"ok":true}\n');
  const port = await freePortBase(1);
  const jwk = JSON.stringify(trust.jwk).replaceAll('"', '\\"');
  const verify = tls ? 'type=mtls' : 'type=dpop';
  const accept = tls ? '' : 'OAuth2AcceptTokenIn header name=Authorization&type=DPoP';
  const secure = tls
    ? `SSLEngine on
SSLCertificateFile ${tls.certificate}
SSLCertificateKeyFile ${tls.key}
SSLCACertificateFile ${tls.authority}
SSLVerifyClient ${tls.verify ?? 'optional_no_ca'}
SSLOptions +StdEnvVars +ExportCertData
SSLSessionTickets on`
    : '';
  const modules = [
    ['mpm_event_module', 'mod_mpm_event.so'],
    ['authn_core_module', 'mod_authn_core.so'],
    ['authz_core_module', 'mod_authz_core.so'],
    ['authz_user_module', 'mod_authz_user.so'],
    ['oauth2_module', 'mod_oauth2.so'],
    ...(tls ? [['ssl_module', 'mod_ssl.so']] : []),
  ];
  const config = path.join(root, 'apache.conf');
  await writeFile(
    config,
    `${modules.map(([name, file]) => `LoadModule ${name} ${MODULES}/${file}`).join('\n')}
ServerRoot ${root}
ServerName localhost:${port}
Listen 127.0.0.1:${port}
PidFile ${root}/apache.pid
ErrorLog ${root}/error.log
LogLevel error
DefaultRuntimeDir ${root}
DocumentRoot ${root}/htdocs
ServerLimit 1
StartServers 1
ThreadsPerChild 16
MaxRequestWorkers 16
KeepAlive On
${secure}
<Location />
AuthType oauth2
${accept}
OAuth2TokenVerify jwk "${jwk}" ${verify}&verify.exp=required
Require valid-user
</Location>
`,
  );
  let text = '';
  const child = spawn(PROGRAM, ['-D', 'FOREGROUND', '-f', config], { stdio: ['ignore', 'pipe', 'pipe'] });
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
      const log = await readFile(path.join(root, 'error.log'), 'utf8').catch(() => '');
      throw new Error(`Apache does not become ready\n${text}\n${log}`);
    }
    await sleep(50);
  }
  const scheme = tls ? 'https' : 'http';
  const host = tls ? 'localhost' : '127.0.0.1';
  return { url: `${scheme}://${host}:${port}/things`, log: path.join(root, 'error.log'), stop };
}

/** Whether somebody takes connections there. */
export async function listens(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
