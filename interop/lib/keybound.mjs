// Starts the real `keybound` program on free loopback ports with a temporary data directory, and
// ends it again. Nothing is shared between test files.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const READY_WITHIN_MS = 30_000;
const STOPPED_WITHIN_MS = 15_000;
const COMMAND_WITHIN_MS = 30_000;

/** The executable under test; `cargo xtask interop` builds it and sets the variable. */
export function executable() {
  const file = process.env.KEYBOUND_BIN;
  if (!file) throw new Error('KEYBOUND_BIN is not set; run `cargo xtask interop`');
  return file;
}

export async function temporaryDirectory() {
  return mkdtemp(path.join(os.tmpdir(), 'keybound-interop-'));
}

/** `keybound dev` with everything it offers; `stop()` ends it and removes its data. */
export async function startDev() {
  const directory = await temporaryDirectory();
  const base = await freePortBase(5);
  const server = await startServer(
    ['dev', '--port-base', String(base), '--data-dir', path.join(directory, 'data')],
    base + 3,
  );
  return {
    issuer: `http://127.0.0.1:${base}`,
    gateway: `http://127.0.0.1:${base + 1}`,
    control: `http://127.0.0.1:${base + 2}`,
    management: `http://127.0.0.1:${base + 3}`,
    output: server.output,
    async stop() {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A long-running `keybound` command; resolves when its management listener says ready. */
export async function startServer(args, managementPort) {
  let text = '';
  const child = spawn(executable(), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.on('data', (chunk) => (text += chunk));
  child.stderr.on('data', (chunk) => (text += chunk));
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const late = sleep(STOPPED_WITHIN_MS, 'late', { ref: false });
    if ((await Promise.race([exited, late])) === 'late') {
      child.kill('SIGKILL');
      throw new Error(`keybound did not stop within ${STOPPED_WITHIN_MS} ms\n${text}`);
    }
  };
  try {
    await ready(`http://127.0.0.1:${managementPort}/readyz`, child, () => text);
  } catch (error) {
    await stop();
    throw error;
  }
  return { output: () => text, stop };
}

/** Runs one command to its end. */
export async function keybound(args, { env = {}, input = '' } = {}) {
  const child = spawn(executable(), args, {
    env: { PATH: process.env.PATH, NO_COLOR: '1', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: COMMAND_WITHIN_MS,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  // A command that reads no input may end before it is offered any.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code, signal] = await once(child, 'close');
  return { code, signal, stdout, stderr };
}

/** The first of `count` neighbouring ports that are all free now. */
export async function freePortBase(count) {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const base = 20_000 + Math.floor(Math.random() * 20_000);
    const ports = Array.from({ length: count }, (_, index) => base + index);
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return base;
  }
  throw new Error('no free neighbouring ports found');
}

/** Calls `probe` until it gives a value; what it threw last when the time is up. */
export async function eventually(probe, withinMs = 5_000) {
  const deadline = Date.now() + withinMs;
  for (;;) {
    try {
      return await probe();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(20);
    }
  }
}

async function ready(url, child, output) {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`keybound ended with ${child.exitCode ?? child.signalCode}\n${output()}`);
    }
    const response = await fetch(url).catch(() => undefined);
    await response?.arrayBuffer();
    if (response?.ok) return;
    await sleep(50);
  }
  throw new Error(`not ready within ${READY_WITHIN_MS} ms\n${output()}`);
}

async function isFree(port) {
  return new Promise((resolve) => {
    const probe = net.createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
