/** The part of the store contract about everything but entries and lists. */
import { isDeepStrictEqual } from 'node:util';
import type { Placed, Watched } from '@dirpost/core';
import { describe, expect, it } from 'vitest';
import { association, octets, outgoing, part, read, staged, write, type StoreOf } from './store-samples.ts';

export function tableContract(store: StoreOf): void {
  describe('documents', () => documentContract(store));
  describe('sums and checkpoints', () => sumContract(store));
  describe('outgoing messages', () => outgoingContract(store));
  describe('parts', () => partContract(store));
  describe('staged entries', () => stagedContract(store));
  describe('associations', () => associationContract(store));
  describe('what was written into a directory', () => placedContract(store));
  describe('attributes whose changes by hand are seen', () => watchedContract(store));
}

function documentContract(store: StoreOf): void {
  it('are JSON values by name, replaced and removed', async () => {
    const values = { a: null, b: 'text', c: [1, 2], d: { deep: [{ er: true }] }, e: 0, f: false };
    await write(store(), async (tx) => {
      for (const [name, value] of Object.entries(values)) await tx.putDocument(name, value);
      await tx.putDocument('b', 'other');
      await tx.removeDocument('c');
      await tx.removeDocument('never there');
    });
    await read(store(), async (tx) => {
      const found = await Promise.all(Object.keys(values).map((name) => tx.getDocument(name)));
      expect(found).toEqual([null, 'other', undefined, { deep: [{ er: true }] }, 0, false]);
    });
  });

  it('names with a prefix come ascending; what looks like a pattern is none', async () => {
    const names = ['peer/oslo', 'peer/bergen', 'peer/%', 'peer', 'peers', 'server', 'peer/ålesund'];
    await write(store(), async (tx) => {
      for (const name of names) await tx.putDocument(name, 1);
    });
    await read(store(), async (tx) => {
      expect(await tx.documentNames('peer/')).toEqual(['peer/%', 'peer/bergen', 'peer/oslo', 'peer/ålesund']);
      expect(await tx.documentNames('peer/%')).toEqual(['peer/%']);
      expect(await tx.documentNames('')).toHaveLength(7);
      expect(await tx.documentNames('x')).toEqual([]);
    });
  });
}

function sumContract(store: StoreOf): void {
  const sum = (owner: string, count: number) => ({ owner, digest: octets(count).toString('hex'), count });

  it('sums are kept per scope and owner', async () => {
    await write(store(), async (tx) => {
      await tx.putSums('collected', [sum('oslo', 1), sum('bergen', 2)]);
      await tx.putSums('all', [sum('oslo', 3)]);
      await tx.putSums('collected', [sum('oslo', 4)]);
    });
    await read(store(), async (tx) => {
      expect(await tx.sums('collected')).toEqual([sum('bergen', 2), sum('oslo', 4)]);
      expect(await tx.sum('all', 'oslo')).toEqual(sum('oslo', 3));
      expect(await tx.sum('all', 'bergen')).toBeUndefined();
      expect(await tx.sum('all', 'nobody')).toBeUndefined();
      expect(await tx.sums('none')).toEqual([]);
    });
    await write(store(), (tx) => tx.removeSums('collected'));
    expect(await read(store(), (tx) => tx.sums('collected'))).toEqual([]);
    expect(await read(store(), (tx) => tx.sums('all'))).toHaveLength(1);
  });

  it('checkpoints are found by exact seq, replaced, dropped from below and cleared per scope', async () => {
    const digest = (seed: number) => octets(seed).toString('hex');
    await write(store(), async (tx) => {
      for (const seq of [1, 5, 9, 2 ** 40]) await tx.putCheckpoint('all', seq, digest(seq));
      await tx.putCheckpoint('all', 5, digest(55));
      await tx.putCheckpoint('other', 1, digest(1));
      await tx.dropCheckpoints('all', 5);
    });
    const found = (scope: string) =>
      read(store(), (tx) => Promise.all([1, 5, 6, 9, 2 ** 40].map((seq) => tx.checkpoint(scope, seq))));
    expect(await found('all')).toEqual([undefined, digest(55), undefined, digest(9), digest(2 ** 40)]);
    await write(store(), (tx) => tx.clearCheckpoints('all'));
    expect(await found('all')).toEqual([undefined, undefined, undefined, undefined, undefined]);
    expect((await found('other'))[0]).toBe(digest(1));
  });

  it('of checkpoints the highest are kept', async () => {
    await write(store(), async (tx) => {
      for (const seq of [1, 5, 9, 12]) await tx.putCheckpoint('all', seq, octets(seq).toString('hex'));
      await tx.putCheckpoint('other', 1, octets(1).toString('hex'));
      expect(await tx.keepCheckpoints('all', 2)).toBe(9);
      expect(await tx.keepCheckpoints('all', 10)).toBe(9);
      expect(await tx.checkpoint('all', 5)).toBeUndefined();
      expect(await tx.checkpoint('all', 9)).toBeDefined();
      expect(await tx.keepCheckpoints('all', 0)).toBe(0);
      expect(await tx.checkpoint('all', 12)).toBeUndefined();
      expect(await tx.keepCheckpoints('none', 3)).toBe(0);
      expect(await tx.checkpoint('other', 1)).toBeDefined();
    });
  });
}

