/** Design §11: machines that come back as they once were, or twice, or empty. Stores are real, on disk. */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { Office } from '../demo/office.ts';
import { makePerson } from '../demo/people.ts';
import { changeTitle, cloneOf, copyAway, cycles, expectAgreed, freshOffices, putBack, standsAt } from './branches.ts';

// Whole networks, and machines that have other work to do.
vi.setConfig({ testTimeout: 180_000 });

async function hasStopped(office: Office): Promise<boolean> {
  return (await office.json<{ own: { stopped: object | null } }>('status')).own.stopped !== null;
}

describe('server restored from backup', () => {
  it('notices it by itself, takes a new incarnation, and all converge; meanwhile nobody loses an entry', async () => {
    const { hq, oslo, bergen, all, staff } = await freshOffices();
    const backup = await copyAway(hq, 'backup');
    // The backup knows neither the newcomer nor the new title.
    staff.oslo.people.push(makePerson('oslo', 500));
    await changeTitle(oslo, staff.oslo, 0, 'Captain');
    await changeTitle(bergen, staff.bergen, 1, 'Pilot');
    await cycles(2, all);
    const before = (await hq.status()).server!;
    const stood = new Map(await Promise.all(all.map(async (one) => [one, await standsAt(one)] as const)));
    await putBack(hq, backup);
    expect((await hq.status()).server!.seq).toBeLessThan(before.seq);
    for (let i = 0; i < 3; i++) {
      const said = await cycles(1, all);
      if (i === 0) expect(said.map(({ out }) => out).join('')).toMatch(/older copy/);
      for (const office of all) {
        const there = await standsAt(office);
        const lost = [...stood.get(office)!].filter((dn) => !there.has(dn));
        expect(lost, `${office.name} after ${i + 1} cycles`).toEqual([]);
      }
    }
    const after = (await hq.status()).server!;
    expect(after.lives).toBe(before.lives + 1);
    expect(Number.parseInt(after.incarnation, 10)).toBeGreaterThan(Number.parseInt(before.incarnation, 10));
    await expectAgreed(...all);
  });

  it('also when the first who speaks has changed and removed entries meanwhile', async () => {
    const { hq, oslo, all, staff } = await freshOffices();
    const backup = await copyAway(hq, 'backup');
    await changeTitle(oslo, staff.oslo, 0, 'Captain');
    await cycles(2, all);
    await putBack(hq, backup);
    const [gone] = staff.oslo.people.splice(3, 1);
    for (const group of staff.oslo.groups) group.members = group.members.filter((key) => key !== gone!.key);
    await changeTitle(oslo, staff.oslo, 1, 'Cook');
    await cycles(3, all);
    await expectAgreed(...all);
  });
});

describe('requestor restored or cloned', () => {
  it('restored: it goes on as a new incarnation, and nothing comes back that was changed since', async () => {
    const { oslo, all, staff } = await freshOffices();
    const backup = await copyAway(oslo, 'backup');
    const before = (await oslo.status()).own.incarnation;
    await changeTitle(oslo, staff.oslo, 0, 'Captain');
    staff.oslo.people.push(makePerson('oslo', 501));
    await oslo.writePeople(staff.oslo);
    await cycles(2, all);
    await putBack(oslo, backup);
    await changeTitle(oslo, staff.oslo, 2, 'Cook');
    await cycles(3, all);
    expect((await oslo.status()).own.incarnation).not.toBe(before);
    await expectAgreed(...all);
  });

  it('cloned: one of the copies goes on and the other stops and says why; the word of an administrator wakes it', async () => {
    const { hq, oslo, bergen, all, staff } = await freshOffices();
    const clone = await cloneOf(oslo);
    const copies: [Office, Office] = [oslo, clone];
    const warnings: string[] = [];
    let stopped = [false, false];
    // Which of them goes on, and how soon the other hears of it, is a matter of chance.
    for (let i = 0; i < 20 && !stopped.includes(true); i++) {
      await changeTitle(oslo, staff.oslo, 0, `Title ${i}`);
      for (const one of copies) await one.run('sync', '--wait', '0');
      warnings.push((await hq.run('sync')).out);
      // Both at the same exchange folder: now the one is first there, now the other.
      for (const one of copies.reverse()) await one.run('dispatch');
      stopped = await Promise.all([oslo, clone].map(hasStopped));
    }
    expect(warnings.join('')).toMatch(/exchange \d+ from oslo: its sender .* older copy.*; told so/);
    expect(stopped.filter(Boolean)).toHaveLength(1);
    const [lives, sleeps] = stopped[0]! ? [clone, oslo] : [oslo, clone];
    const said = await sleeps.run('sync', '--wait', '0');
    expect(said.code).not.toBe(0);
    expect(`${said.out}${said.err}`).toMatch(/has stopped, because .*recover --only-copy/s);
    // The other one is switched off, and this one goes on.
    await rename(lives.data, join(lives.root, 'switched off'));
    await sleeps.must('recover', '--only-copy');
    await cycles(3, [hq, sleeps, bergen]);
    if (sleeps === oslo) await expectAgreed(...all);
    else await expectAgreed(hq, Object.assign(sleeps, { name: 'oslo', people: oslo.people }), bergen);
  });

  it('cloned: a copy that is never told, because the other one takes all that comes, is shown at the server', async () => {
    const { hq, oslo, bergen, staff } = await freshOffices();
    const clone = await cloneOf(oslo);
    const attentionTo = async (name: string) =>
      (await hq.status()).server!.requestors.find((one) => one.name === name)!.attention;
    // Both take new lives for a while; which one the server then follows is a matter of chance.
    for (let i = 0; i < 20 && !(await attentionTo('oslo')).includes('older-copy'); i++) {
      await changeTitle(oslo, staff.oslo, 0, `Title ${i}`);
      for (const one of [oslo, clone]) await one.run('sync', '--wait', '0');
      await hq.must('sync');
      await clone.run('dispatch');
    }
    expect(await hasStopped(oslo)).toBe(false);
    expect(await attentionTo('oslo')).toContain('older-copy');
    expect((await hq.must('status')).out).toMatch(/an older copy of it still sends: oslo .*recover --only-copy/);
    // A life that follows has to see copies of its own.
    await rename(oslo.data, join(oslo.root, 'switched off'));
    await clone.must('recover', '--only-copy');
    await cycles(2, [hq, clone, bergen]);
    expect(await attentionTo('oslo')).not.toContain('older-copy');
  });

  it('with an empty store and the keys that it had: it asks for the word of an administrator, and nobody is seen to go', async () => {
    const { hq, oslo, bergen, all } = await freshOffices();
    const before = (await oslo.status()).own.digest;
    for (const name of ['store.db', 'store.db-wal', 'store.db-shm']) await rm(join(oslo.data, name), { force: true });
    const stood = await standsAt(bergen);
    const began = await oslo.run('sync', '--wait', '0');
    expect(began.out).toMatch(/warning: the store was gone, .* dirpost repair --new-store/);
    await hq.must('sync');
    const told = await oslo.run('dispatch');
    expect(told).toMatchObject({ code: 1, out: expect.stringContaining('This postoffice has stopped') });
    expect(await hasStopped(oslo)).toBe(true);
    await oslo.must('recover', '--only-copy');
    for (let i = 0; i < 4; i++) {
      await cycles(1, all);
      expect(await standsAt(bergen)).toEqual(stood);
    }
    expect((await oslo.status()).own.digest).toBe(before);
    await expectAgreed(...all);
  });
});
