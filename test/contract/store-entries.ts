/** The part of the store contract about entries. */
import { isDeepStrictEqual } from 'node:util';
import { encodeEdit, encodeEntry, entryHash, type EntryRow, type EntryTable } from '@dirpost/core';
import { describe, expect, it } from 'vitest';
import { entries, entry, octets, read, write, type StoreOf } from './store-samples.ts';

const tables: EntryTable[] = ['published', 'replica', 'collected'];

export function entryContract(store: StoreOf): void {
  describe.each(tables)('entries in %s', (table) => {
    tableOfEntriesContract(store, table);
    scanContract(store, table);
    editContract(store, table);
  });
  heldContract(store);
  seqContract(store);
  peerNumberContract(store);
}

function tableOfEntriesContract(store: StoreOf, table: EntryTable): void {
  it('numbers are dense and ascending, and rows come back as they were put', async () => {
    const full = {
      seq: 2 ** 40,
      changed: { cn: 3, mail: 2 ** 41 },
      introduced: 2,
      note: 'held: "mail" is taken',
      ...(table !== 'published' && { peerNumber: 2 ** 35 }),
    };
    const rows = [
      entry(1),
      entry(2, full),
      entry(3, { deleted: true, bytes: null }),
      entry(4, { bytes: Buffer.alloc(0) }),
    ];
    expect(await write(store(), (tx) => tx.putEntries(table, rows))).toEqual([1, 2, 3, 4]);
    const expected = rows.map((row, at) => ({ ...row, number: at + 1 }));
    await read(store(), async (tx) => {
      expect(await tx.entriesByNumber(table, [1, 2, 3, 4])).toEqual(expected);
      expect(
        await tx.entriesById(
          table,
          rows.map((row) => row.id),
        ),
      ).toEqual(expected);
    });
  });

  it('looking up keeps the order, repeats and gaps of what was asked', async () => {
    await write(store(), (tx) => tx.putEntries(table, entries(3)));
    await read(store(), async (tx) => {
      const ids = [3, 99, 1, 1].map((seed) => octets(`id ${seed}`));
      const byId = await tx.entriesById(table, ids);
      expect(byId.map((row) => row?.number)).toEqual([3, undefined, 1, 1]);
      const byNumber = await tx.entriesByNumber(table, [2, 77, 2]);
      expect(byNumber.map((row) => row?.number)).toEqual([2, undefined, 2]);
      expect(await tx.entriesById(table, [])).toEqual([]);
    });
  });

  it('a row with a number replaces that row, all of its fields', async () => {
    const peers = table !== 'published';
    await write(store(), (tx) =>
      tx.putEntries(
        table,
        entries(3, (seed) => (peers ? { peerNumber: seed } : {})),
      ),
    );
    const replaced = entry(20, {
      number: 2,
      owner: 'bergen',
      deleted: true,
      bytes: null,
      peerNumber: peers ? 40 : null,
      introduced: 5,
      changed: { sn: 20 },
      note: 'why',
    });
    await write(store(), async (tx) => {
      expect(await tx.putEntries(table, [replaced, entry(30)])).toEqual([2, 4]);
      expect(await tx.putEntries(table, [{ ...replaced, note: null }])).toEqual([2]);
    });
    await read(store(), async (tx) => {
      expect(await tx.entriesByNumber(table, [2])).toEqual([{ ...replaced, note: null }]);
      expect(await tx.entriesById(table, [octets('id 2'), octets('id 20')])).toEqual([
        undefined,
        { ...replaced, note: null },
      ]);
      expect(await tx.countEntries(table)).toEqual({ live: 3, deleted: 1 });
    });
  });

  it('a number is never used again, not even the last, not even after clearing', async () => {
    await write(store(), (tx) => tx.putEntries(table, entries(3)));
    await write(store(), (tx) => tx.removeEntries(table, [3, 99]));
    expect(await write(store(), (tx) => tx.putEntries(table, [entry(4)]))).toEqual([4]);
    await write(store(), (tx) => tx.clearEntries(table));
    expect(await write(store(), (tx) => tx.putEntries(table, [entry(5)]))).toEqual([5]);
    expect(await read(store(), (tx) => tx.countEntries(table))).toEqual({ live: 1, deleted: 0 });
  });

  it('two entries cannot share an id', async () => {
    await write(store(), (tx) => tx.putEntries(table, [entry(1)]));
    await expect(write(store(), (tx) => tx.putEntries(table, [entry(1, { seq: 9 })]))).rejects.toThrow();
  });

  it('replacing a row that is not there is refused', async () => {
    await expect(write(store(), (tx) => tx.putEntries(table, [entry(1, { number: 5 })]))).rejects.toThrow('entry 5');
  });

  it('takes batches of thousands', async () => {
    const rows = entries(3000, (seed) => ({ bytes: octets(seed, 400), changed: { [`a${seed % 3}`]: seed } }));
    const expected = rows.map((row, at) => ({ ...row, number: at + 1 }));
    const numbers = await write(store(), (tx) => tx.putEntries(table, rows));
    const ids = rows.map((row) => row.id);
    const found = await read(store(), (tx) => tx.entriesById(table, ids));
    // Vitest's own comparison takes seconds for so many octets.
    expect(
      isDeepStrictEqual(
        numbers,
        expected.map((row) => row.number),
      ),
    ).toBe(true);
    expect(isDeepStrictEqual(found, expected)).toBe(true);
  });
}