function outgoingContract(store: StoreOf): void {
  const summary = ({ payload, ...rest }: ReturnType<typeof outgoing>) => ({ ...rest, payloadBytes: payload.length });
  const messages = [
    outgoing(1, { createdMs: 9 }),
    outgoing(2, { to: 'oslo', kind: 'exchange', forIncarnation: null }),
    outgoing(3, { to: 'oslo', deliveredMs: 5, attempts: 2, nextAttemptMs: 7, lastError: 'refused' }),
    outgoing(4, { payload: Buffer.alloc(0) }),
  ];
  const put = () =>
    write(store(), async (tx) => {
      for (const message of messages) await tx.putOutgoing(message);
    });

  it('come oldest first, without payloads, filtered', async () => {
    await put();
    const [first, second, third, fourth] = messages.map(summary);
    await read(store(), async (tx) => {
      expect(await tx.outgoing()).toEqual([first, second, third, fourth]);
      expect(await tx.outgoing({ to: 'oslo' })).toEqual([second, third]);
      expect(await tx.outgoing({ kind: 'exchange' })).toEqual([second]);
      expect(await tx.outgoing({ undelivered: true })).toEqual([first, second, fourth]);
      expect(await tx.outgoing({ to: 'oslo', kind: 'update', undelivered: true })).toEqual([]);
      expect(await tx.outgoingPayload(messages[1]!.id)).toEqual(messages[1]!.payload);
      expect(await tx.outgoingPayload(messages[3]!.id)).toEqual(Buffer.alloc(0));
      expect(await tx.outgoingPayload('none')).toBeUndefined();
    });
  });

  it('only the given fields change, also to null', async () => {
    await put();
    const id = messages[2]!.id;
    await write(store(), async (tx) => {
      await tx.updateOutgoing(id, { attempts: 3, lastError: null });
      await tx.updateOutgoing(messages[0]!.id, { deliveredMs: 11 });
      await tx.updateOutgoing(id, {});
      await tx.updateOutgoing('none', { attempts: 1 });
    });
    const found = await read(store(), (tx) => tx.outgoing());
    expect(found[2]).toEqual(summary({ ...messages[2]!, attempts: 3, lastError: null }));
    expect(found[0]).toEqual(summary({ ...messages[0]!, deliveredMs: 11 }));
    expect(await read(store(), (tx) => tx.outgoingPayload(id))).toEqual(messages[2]!.payload);
  });

  it('one with the same id is replaced in its place, others are removed with their payloads', async () => {
    await put();
    const replaced = { ...messages[0]!, attempts: 1, payload: octets('new', 8) };
    await write(store(), async (tx) => {
      await tx.putOutgoing(replaced);
      await tx.removeOutgoing([messages[1]!.id, messages[3]!.id, 'none']);
    });
    await read(store(), async (tx) => {
      expect(await tx.outgoing()).toEqual([summary(replaced), summary(messages[2]!)]);
      expect(await tx.outgoingPayload(replaced.id)).toEqual(replaced.payload);
      expect(await tx.outgoingPayload(messages[1]!.id)).toBeUndefined();
    });
  });
}

