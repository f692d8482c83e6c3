// The Python that has the packages of `peers/requirements.txt`: `interop/.venv`, or the one that
// KEYBOUND_INTEROP_PYTHON names.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const own = fileURLToPath(new URL('../.venv/bin/python', import.meta.url));

export const PYTHON_INSTALL =
  'python3 -m venv interop/.venv && interop/.venv/bin/python interop/peers/install.py';

/** The interpreter; nothing where there is none. */
export async function python() {
  const file = process.env.KEYBOUND_INTEROP_PYTHON ?? own;
  return access(file).then(() => file, () => undefined);
}

/** Why the Python peers cannot be asked here; nothing where they can. */
export async function pythonMissing() {
  return (await python()) ? undefined : `not installed: ${PYTHON_INSTALL}`;
}

/** Starts a script that prints the port it listens on as its first line. */
export async function startPython(script, args) {
  const file = fileURLToPath(new URL(`../peers/${script}`, import.meta.url));
  const child = spawn(await python(), ['-u', file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (chunk) => (complaint += chunk));
  const port = await new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
      if (text.includes('\n')) resolve(Number(text.trim()));
    });
    child.once('exit', (code) => reject(new Error(`${script} ended with ${code}\n${complaint}`)));
  });
  return {
    url: `http://127.0.0.1:${port}/things`,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    },
  };
}