/** An edit, by its editor, of an entry. */
function edit(editor: string, target: number, serial: number, fields: Partial<EntryRow> = {}): EntryRow {
  const made = encodeEdit(editor, {
    target: octets(`id ${target}`),
    bases: [octets('base')],
    serial: Buffer.alloc(8, serial),
    values: new Map([['title', [Buffer.from(String(serial))]]]),
  });
  const bytes = encodeEntry(made);
  return entry(serial, { id: made.id, owner: editor, bytes, hash: entryHash(bytes), ...fields });
}

function editContract(store: StoreOf, table: EntryTable): void {
  const numbers = (found: EntryRow[][]) => found.map((rows) => rows.map(({ number }) => number));

  it('edits are found by what they are of, ascending by id, and by number; other entries are none', async () => {
    const malformed = encodeEntry({ id: octets('bad'), owner: 'rome', kind: 'edit', attributes: new Map() });
    const edits = [edit('oslo', 1, 2), edit('lima', 1, 3), edit('rome', 4, 4)];
    await write(store(), (tx) =>
      tx.putEntries(table, [entry(1), ...edits, entry(5, { id: octets('bad'), owner: 'rome', bytes: malformed })]),
    );
    await read(store(), async (tx) => {
      const targets = [1, 9, 4].map((seed) => octets(`id ${seed}`));
      const found = await tx.editsOf(table, targets);
      const both = [edits[0]!, edits[1]!].map((row, i) => ({ ...row, number: i + 2 }));
      expect(found).toEqual([both.sort((a, b) => Buffer.compare(a.id, b.id)), [], [{ ...edits[2]!, number: 4 }]]);
      expect(await tx.editsOf(table, [Buffer.alloc(0)])).toEqual([[]]);
      expect((await tx.scanEdits(table, 0, 9)).map(({ number }) => number)).toEqual([2, 3, 4, 5]);
      expect((await tx.scanEdits(table, 2, 2)).map(({ number }) => number)).toEqual([3, 4]);
      expect(await Promise.all([undefined, 'rome', 'bonn'].map((owner) => tx.countEdits(table, owner)))).toEqual([
        4, 2, 0,
      ]);
    });
  });

  it('an edit that is removed is one no more, until it comes back', async () => {
    await write(store(), async (tx) => {
      expect(await tx.editsOf(table, [octets('id 1')])).toEqual([[]]);
      const row = { ...edit('oslo', 1, 2), number: (await tx.putEntries(table, [edit('oslo', 1, 2)]))[0]! };
      await tx.putEntries(table, [{ ...row, deleted: true, bytes: null }]);
      expect(await tx.editsOf(table, [octets('id 1')])).toEqual([[]]);
      expect(await tx.countEdits(table)).toBe(0);
      await tx.putEntries(table, [row]);
      expect(numbers(await tx.editsOf(table, [octets('id 1')]))).toEqual([[row.number]]);
      await tx.putEntries(table, [{ ...row, seq: 99 }]);
      expect(numbers(await tx.editsOf(table, [octets('id 1')]))).toEqual([[row.number]]);
      await tx.removeEntries(table, [row.number]);
      expect(await tx.scanEdits(table, 0, 9)).toEqual([]);
    });
  });
}