function partContract(store: StoreOf): void {
  const summary = ({ payload: _, ...rest }: ReturnType<typeof part>) => rest;
  const all = [part(8, 2), part(7, 3), part(7, 1), part(1, 1, { kind: 'exchange' }), part(7, 2, { from: 'oslo' })];
  const put = () =>
    write(store(), async (tx) => {
      for (const one of all) await tx.putPart(one);
    });

  it('come by sender and kind, ascending; staging one again changes nothing', async () => {
    await put();
    await write(store(), (tx) => tx.putPart({ ...part(7, 1), payload: octets('other', 9) }));
    await read(store(), async (tx) => {
      expect(await tx.parts('hq', 'update')).toEqual([summary(all[2]!), summary(all[1]!), summary(all[0]!)]);
      expect(await tx.parts('hq', 'exchange')).toEqual([summary(all[3]!)]);
      expect(await tx.parts('nobody', 'update')).toEqual([]);
      expect(await tx.partPayload('hq', 'update', '1.11', 7, 1)).toEqual(all[2]!.payload);
      expect(await tx.partPayload('hq', 'update', '2.22', 7, 1)).toBeUndefined();
    });
  });

  it('are removed by sender and kind, all or below a number', async () => {
    await put();
    await write(store(), (tx) => tx.removeParts('hq', 'update', 8));
    expect(await read(store(), (tx) => tx.parts('hq', 'update'))).toEqual([summary(all[0]!)]);
    await write(store(), (tx) => tx.removeParts('hq', 'update'));
    expect(await read(store(), (tx) => tx.parts('hq', 'update'))).toEqual([]);
    expect(await read(store(), (tx) => tx.parts('oslo', 'update'))).toHaveLength(1);
    expect(await read(store(), (tx) => tx.parts('hq', 'exchange'))).toHaveLength(1);
  });
}

function stagedContract(store: StoreOf): void {
  it('come in the order of staging, position from 1, per directory', async () => {
    const group = staged(3, { memberDns: ['CN=Person 1,DC=example', 'CN="Ø, x",DC=example'] });
    await write(store(), async (tx) => {
      await tx.stageEntries('people', [staged(2), staged(1)]);
      await tx.stageEntries('other', [staged(9)]);
      await tx.stageEntries('people', [group]);
    });
    await read(store(), async (tx) => {
      const expected = [staged(2), staged(1), group].map((one, at) => ({ ...one, position: at + 1 }));
      expect(await tx.stagedEntries('people', 0, 10)).toEqual(expected);
      expect(await tx.stagedEntries('people', 1, 1)).toEqual(expected.slice(1, 2));
      expect(await tx.stagedEntries('other', 0, 10)).toEqual([{ ...staged(9), position: 1 }]);
      expect(await tx.stagedEntries('none', 0, 10)).toEqual([]);
    });
    await write(store(), (tx) => tx.clearStaged('people'));
    expect(await read(store(), (tx) => tx.stagedEntries('people', 0, 10))).toEqual([]);
    expect(await read(store(), (tx) => tx.stagedEntries('other', 0, 10))).toHaveLength(1);
  });

  it('takes batches of thousands', async () => {
    const batch = Array.from({ length: 3000 }, (_, at) => staged(at, at % 7 === 0 ? { memberDns: [`CN=${at}`] } : {}));
    await write(store(), (tx) => tx.stageEntries('people', batch));
    const found = await read(store(), (tx) => tx.stagedEntries('people', 0, 5000));
    const expected = batch.map((one, at) => ({ ...one, position: at + 1 }));
    // Vitest's own comparison takes seconds for so many octets.
    expect(isDeepStrictEqual(found, expected)).toBe(true);
  });
}

