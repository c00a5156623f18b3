/** A branch that goes on with keys that it has replaced, being restored from before its roll-over. */
import { cp, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expect, it } from 'vitest';
import type { Status } from '../../packages/agent/src/status.ts';
import { cycle, type Office } from '../demo/office.ts';
import { expectInStep } from './branches.ts';
import { withRecoveryKey } from './with-recovery-key.ts';

const attentionTo = async (hq: Office, name: string) =>
  (await hq.json<Status>('status')).server!.requestors.find((one) => one.name === name)!.attention;

const ADVICE = /uses keys that it has replaced.*requestor remove.*--keep-entries.*invite/;

it('the server says so before the overlap ends, and a roll-over of what it does not follow is refused', async () => {
  const { root, hq, oslo, bergen } = await withRecoveryKey();
  await cp(oslo.data, join(root, 'backup'), { recursive: true });
  await oslo.must('keys', 'roll');
  await expectInStep(hq, oslo, bergen);
  expect(await attentionTo(hq, 'oslo')).toEqual([]);
  await rm(oslo.data, { recursive: true });
  await cp(join(root, 'backup'), oslo.data, { recursive: true });
  const said: string[] = [];
  for (let i = 0; i < 3; i++) for (const { out, err } of await cycle([hq, oslo, bergen])) said.push(out + err);
  expect(said.join('\n')).toMatch(/oslo uses keys that it has replaced.*They end on 20/);
  expect(await attentionTo(hq, 'oslo')).toEqual(['older-keys']);
  expect((await hq.must('status')).out).toMatch(ADVICE);
  expect(await oslo.run('keys', 'roll')).toMatchObject({ code: 2, err: expect.stringContaining('has not said yet') });
  // Who joins anew is not warned of.
  const file = join(root, 'oslo.json');
  await oslo.must('peer', 'export', '--out', file);
  await hq.must('peer', 'add', file, '--replace', '--yes');
  await expectInStep(hq, oslo, bergen);
  expect(await attentionTo(hq, 'oslo')).toEqual([]);
});

it('a message file by the keys before a roll-over that comes late warns of nothing', async () => {
  const { root, hq, oslo, bergen } = await withRecoveryKey();
  await oslo.must('sync', '--wait', '0');
  const [late] = await hq.waiting();
  await cp(late!, join(root, 'late.dpm'));
  await expectInStep(hq, oslo, bergen);
  await oslo.must('keys', 'roll');
  await expectInStep(hq, oslo, bergen);
  await cp(join(root, 'late.dpm'), late!);
  await cycle([hq, oslo, bergen]);
  expect(await hq.waiting()).toEqual([]);
  await expectInStep(hq, oslo, bergen);
  expect(await attentionTo(hq, 'oslo')).toEqual([]);
});

it('a message file by the newest keys that comes once more takes the warning from nobody', async () => {
  const { root, hq, oslo, bergen } = await withRecoveryKey();
  await cp(oslo.data, join(root, 'backup'), { recursive: true });
  await oslo.must('keys', 'roll');
  await oslo.must('sync', '--wait', '0');
  const newest = await hq.waiting();
  expect(newest.length).toBeGreaterThan(0);
  for (const file of newest) await cp(file, join(root, basename(file)));
  await expectInStep(hq, oslo, bergen);
  await rm(oslo.data, { recursive: true });
  await cp(join(root, 'backup'), oslo.data, { recursive: true });
  for (let i = 0; i < 3; i++) await cycle([hq, oslo, bergen]);
  expect(await attentionTo(hq, 'oslo')).toEqual(['older-keys']);
  for (const file of newest) await cp(join(root, basename(file)), file);
  await hq.must('dispatch');
  expect(await hq.waiting()).toEqual([]);
  expect(await attentionTo(hq, 'oslo')).toEqual(['older-keys']);
});

it('a branch that was restored does not roll over before the server has answered', async () => {
  const { root, hq, oslo, bergen } = await withRecoveryKey();
  const words = join(root, 'passphrase');
  await writeFile(words, 'correct horse battery staple');
  const backup = join(root, 'oslo.backup');
  await oslo.must('backup', backup, '--passphrase-file', words);
  await oslo.must('restore', backup, '--passphrase-file', words, '--replace');
  expect(await oslo.run('keys', 'roll')).toMatchObject({ code: 2, err: expect.stringContaining('was restored') });
  await cycle([hq, oslo, bergen]);
  await oslo.must('keys', 'roll');
  await expectInStep(hq, oslo, bergen);
});
