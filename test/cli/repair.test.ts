/** A damaged store, and `dirpost repair`: what the network holds comes back. */
import { open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cycle, type Office } from '../demo/office.ts';
import { makePerson } from '../demo/people.ts';
import { expectInStep, freshBranches } from './branches.ts';
import { smallStaff } from './network.ts';
import { startAgent } from './running-agent.ts';

/** Octets of pages in the middle are others. */
async function damage(office: Office): Promise<void> {
  const path = join(office.data, 'store.db');
  const { size } = await stat(path);
  const file = await open(path, 'r+');
  for (let at = 8_192; at + 4_096 < size; at += 12_288) await file.write(Buffer.alloc(2_000, 0x5a), 0, 2_000, at + 500);
  await file.close();
}

async function wholeStore(office: Office): Promise<{ code: number | null; result: string | undefined }> {
  const ran = await office.run('check', '--store', '--json');
  const { findings } = JSON.parse(ran.out) as { findings: { what: string; result: string; text: string }[] };
  // SQLite puts many faults into one text: a line each.
  expect(findings.filter(({ text }) => text.includes('\n'))).toEqual([]);
  return { code: ran.code, result: findings.find(({ what }) => what === 'whole store')?.result };
}

describe('a store', () => {
  it('that is whole is found to be so, also beside a running agent; without --store it is not read', async () => {
    const { hq } = await freshBranches();
    expect(await wholeStore(hq)).toMatchObject({ result: 'ok' });
    const agent = await startAgent(hq);
    try {
      expect(await wholeStore(hq)).toMatchObject({ result: 'ok' });
    } finally {
      await agent.stop();
    }
    expect((await hq.run('check')).out).not.toContain('whole store');
  });

  it.each(['oslo', 'hq'])('that is damaged at %s is found, and a new one gets everything back', async (name) => {
    const offices = await freshBranches();
    const { hq, oslo, bergen } = offices;
    const harmed = name === 'hq' ? hq : oslo;
    const before = await harmed.status();
    await damage(harmed);
    expect(await wholeStore(harmed)).toEqual({ code: 1, result: 'fault' });
    const { newStore } = await harmed.json<{ newStore: { aside: string } }>('repair', '--new-store');
    expect(await readdir(newStore.aside)).toContain('store.db');
    expect(await wholeStore(harmed)).toMatchObject({ result: 'ok' });
    const staff = smallStaff('bergen');
    staff.people.push(makePerson('bergen', 9_001));
    await bergen.writePeople(staff);
    await cycle([hq, oslo, bergen]);
    await cycle([hq, oslo, bergen]);
    await expectInStep(hq, oslo, bergen);
    expect((await harmed.status()).own.live).toBe(before.own.live);
  });

  it('that is gone is made anew in the same way', async () => {
    const { hq, oslo, bergen } = await freshBranches();
    for (const file of ['store.db', 'store.db-wal', 'store.db-shm']) await rm(join(oslo.data, file), { force: true });
    expect(await oslo.json('repair', '--new-store')).toMatchObject({ newStore: { aside: null } });
    await cycle([hq, oslo, bergen]);
    await expectInStep(hq, oslo, bergen);
  });

  it('is not taken away from a running agent', async () => {
    const { oslo } = await freshBranches();
    const agent = await startAgent(oslo);
    try {
      const ran = await oslo.run('repair', '--new-store');
      expect(ran).toMatchObject({ code: 1, err: expect.stringContaining('is using the data folder') });
    } finally {
      await agent.stop();
    }
  });
});

it('repair asks for everything and submits everything, once', async () => {
  const { hq, oslo, bergen } = await freshBranches();
  const before = (await oslo.status()).own.counts;
  await oslo.must('repair');
  await cycle([hq, oslo, bergen]);
  const after = (await oslo.status()).own.counts;
  expect(after['repairs']).toBe(before['repairs']! + 1);
  expect(after['fulls']).toBe(before['fulls']! + 1);
  await expectInStep(hq, oslo, bergen);
  expect((await oslo.status()).own.counts).toMatchObject({ repairs: after['repairs'], fulls: after['fulls'] });
});

describe('a key file', () => {
  it('that is sealed shows no key, works with every command, stays sealed in a roll-over, and is plain again', async () => {
    const { root, hq, oslo, bergen } = await freshBranches();
    await writeFile(join(root, 'secret'), 'five words are hard to guess\n');
    const path = join(oslo.data, 'keys.json');
    const plain = JSON.parse(await readFile(path, 'utf8')) as { signing: string };
    await oslo.must('keys', 'protect', '--passphrase-command', `cat ${join(root, 'secret')}`);
    expect(await readFile(path, 'utf8')).not.toMatch(/AGE-SECRET-KEY|signing/);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await cycle([hq, oslo, bergen]);
    await oslo.must('keys', 'roll');
    expect(await readFile(path, 'utf8')).not.toMatch(/AGE-SECRET-KEY|signing/);
    await expectInStep(hq, oslo, bergen);
    await oslo.must('keys', 'protect', '--off');
    expect((JSON.parse(await readFile(path, 'utf8')) as { signing: string }).signing).not.toBe(plain.signing);
    await expectInStep(hq, oslo, bergen);
  });

  it('whose passphrase is another, or cannot be had, says what is the matter', async () => {
    const { root, oslo } = await freshBranches();
    const secret = join(root, 'secret');
    await writeFile(secret, 'five words are hard to guess\n');
    await oslo.must('keys', 'protect', '--passphrase-file', secret);
    await writeFile(secret, 'five words that nobody chose\n');
    const wrong = await oslo.run('sync', '--wait', '0');
    expect(wrong).toMatchObject({
      code: 2,
      err: expect.stringMatching(/not opened by its passphrase.*\n.*the file .*secret/),
    });
    await rm(secret);
    expect(await oslo.run('sync', '--wait', '0')).toMatchObject({ code: 1, err: expect.stringContaining('secret') });
    expect((await oslo.run('keys', 'protect', '--off')).code).toBe(1);
  });

  it('is sealed by one way, and by no short passphrase', async () => {
    const { root, oslo } = await freshBranches();
    const before = await readFile(join(oslo.data, 'keys.json'));
    await writeFile(join(root, 'secret'), 'short\n');
    expect(await oslo.run('keys', 'protect')).toMatchObject({ code: 2, err: expect.stringContaining('Say one') });
    const short = await oslo.run('keys', 'protect', '--passphrase-file', join(root, 'secret'));
    expect(short).toMatchObject({ code: 2, err: expect.stringContaining('shorter than 10') });
    expect(await readFile(join(oslo.data, 'keys.json'))).toEqual(before);
  });
});

it('keys that are damaged or gone say which file it is, and what helps', async () => {
  const { oslo } = await freshBranches();
  const path = join(oslo.data, 'keys.json');
  await writeFile(path, 'garbage');
  const damaged = await oslo.run('status');
  expect(damaged).toMatchObject({ code: 2, err: expect.stringMatching(/keys\.json is damaged\. .*\n.*a backup/) });
  expect(damaged.err).not.toContain('garbage');
  await rm(path);
  expect(await oslo.run('status')).toMatchObject({ code: 2, err: expect.stringMatching(/no keys in .*\n.*a backup/) });
});
