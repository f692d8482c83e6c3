// Certificates made with openssl: an authority, a server `localhost`, two clients, and the first
// client's renewed with the same key.

import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const OPENSSL_INSTALL = 'apt-get install openssl';

/** Why no certificates can be made here; nothing where they can. */
export async function opensslMissing() {
  return run('openssl', ['version']).then(() => undefined, () => `not installed: ${OPENSSL_INSTALL}`);
}

/** The files of every certificate and key, in a folder of `directory`. */
export async function makeCertificates(directory) {
  const root = path.join(directory, 'certificates');
  await mkdir(root, { recursive: true, mode: 0o700 });
  const file = (name) => path.join(root, name);
  const openssl = (...args) => run('openssl', args, { cwd: root });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'];
  await openssl(
    'req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=test authority',
    '-days', '2',
  );
  await writeFile(file('server.ext'), 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n');
  await writeFile(file('client.ext'), 'extendedKeyUsage=clientAuth\n');
  const sign = async (name, request, kind, serial) =>
    openssl(
      'x509', '-req', '-in', request, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', serial,
      '-days', '2', '-extfile', `${kind}.ext`, '-out', `${name}.pem`,
    );
  const issue = async (name, common, kind, serial) => {
    await openssl(
      'req', '-new', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${common}`,
    );
    await sign(name, `${name}.csr`, kind, serial);
  };
  await issue('server', 'localhost', 'server', '10');
  await issue('owner', 'the owner', 'client', '11');
  await issue('another', 'another client', 'client', '12');
  await sign('renewed', 'owner.csr', 'client', '13');
  const der = new X509Certificate(await readFile(file('owner.pem'))).raw;
  return { file, thumbprint: await sha256(der) };
}

async function sha256(bytes) {
  return Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('base64url');
}
