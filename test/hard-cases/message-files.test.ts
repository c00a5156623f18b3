/** Design §11: message files that are lost, spoilt, late by a year, or deleted before they were sent. */
import { copyFile, mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { essence } from '../cli/network.ts';
import { makePerson } from '../demo/people.ts';
import { changeTitle, cycles, expectAgreed, freshOffices, standsAt } from './branches.ts';

const DAY_MS = 86_400_000;

afterEach(() => vi.useRealTimers());

// Whole networks, and machines that have other work to do.
vi.setConfig({ testTimeout: 180_000 });

describe('message files', () => {
  it('outgoing queue deleted, and the mailbox wiped: what they held is sent again, since it comes from the store', async () => {
    const { oslo, hq, all, staff } = await freshOffices();
    await changeTitle(oslo, staff.oslo, 0, 'Captain');
    await oslo.must('sync', '--wait', '0');
    expect(await hq.waiting()).not.toEqual([]);
    await rm(oslo.exchange, { recursive: true });
    await mkdir(oslo.exchange);
    await rm(join(oslo.data, 'spool', 'outgoing'), { recursive: true, force: true });
    await cycles(3, all);
    await expectAgreed(...all);
  });

  it('a corrupt one is applied by no part of it, and kept; its content comes with the next', async () => {
    const { hq, oslo, all, staff } = await freshOffices();
    for (let i = 0; i < 5; i++) staff.oslo.people.push(makePerson('oslo', 600 + i));
    await oslo.writePeople(staff.oslo);
    await oslo.must('sync', '--wait', '0');
    const [file] = await hq.waiting();
    const bytes = await readFile(file!);
    for (const [i, damage] of [bytes.subarray(0, bytes.length >> 1), flipped(bytes)].entries()) {
      const before = essence(await hq.status());
      await writeFile(file!, damage);
      // One that ends early and is young may still be on its way into the folder.
      const hoursAgo = (Date.now() - 2 * 3_600_000) / 1_000;
      await utimes(file!, hoursAgo, hoursAgo);
      expect(await hq.run('dispatch')).toMatchObject({ code: 1, out: expect.stringMatching(/kept as corrupt\//) });
      expect(essence(await hq.status())).toEqual(before);
      expect((await hq.status()).corrupt).toBe(i + 1);
    }
    await cycles(2, all);
    await expectAgreed(...all);
  });

  it('a stick with those of a year ago changes nothing', async () => {
    const { root, hq, oslo, bergen, all, staff } = await freshOffices();
    const stick = join(root, 'stick');
    await mkdir(stick);
    await changeTitle(oslo, staff.oslo, 0, 'Cook');
    await oslo.must('sync', '--wait', '0');
    for (const file of await hq.waiting()) await copyFile(file, join(stick, `hq-${file.slice(-36)}`));
    await hq.must('sync');
    for (const office of [oslo, bergen])
      for (const file of await office.waiting()) await copyFile(file, join(stick, `${office.name}-${file.slice(-36)}`));
    await cycles(2, all);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 365 * DAY_MS });
    await changeTitle(oslo, staff.oslo, 0, 'Captain');
    await cycles(3, all);
    const before = await Promise.all(all.map(async (office) => essence(await office.status())));
    const names = await readdir(stick);
    expect(names.length).toBeGreaterThan(1);
    for (const name of names) {
      const to = all.find((office) => name.startsWith(`${office.name}-`))!;
      await copyFile(join(stick, name), join(to.inbox, name.slice(to.name.length + 1)));
    }
    for (const office of [...all, hq]) await office.run('dispatch');
    expect(await Promise.all(all.map(async (office) => essence(await office.status())))).toEqual(before);
    await expectAgreed(...all);
  });
});

describe('a requestor that is silent for longer than deletions are remembered', () => {
  it('is marked stale, and gets everything on its return: who is gone is gone there too', async () => {
    const { hq, oslo, bergen, all, staff } = await freshOffices();
    const here = [hq, oslo];
    const startMs = Date.now();
    vi.useFakeTimers({ toFake: ['Date'], now: startMs });
    const [gone] = staff.oslo.people.splice(2, 1);
    for (const group of staff.oslo.groups) group.members = group.members.filter((key) => key !== gone!.key);
    await oslo.writePeople(staff.oslo);
    for (let month = 1; month <= 4; month++) {
      vi.setSystemTime(startMs + month * 31 * DAY_MS);
      await cycles(1, here);
    }
    expect([...(await standsAt(bergen))].some((dn) => dn.includes(`uid=${gone!.uid},`))).toBe(true);
    await cycles(3, all);
    expect([...(await standsAt(bergen))].some((dn) => dn.includes(`uid=${gone!.uid},`))).toBe(false);
    await expectAgreed(...all);
  });
});

describe('clocks', () => {
  it.each([-400, 400, -1])('that jump by %i days put nothing out of order', async (days) => {
    const { oslo, all, staff } = await freshOffices();
    await changeTitle(oslo, staff.oslo, 0, 'Cook');
    await cycles(1, all);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + days * DAY_MS });
    await changeTitle(oslo, staff.oslo, 0, 'Captain');
    await cycles(2, all);
    await expectAgreed(...all);
  });
});

function flipped(bytes: Buffer): Buffer {
  const out = Buffer.from(bytes);
  out[out.length >> 1]! ^= 1;
  return out;
}