function scanContract(store: StoreOf, table: EntryTable): void {
  it('a scan gives all in their order, and of large ones fewer at once than are asked for', async () => {
    const rows = entries(120, () => ({ bytes: Buffer.alloc(100_000) }));
    await write(store(), (tx) => tx.putEntries(table, rows));
    await read(store(), async (tx) => {
      const seen: number[] = [];
      for (let after = 0; ; after = seen.at(-1)!) {
        const found = await tx.scanEntries(table, after, 1_000);
        if (found.length === 0) break;
        expect(found.length).toBeLessThan(100);
        seen.push(...found.map((row) => row.number));
      }
      expect(seen).toEqual(rows.map((_, at) => at + 1));
    });
  });

  it('scans ascending by number, in batches, also of one owner', async () => {
    const rows = entries(7, (seed) => ({ owner: seed % 2 === 0 ? 'bergen' : 'oslo', deleted: seed === 5 }));
    await write(store(), (tx) => tx.putEntries(table, rows));
    const numbers = (found: { number: number }[]) => found.map((row) => row.number);
    await read(store(), async (tx) => {
      expect(numbers(await tx.scanEntries(table, 0, 3))).toEqual([1, 2, 3]);
      expect(numbers(await tx.scanEntries(table, 3, 100))).toEqual([4, 5, 6, 7]);
      expect(numbers(await tx.scanEntries(table, 2, 2, 'oslo'))).toEqual([3, 5]);
      expect(await tx.scanEntries(table, 0, 9, 'nobody')).toEqual([]);
      const hashes = rows.map(({ id, owner, hash, deleted }, at) => ({ number: at + 1, id, owner, hash, deleted }));
      expect(await tx.scanHashes(table, 1, 3)).toEqual(hashes.slice(1, 4));
      expect(await tx.scanHashes(table, 0, 9, 'bergen')).toEqual(hashes.filter((row) => row.owner === 'bergen'));
      expect(await tx.countEntries(table)).toEqual({ live: 6, deleted: 1 });
      expect(await tx.countEntries(table, 'oslo')).toEqual({ live: 3, deleted: 1 });
      expect(await tx.countEntries(table, 'nobody')).toEqual({ live: 0, deleted: 0 });
    });
  });
}

function heldContract(store: StoreOf): void {
  const held = (seed: number, effects: number, shown: Buffer | null = octets(`shown ${seed}`, 40)) => ({
    held: { effects, lostMembers: seed, sinceMs: 2 ** 41 + seed, approved: seed % 2 === 0, shown },
  });

  it.each(tables)('what is held comes back as it was put, changes and ends: %s', async (table) => {
    const rows = [entry(1, held(1, 5)), entry(2, { deleted: true, bytes: null, ...held(2, 1) }), entry(3)];
    const expected = rows.map((row, at) => ({ ...row, number: at + 1 }));
    await write(store(), async (tx) => {
      await tx.putEntries(table, rows);
      expect(await tx.entriesByNumber(table, [1, 2, 3])).toEqual(expected);
      const changed = [
        entry(1, { number: 1, ...held(8, 5, null) }),
        entry(2, { number: 2 }),
        entry(3, { number: 3, ...held(3, 2) }),
      ];
      await tx.putEntries(table, changed);
      expect(await tx.scanEntries(table, 0, 9)).toEqual(changed);
      expect(await tx.heldEntries(table, 1, 0, 9)).toEqual([]);
      expect(await tx.heldEntries(table, 5, 0, 9)).toEqual([changed[0]]);
    });
  });

  it.each(tables)('rows that are held for the same are found by number, of all or of one owner: %s', async (table) => {
    const rows = entries(8, (seed) => ({
      owner: seed % 2 === 0 ? 'bergen' : 'oslo',
      ...(seed > 2 && held(seed, 1 + (seed & 2))),
    }));
    const numbers = (found: { number: number }[]) => found.map((row) => row.number);
    await write(store(), (tx) => tx.putEntries(table, rows));
    await read(store(), async (tx) => {
      expect(numbers(await tx.heldEntries(table, 1, 0, 9))).toEqual([4, 5, 8]);
      expect(numbers(await tx.heldEntries(table, 3, 0, 9))).toEqual([3, 6, 7]);
      expect(numbers(await tx.heldEntries(table, 3, 3, 1))).toEqual([6]);
      expect(numbers(await tx.heldEntries(table, 1, 4, 9, 'bergen'))).toEqual([8]);
      expect(numbers(await tx.heldEntries(table, 3, 0, 9, 'oslo'))).toEqual([3, 7]);
      expect(await tx.heldEntries(table, 3, 0, 9, 'nobody')).toEqual([]);
      expect(await tx.heldEntries(table, 2, 0, 9)).toEqual([]);
    });
  });
}