function associationContract(store: StoreOf): void {
  const byDn = (...dns: string[]) => read(store(), (tx) => tx.associationsByDn('people', dns));

  it('are found by id and by normalized DN, per directory', async () => {
    await write(store(), async (tx) => {
      await tx.putAssociations('people', [association(1), association(2)]);
      await tx.putAssociations('other', [association(1, 'CN=Elsewhere')]);
    });
    await read(store(), async (tx) => {
      const ids = [2, 9, 1].map((seed) => octets(`id ${seed}`));
      expect(await tx.associationsById('people', ids)).toEqual([association(2), undefined, association(1)]);
      expect(await tx.associationsById('other', ids.slice(2))).toEqual([association(1, 'CN=Elsewhere')]);
      expect(await tx.associationsById('none', ids)).toEqual([undefined, undefined, undefined]);
    });
    expect(await byDn('cn=elsewhere', association(2).normalizedDn)).toEqual([undefined, association(2)]);
  });

  it('a rename frees the old DN; the same DN in another spelling is kept in it', async () => {
    await write(store(), (tx) => tx.putAssociations('people', [association(1, 'CN=Old')]));
    await write(store(), (tx) => tx.putAssociations('people', [association(1, 'CN=New')]));
    await write(store(), (tx) => tx.putAssociations('people', [association(1, 'cn=NEW')]));
    expect(await byDn('cn=old', 'cn=new')).toEqual([undefined, association(1, 'cn=NEW')]);
  });

  it('the newer takes a DN, the older association of it is gone, also when two swap', async () => {
    await write(store(), (tx) => tx.putAssociations('people', [association(1, 'CN=A'), association(2, 'CN=B')]));
    await write(store(), (tx) => tx.putAssociations('people', [association(2, 'CN=A')]));
    await read(store(), async (tx) => {
      expect(await tx.scanAssociations('people', '', 10)).toEqual([association(2, 'CN=A')]);
    });
    await write(store(), (tx) => tx.putAssociations('people', [association(1, 'CN=B')]));
    await write(store(), (tx) => tx.putAssociations('people', [association(1, 'CN=A'), association(2, 'CN=B')]));
    expect(await byDn('cn=a', 'cn=b')).toEqual([association(1, 'CN=A'), association(2, 'CN=B')]);
  });

  it('scans ascending by normalized DN; removes and clears one directory only', async () => {
    await write(store(), async (tx) => {
      await tx.putAssociations(
        'people',
        [3, 1, 2].map((seed) => association(seed)),
      );
      await tx.putAssociations('other', [association(1)]);
    });
    await read(store(), async (tx) => {
      expect(await tx.scanAssociations('people', '', 2)).toEqual([association(1), association(2)]);
      expect(await tx.scanAssociations('people', association(2).normalizedDn, 9)).toEqual([association(3)]);
    });
    await write(store(), (tx) => tx.removeAssociations('people', [octets('id 1'), octets('id 77')]));
    expect(await byDn(association(1).normalizedDn, association(2).normalizedDn)).toEqual([undefined, association(2)]);
    await write(store(), (tx) => tx.clearAssociations('people'));
    expect(await read(store(), (tx) => tx.scanAssociations('people', '', 9))).toEqual([]);
    expect(await read(store(), (tx) => tx.scanAssociations('other', '', 9))).toHaveLength(1);
  });
}

function watchedContract(store: StoreOf): void {
  const one = (seed: number): Watched => ({ id: octets(`id ${seed}`), written: { mail: `h${seed}` }, kept: {} });

  it('are found by id, replaced, removed and cleared, per directory', async () => {
    const keeping: Watched = { ...one(2), kept: { title: ['Qm9zcw=='], mobile: [] } };
    await write(store(), async (tx) => {
      await tx.putWatched('people', [one(1), one(2), one(3)]);
      await tx.putWatched('people', [keeping]);
      await tx.putWatched('other', [one(1)]);
      await tx.removeWatched('people', [one(3).id, octets('id 77')]);
    });
    await read(store(), async (tx) => {
      const ids = [1, 2, 3].map((seed) => one(seed).id);
      expect(await tx.watchedById('people', ids)).toEqual([one(1), keeping, undefined]);
      expect(await tx.watchedById('none', ids)).toEqual([undefined, undefined, undefined]);
    });
    await write(store(), (tx) => tx.clearWatched('people'));
    expect(await read(store(), (tx) => tx.watchedById('people', [one(1).id]))).toEqual([undefined]);
    expect(await read(store(), (tx) => tx.watchedById('other', [one(1).id]))).toEqual([one(1)]);
  });
}

