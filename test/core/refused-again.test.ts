/** T3: when a directory is asked again for what it refused, by a clock that the test drives. */
import { encodeEntry, entryHash, MEMBERS_MISSING, normalizeDn } from '@dirpost/core';
import { beforeEach, expect, it } from 'vitest';
import { CONTAINER, entryOf, idOf, Office } from './target-tree.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const ANNA = normalizeDn(`cn=anna,ou=oslo,${CONTAINER}`);

let office: Office;
beforeEach(async () => {
  office = await new Office().begin();
  office.nowMs = Date.parse('2027-03-01T12:00:00Z');
  await office.put(entryOf('anna'));
  await office.put(entryOf('bo'));
});

const dueMs = async () => (await office.store.read((tx) => tx.refusedDueMs('tree')))!;
/** What is asked when nothing but the clock says so. */
const ticked = async () => (await office.write(undefined, { again: true, dueBy: office.nowMs })).map(({ dn }) => dn);

/** In minutes, how long each try was waited for; nothing is asked a moment before. */
async function waits(count: number): Promise<number[]> {
  const found: number[] = [];
  while (found.length < count) {
    const due = await dueMs();
    found.push((due - office.nowMs) / MINUTE_MS);
    office.nowMs = due - 1;
    expect(await office.plan({ again: true, dueBy: office.nowMs })).toEqual([]);
    office.nowMs = due;
    expect((await ticked()).map(normalizeDn)).toEqual([ANNA]);
  }
  return found;
}

it('after 5 minutes, then each time after twice as long, at last once a day', async () => {
  office.tree.refusing.set(ANNA, 'objectClassViolation');
  await office.write();
  expect(await waits(11)).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]);
});

it('from the beginning where the entry changed, or the answer', async () => {
  office.tree.refusing.set(ANNA, 'objectClassViolation');
  await office.write();
  expect(await waits(4)).toEqual([5, 10, 20, 40]);
  await office.put(entryOf('anna', { title: 'Boss' }));
  expect((await office.write()).map(({ dn }) => normalizeDn(dn))).toEqual([ANNA]);
  expect(await waits(3)).toEqual([5, 10, 20]);
  office.tree.refusing.set(ANNA, 'constraintViolation');
  expect(await waits(3)).toEqual([40, 5, 10]);
  // Another entry is no reason.
  await office.put(entryOf('bo', { title: 'Boss' }));
  await office.write();
  expect(await waits(2)).toEqual([20, 40]);
});

it('by a command at once, which puts off nothing', async () => {
  office.tree.refusing.set(ANNA, 'objectClassViolation');
  await office.write();
  await waits(3);
  const before = await dueMs();
  office.nowMs += MINUTE_MS;
  expect((await office.write(undefined, { again: true })).map(({ dn }) => normalizeDn(dn))).toEqual([ANNA]);
  expect(await dueMs()).toBe(before);
  office.tree.refusing.clear();
  await office.write(undefined, { again: true });
  expect(await dueMs()).toBeNull();
  expect(await office.plan({ again: true })).toEqual([]);
});

it('with each write, where the reason may pass; that alone does not make the clock wait longer', async () => {
  office.tree.refusing.set(ANNA, 'busy');
  await office.write();
  const first = await dueMs();
  for (let i = 0; i < 3; i++) {
    await office.put(entryOf('bo', { title: `Boss ${i}` }));
    expect((await office.write()).map(({ dn }) => normalizeDn(dn))).toContain(ANNA);
    expect(await dueMs()).toBe(first);
  }
  office.nowMs = first;
  await ticked();
  expect(await dueMs()).toBe(first + 10 * MINUTE_MS);
});

it('at once where the clock was put back', async () => {
  office.tree.refusing.set(ANNA, 'objectClassViolation');
  await office.write();
  office.nowMs -= 2 * DAY_MS;
  expect((await ticked()).map(normalizeDn)).toEqual([ANNA]);
  const [placed] = await office.store.read((tx) => tx.placedById('tree', [idOf('anna')]));
  expect(placed!.refused).toMatchObject({
    code: 'objectClassViolation',
    tries: 2,
    dueMs: office.nowMs + 10 * MINUTE_MS,
  });
});

it.each([
  ['no later than its wait, from the beginning', 1, 60, true],
  ['nor sooner, where it waits longer anyway', 3, 10, false],
])('where the clock was put back by some minutes, %s', async (_, tries, minutes, isAsked) => {
  office.tree.refusing.set(ANNA, 'objectClassViolation');
  await office.write();
  if (tries > 1) await waits(tries - 1);
  office.nowMs = (await dueMs()) - MINUTE_MS - minutes * MINUTE_MS;
  expect((await ticked()).map(normalizeDn)).toEqual(isAsked ? [ANNA] : []);
});

