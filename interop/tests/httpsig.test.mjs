// http-message-signatures (PyPI), an independent implementation of RFC 9421, against ours: each
// verifies what the other signs, and refuses it when it was changed.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { python, pythonMissing } from '../lib/python.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const script = fileURLToPath(new URL('../peers/message_signature.py', import.meta.url));
const ours = ['cargo', 'run', '--quiet', '--locked', '--package', 'keybound-proto', '--example', 'message_signature'];

test('both verify what the other signs', { skip: await pythonMissing() }, async () => {
  const command = await python();
  const run = spawnSync(command, [script, ...ours], { cwd: root, encoding: 'utf8' });
  const lines = run.stdout.trim().split('\n');
  const failed = lines.filter((line) => line.startsWith('not ok'));
  assert.deepEqual(failed, [], run.stderr);
  assert.equal(run.status, 0, run.stderr);
  assert.ok(lines.filter((line) => line.startsWith('ok they sign')).length >= 40);
  assert.ok(lines.filter((line) => line.startsWith('ok we sign')).length >= 24);
});
