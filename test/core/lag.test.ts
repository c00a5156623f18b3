/** How far requestors are behind, against a real store: what of their list they lack, and since when. */
import { createMemoryStore } from '@dirpost/adapters';
import {
  encodeEntry,
  entryHash,
  lagsOfList,
  loadRequestor,
  noteSeqTime,
  type RequestorRecord,
  saveList,
  seqTimes,
  type Store,
  timeOfSeq,
} from '@dirpost/core';
import { beforeEach, describe, expect, it } from 'vitest';

const MINUTE = 60_000;
const IDENTITY = '00112233aabbccdd';
let store: Store;

beforeEach(() => {
  store = createMemoryStore();
});

describe('when a seq was given', () => {
  const note = (seq: number, ms: number) => store.transaction((tx) => noteSeqTime(tx, seq, ms));
  const times = () => store.read(seqTimes);

  it('is known to the minute, and nothing is written where nothing was numbered', async () => {
    await note(5, MINUTE);
    await note(9, MINUTE + 59_000);
    await note(12, 3 * MINUTE);
    await note(12, 90 * MINUTE);
    await note(13, 91 * MINUTE);
    const samples = await times();
    expect(samples).toEqual([
      { seq: 9, ms: MINUTE },
      { seq: 12, ms: 3 * MINUTE },
      { seq: 13, ms: 91 * MINUTE },
    ]);
    expect([1, 9, 10, 12, 13, 14].map((seq) => timeOfSeq(samples, seq))).toEqual([
      MINUTE,
      MINUTE,
      3 * MINUTE,
      3 * MINUTE,
      91 * MINUTE,
      null,
    ]);
  });

  it('is forgotten by and by, the oldest least exactly', async () => {
    const total = 1_500;
    await store.transaction(async (tx) => {
      for (let i = 1; i <= total; i++) await noteSeqTime(tx, i, i * MINUTE);
    });
    const samples = await times();
    expect(samples).toHaveLength(1_001);
    expect(samples[0]).toEqual({ seq: 1, ms: MINUTE });
    for (const seq of [10, 700, 1_200, 1_490]) {
      const wrongMs = timeOfSeq(samples, seq)! - seq * MINUTE;
      expect(wrongMs).toBeGreaterThanOrEqual(0);
      expect(wrongMs).toBeLessThanOrEqual(MINUTE + 0.02 * (total - seq) * MINUTE);
    }
  });

  it('does not stay in the future after the clock was ahead', async () => {
    await note(1, MINUTE);
    await note(2, 1_000_000 * MINUTE);
    await note(3, 2 * MINUTE);
    await note(4, 4 * MINUTE);
    expect(await times()).toEqual([
      { seq: 1, ms: MINUTE },
      { seq: 3, ms: 2 * MINUTE },
      { seq: 4, ms: 4 * MINUTE },
    ]);
  });
});

interface Listed {
  owner: string;
  seq: number;
  left?: boolean;
  first?: number;
}

async function fill(rows: Listed[]): Promise<void> {
  await store.transaction(async (tx) => {
    const entries = rows.map(({ owner, seq }, i) => {
      const id = Buffer.alloc(16);
      id.writeUInt32BE(i + 1);
      const bytes = encodeEntry({ id, owner, kind: 'person', attributes: new Map() });
      const hash = entryHash(bytes);
      const rest = { peerNumber: null, introduced: 0, changed: null, note: null, held: null, withheld: null };
      return { number: 0, id, owner, seq, deleted: false, hash, bytes, ...rest };
    });
    const numbers = await tx.putEntries('collected', entries);
    const list = rows.map(({ owner, seq, left = false, first = seq }, i) => {
      const { hash } = entries[i]!;
      return { number: numbers[i]!, owner, seq, left, first, entered: first, introduced: first, hash };
    });
    await tx.putListRows('all', list);
    const count = rows.filter(({ left }) => left !== true).length;
    await saveList(tx, { name: 'all', identity: IDENTITY, fingerprint: '', purged: 0, digest: '', count });
  });
}