it('a container that was refused is asked for when it is due, although nothing else differs', async () => {
  const oslo = `ou=oslo,${CONTAINER}`;
  await office.write();
  await office.store.transaction(async (tx) => {
    const one = (await tx.scanPlaced('tree', null, 10)).find(({ place }) => place?.dn === oslo)!;
    const refused = { code: 'insufficientAccessRights', reason: '', tries: 1, dueMs: office.nowMs + 5 * MINUTE_MS };
    await tx.putPlaced('tree', [{ ...one, place: null, refused }]);
  });
  expect(await office.plan()).toEqual([]);
  office.tree.refusing.set(normalizeDn(oslo), 'insufficientAccessRights');
  office.nowMs += 5 * MINUTE_MS;
  expect(await ticked()).toEqual([oslo]);
  expect(await dueMs()).toBe(office.nowMs + 10 * MINUTE_MS);
  office.tree.refusing.clear();
  expect((await office.write(undefined, { again: true })).map(({ dn }) => dn)).toEqual([oslo]);
  expect(await office.plan({ again: true })).toEqual([]);
});

it('a group that lacks members is asked for, but nobody looks at everything for its sake', async () => {
  const team = `cn=team,ou=oslo,${CONTAINER}`;
  office.tree.refusing.set(normalizeDn(team), MEMBERS_MISSING);
  await office.put(entryOf('team', { members: ['anna'] }));
  await office.write();
  await office.write();
  // Behind the back of those who note what changed: who looks at everything, would see it.
  await office.store.transaction(async (tx) => {
    const [row] = await tx.entriesById('replica', [idOf('anna')]);
    const bytes = encodeEntry(entryOf('anna', { title: 'Unseen' }));
    await tx.putEntries('replica', [{ ...row!, bytes, hash: Buffer.from(entryHash(bytes)) }]);
  });
  await office.put(entryOf('bo', { title: 'Boss' }));
  const asked = (await office.write()).map(({ dn }) => dn);
  expect(asked).toEqual([`cn=bo,ou=oslo,${CONTAINER}`, team]);
});

it('a group that lacks members does so until it is written with all, whatever else is said of it meanwhile', async () => {
  const team = normalizeDn(`cn=team,ou=oslo,${CONTAINER}`);
  const lacked = async (title: string) => {
    await office.put(entryOf('team', { members: ['anna'], title }));
    const change = (await office.write()).find(({ dn }) => normalizeDn(dn) === team)!;
    return change.lackedMembers === true;
  };
  office.tree.refusing.set(team, MEMBERS_MISSING);
  expect(await lacked('one')).toBe(false);
  office.tree.refusing.set(team, 'objectClassViolation');
  expect([await lacked('two'), await lacked('three')]).toEqual([true, true]);
  office.tree.refusing.clear();
  expect([await lacked('four'), await lacked('five')]).toEqual([true, false]);
});

it.each(['insufficientAccessRights', 'noSuchObject'])(
  'a container that is refused (%s) waits, and so does what belongs in it; nobody looks at everything',
  async (code) => {
    const lima = `ou=lima,${CONTAINER}`;
    const cy = { owner: 'lima' };
    office.tree.refusing.set(normalizeDn(lima), code);
    await office.put(entryOf('cy', cy));
    await office.write();
    await office.write(undefined, { again: true, dueBy: office.nowMs });
    const changed = async (title: string) => {
      await office.put(entryOf('bo', { title }));
      return (await office.write()).map(({ dn }) => dn);
    };
    expect(await changed('one')).toEqual([`cn=bo,ou=oslo,${CONTAINER}`]);
    // Behind the back of those who note what changed: who looks at everything, would see it.
    await office.store.transaction(async (tx) => {
      const [row] = await tx.entriesById('replica', [idOf('anna')]);
      const bytes = encodeEntry(entryOf('anna', { title: 'Unseen' }));
      await tx.putEntries('replica', [{ ...row!, bytes, hash: Buffer.from(entryHash(bytes)) }]);
    });
    expect(await changed('two')).toEqual([`cn=bo,ou=oslo,${CONTAINER}`]);
    office.nowMs = await dueMs();
    expect((await ticked()).toSorted()).toEqual([`cn=anna,ou=oslo,${CONTAINER}`, `cn=cy,${lima}`, lima]);
    office.nowMs = await dueMs();
    office.tree.refusing.clear();
    expect(await ticked()).toEqual([lima, `cn=cy,${lima}`]);
    expect(await dueMs()).toBeNull();
  },
);

it('a removal that is refused is asked for when it is due, and not with other changes', async () => {
  await office.write();
  office.tree.refusing.set(ANNA, 'insufficientAccessRights');
  await office.remove('anna');
  await office.write();
  await office.put(entryOf('bo', { title: 'one' }));
  expect((await office.write()).map(({ dn }) => dn)).toEqual([`cn=bo,ou=oslo,${CONTAINER}`]);
  expect(await waits(3)).toEqual([5, 10, 20]);
  office.tree.refusing.clear();
  office.nowMs = await dueMs();
  expect((await ticked()).map(normalizeDn)).toEqual([ANNA]);
  expect(await office.plan({ again: true })).toEqual([]);
});
