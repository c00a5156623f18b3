import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { StoreTx } from '@dirpost/core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openConnection } from './connection.ts';
import { LargeExecutor } from './large.ts';
import { runTransaction } from './session.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dirpost-large-'));
  path = join(folder, 'store.db');
  openConnection(path, {}).close();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = (executor: LargeExecutor, value: number) =>
  runTransaction(executor, 'write', (tx: StoreTx) => tx.putDocument('n', value));

it('a thread that was idle has ended, and the next transaction has another', async () => {
  const executor = new LargeExecutor(path, {}, 0);
  for (let n = 0; n < 5; n++) {
    await write(executor, n);
    expect(executor.isRunning).toBe(true);
    while (executor.isRunning) await turn();
  }
  expect(await runTransaction(executor, 'read', (tx: StoreTx) => tx.getDocument('n'))).toBe(4);
  await executor.close();
});

it('a transaction that begins while the thread ends is not disturbed by it', async () => {
  const executor = new LargeExecutor(path, {}, 0);
  for (let n = 0; n < 20; n++) {
    await write(executor, n);
    if (n % 2 === 0) await turn();
  }
  expect(await runTransaction(executor, 'read', (tx: StoreTx) => tx.getDocument('n'))).toBe(19);
  await executor.close();
});

it('folding the log while a transaction runs ends neither the thread nor the process that waits for it', async () => {
  const executor = new LargeExecutor(path, {}, 0);
  const folding = executor.foldLog();
  await runTransaction(executor, 'write', async (tx: StoreTx) => {
    await folding;
    for (let n = 0; n < 20; n++) await turn();
    expect(executor.isRunning).toBe(true);
    await tx.putDocument('n', 1);
  });
  expect(await runTransaction(executor, 'read', (tx: StoreTx) => tx.getDocument('n'))).toBe(1);
  await executor.close();
});

it('a process that closes the store while the log is folded does not end before', () => {
  // In a process of its own: one whose loop has run empty ends with code 13.
  const built = new URL('../../../dist/stores/sqlite/', import.meta.url).href;
  const script = `
    const { openConnection } = await import('${built}connection.js');
    const { LargeExecutor } = await import('${built}large.js');
    openConnection(process.argv[1], {}).close();
    const executor = new LargeExecutor(process.argv[1], {});
    executor.foldLog().catch(() => {});
    await executor.close();
    console.log('closed');`;
  const args = ['--input-type=module', '--eval', script, path];
  expect(spawnSync(process.execPath, args, { encoding: 'utf8' })).toMatchObject({ status: 0, stdout: 'closed\n' });
});