function placedContract(store: StoreOf): void {
  const stands = (seed: number): Placed => ({
    id: octets(`id ${seed}`),
    place: { dn: `cn=Person ${seed},o=target`, anchor: `a${seed}` },
    hash: octets(`hash ${seed}`),
    refused: null,
  });
  const neverTaken: Placed = { id: octets('id 4'), place: null, hash: null, refused: { code: 'other', reason: 'no' } };
  const all = [1, 2, 3].map(stands).concat(neverTaken);
  const byId = all.toSorted((a, b) => Buffer.compare(a.id, b.id));

  it('is found by id, replaced, scanned ascending by id, and counted, per directory', async () => {
    await write(store(), async (tx) => {
      await tx.putPlaced('people', all);
      await tx.putPlaced('other', [stands(1)]);
    });
    await read(store(), async (tx) => {
      expect(await tx.placedById('people', [octets('id 2'), octets('id 9')])).toEqual([stands(2), undefined]);
      expect(await tx.placedById('none', [octets('id 2')])).toEqual([undefined]);
      expect(await tx.scanPlaced('people', null, 2)).toEqual(byId.slice(0, 2));
      expect(await tx.scanPlaced('people', byId[1]!.id, 9)).toEqual(byId.slice(2));
      expect(await tx.refusedPlaced('people', 9)).toEqual([neverTaken]);
      expect(await tx.countPlaced('people')).toEqual({ placed: 3, refused: 1 });
    });
    const lacking = { refused: { code: 'x', reason: 'y' }, lacksMembers: true as const };
    const moved: Placed = { ...stands(2), place: { dn: 'cn=Elsewhere', anchor: 'a2' }, ...lacking };
    await write(store(), (tx) => tx.putPlaced('people', [moved, { ...neverTaken, refused: null }]));
    await read(store(), async (tx) => {
      expect(await tx.placedById('people', [moved.id])).toEqual([moved]);
      expect(await tx.countPlaced('people')).toEqual({ placed: 3, refused: 1 });
    });
  });

  it('knows when the first of what was refused is due, per directory', async () => {
    const dueAt = (seed: number, dueMs: number): Placed => ({
      ...stands(seed),
      refused: { code: 'busy', reason: '', tries: 2, dueMs },
    });
    const due = (directory: string) => read(store(), (tx) => tx.refusedDueMs(directory));
    expect(await due('people')).toBeNull();
    // Of one nothing is known.
    await write(store(), (tx) => tx.putPlaced('people', [dueAt(1, 3_000_000_000_000), dueAt(2, 2_000), neverTaken]));
    await write(store(), (tx) => tx.putPlaced('other', [dueAt(1, 1_000)]));
    expect([await due('people'), await due('other'), await due('none')]).toEqual([2_000, 1_000, null]);
    expect(await read(store(), (tx) => tx.placedById('people', [dueAt(1, 0).id]))).toEqual([
      dueAt(1, 3_000_000_000_000),
    ]);
    await write(store(), (tx) => tx.putPlaced('people', [stands(2)]));
    expect(await due('people')).toBe(3_000_000_000_000);
  });

  it('is removed and cleared in one directory only', async () => {
    await write(store(), async (tx) => {
      await tx.putPlaced('people', all);
      await tx.putPlaced('other', [stands(1)]);
      await tx.removePlaced('people', [octets('id 1'), octets('id 77')]);
    });
    expect(await read(store(), (tx) => tx.scanPlaced('people', null, 9))).toHaveLength(3);
    await write(store(), (tx) => tx.clearPlaced('people'));
    expect(await read(store(), (tx) => tx.scanPlaced('people', null, 9))).toEqual([]);
    expect(await read(store(), (tx) => tx.scanPlaced('other', null, 9))).toHaveLength(1);
  });
}