function seqContract(store: StoreOf): void {
  it.each(['published', 'collected'] as const)('%s: entries since a seq come ascending by seq', async (table) => {
    await write(store(), (tx) => tx.putEntries(table, entries(5)));
    await write(store(), (tx) =>
      tx.putEntries(table, [entry(2, { number: 2, seq: 6 }), entry(1, { number: 1, seq: 8 })]),
    );
    await read(store(), async (tx) => {
      const since = async (seq: number, limit: number) =>
        (await tx.entriesSince(table, seq, limit)).map((row) => [row.number, row.seq]);
      expect(await since(3, 10)).toEqual([
        [4, 4],
        [5, 5],
        [2, 6],
        [1, 8],
      ]);
      expect(await since(0, 2)).toEqual([
        [3, 3],
        [4, 4],
      ]);
      expect(await since(8, 10)).toEqual([]);
    });
  });

  it('the replica holds many entries with seq 0', async () => {
    await write(store(), (tx) =>
      tx.putEntries(
        'replica',
        entries(3, () => ({ seq: 0 })),
      ),
    );
    expect(await read(store(), (tx) => tx.countEntries('replica'))).toEqual({ live: 3, deleted: 0 });
  });

  it('purges published tombstones below a seq, and nothing else', async () => {
    const rows = entries(6, (seed) => (seed % 2 === 0 ? { deleted: true, bytes: null } : {}));
    await write(store(), (tx) => tx.putEntries('published', rows));
    expect(await write(store(), (tx) => tx.purgePublished(4))).toBe(1);
    expect(await write(store(), (tx) => tx.purgePublished(4))).toBe(0);
    const left = await read(store(), (tx) => tx.scanEntries('published', 0, 10));
    expect(left.map((row) => row.number)).toEqual([1, 3, 4, 5, 6]);
  });
}

function peerNumberContract(store: StoreOf): void {
  it('replica: peer numbers are one space for all owners', async () => {
    const rows = entries(4, (seed) => ({
      peerNumber: seed === 4 ? null : seed * 10,
      owner: seed === 2 ? 'bergen' : 'oslo',
    }));
    await write(store(), (tx) => tx.putEntries('replica', rows));
    const numbers = (owner: string | null) =>
      read(store(), async (tx) =>
        (await tx.entriesByPeerNumber('replica', owner, [30, 20, 40, 10])).map((row) => row?.number),
      );
    expect(await numbers(null)).toEqual([3, 2, undefined, 1]);
    expect(await numbers('oslo')).toEqual([3, undefined, undefined, 1]);
    await write(store(), (tx) => tx.clearPeerNumbers('replica', null));
    expect(await numbers(null)).toEqual([undefined, undefined, undefined, undefined]);
    await write(store(), (tx) => tx.putEntries('replica', [{ ...rows[3]!, number: 4, peerNumber: 10 }]));
    expect(await numbers(null)).toEqual([undefined, undefined, undefined, 4]);
  });

  it('collected: each owner has peer numbers of his own', async () => {
    const rows = entries(4, (seed) => ({
      owner: seed < 3 ? 'oslo' : 'bergen',
      peerNumber: seed < 3 ? seed : seed - 2,
    }));
    await write(store(), (tx) => tx.putEntries('collected', rows));
    const numbers = (owner: string) =>
      read(store(), async (tx) =>
        (await tx.entriesByPeerNumber('collected', owner, [1, 2, 3])).map((row) => row?.number),
      );
    expect(await numbers('oslo')).toEqual([1, 2, undefined]);
    expect(await numbers('bergen')).toEqual([3, 4, undefined]);
    expect(await numbers('nobody')).toEqual([undefined, undefined, undefined]);
    await write(store(), (tx) => tx.clearPeerNumbers('collected', 'oslo'));
    expect(await numbers('oslo')).toEqual([undefined, undefined, undefined]);
    expect(await numbers('bergen')).toEqual([3, 4, undefined]);
    await write(store(), (tx) => tx.clearPeerNumbers('collected', null));
    expect(await numbers('bergen')).toEqual([undefined, undefined, undefined]);
  });
}