async function follower(name: string, change: Partial<RequestorRecord>): Promise<RequestorRecord> {
  return { ...(await store.read((tx) => loadRequestor(tx, name, 7))), ...change };
}

const verified = (seq: number, list = IDENTITY) => ({ verified: { list, seq, incarnation: '0.0' } });

async function lagOf(record: RequestorRecord, serverSeq: number, limits = { maxCounted: 20, batch: 4 }) {
  const times = [
    { seq: 3, ms: 1_000 },
    { seq: serverSeq, ms: 2_000 },
  ];
  const lags = await store.read((tx) => lagsOfList(tx, 'all', [record], serverSeq, times, limits));
  return lags.get(record.name);
}

describe('what a requestor lacks', () => {
  it('are changes of its list by others that it has not verified, whatever the server numbered besides', async () => {
    await fill([
      { owner: 'hq', seq: 1 },
      { owner: 'oslo', seq: 3 },
      { owner: 'hq', seq: 40 },
      { owner: 'lima', seq: 90 },
    ]);
    expect(await lagOf(await follower('oslo', verified(1)), 100)).toEqual({
      verifiedSeq: 1,
      lacking: 2,
      more: false,
      sinceMs: 2_000,
    });
    expect(await lagOf(await follower('hq', verified(1)), 100)).toMatchObject({ lacking: 2, sinceMs: 1_000 });
    expect(await lagOf(await follower('oslo', verified(90)), 100)).toMatchObject({ lacking: 0, sinceMs: null });
  });

  it('are not the entries that came and left since it was sent anything', async () => {
    await fill([
      { owner: 'hq', seq: 5, left: true, first: 1 },
      { owner: 'hq', seq: 9, left: true, first: 8 },
    ]);
    expect(await lagOf(await follower('oslo', { ...verified(2), sentSeq: 2 }), 9)).toMatchObject({ lacking: 1 });
    // Sent and not verified: the removal is owed too.
    expect(await lagOf(await follower('oslo', { ...verified(2), sentSeq: 8 }), 9)).toMatchObject({ lacking: 2 });
  });

  it('is everything but its own where it has verified nothing of this list', async () => {
    await fill([
      { owner: 'hq', seq: 1 },
      { owner: 'oslo', seq: 2 },
    ]);
    await store.transaction((tx) =>
      tx.putSums('all', [{ owner: 'oslo', digest: '00000000000000000000000000000001', count: 1 }]),
    );
    const never = { verifiedSeq: null, lacking: 1, more: false };
    expect(await lagOf(await follower('oslo', {}), 2)).toEqual({ ...never, sinceMs: 7 });
    expect(await lagOf(await follower('oslo', verified(2, 'ffffffffffffffff')), 2)).toEqual({
      ...never,
      sinceMs: null,
    });
  });

  it('is counted up to a bound, and said to be more above it', async () => {
    await fill(Array.from({ length: 200 }, (_, i) => ({ owner: 'hq', seq: 2 * i + 1 })));
    const count = async (seq: number) => lagOf(await follower('oslo', verified(seq)), 400);
    expect(await count(399)).toMatchObject({ lacking: 0, more: false });
    expect(await count(360)).toMatchObject({ lacking: 20, more: false });
    expect(await count(358)).toMatchObject({ lacking: 20, more: true });
    expect(await count(1)).toEqual({ verifiedSeq: 1, lacking: 20, more: true, sinceMs: 1_000 });
  });

  it('is found where few rows stand among many seqs', async () => {
    await fill([1, 2, 3, 50_000, 99_999].map((seq) => ({ owner: 'hq', seq })));
    expect(await lagOf(await follower('oslo', verified(2)), 100_000)).toMatchObject({ lacking: 3, more: false });
  });
});
