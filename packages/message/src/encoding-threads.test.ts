import { type Change, defaultLimits, deriveEntryId, EMPTY_DIGEST, encodeEntry, type Exchange } from '@dirpost/core';
import { afterEach, describe, expect, test } from 'vitest';
import { EncodingThreads } from './encoding-threads.ts';
import { createCodec, makeColumns } from './payload.ts';

const ANCHORS = [{ owner: 'oslo', space: 'uid', attribute: 'uid' }];

const head: Exchange = {
  kind: 'exchange',
  incarnation: '0.0011223344556677',
  number: 1,
  part: 0,
  parts: 1,
  cursor: null,
  heard: null,
  partsHeld: null,
  submission: {
    from: { seq: 0, digest: EMPTY_DIGEST },
    to: { seq: 9, digest: '01'.repeat(16) },
    full: true,
    replaces: null,
    certified: true,
  },
  anchors: ANCHORS,
  request: 'changes',
  replicaDigest: EMPTY_DIGEST,
  buckets: null,
  report: { writtenUpTo: 0, refusedCount: 0, refused: [], heldCount: 0, nextContactMs: null },
  version: '1',
};

function people(count: number, from: number): Change[] {
  return Array.from({ length: count }, (_, i) => {
    const uid = Buffer.from(`p${from + i}`);
    const id = deriveEntryId('oslo', 'uid', uid);
    const attributes = new Map([
      ['uid', [uid]],
      ['cn', [Buffer.from(`Person ${from + i}`)]],
      ['telephonenumber', [Buffer.from(`+47 22 ${100_000 + ((i * 7919) % 900_000)}`)]],
    ]);
    const bytes = encodeEntry({ id, owner: 'oslo', kind: 'person', attributes });
    return { number: from + i, id, owner: 'oslo', state: 'whole', bytes };
  });
}

const changed: Change[] = [
  { number: 3, id: null, owner: 'oslo', state: 'part', bytes: Buffer.from('\x02cn\x01\x03Ann', 'latin1') },
  { number: 0, id: Buffer.alloc(16, 9), owner: 'lima', state: 'removed', bytes: Buffer.alloc(0) },
];

const opened: EncodingThreads[] = [];
afterEach(async () => {
  for (const threads of opened.splice(0)) await threads.kill();
});

function open(threads: number, idleMs?: number): EncodingThreads {
  const made = new EncodingThreads({ threads, limits: defaultLimits, ...(idleMs !== undefined && { idleMs }) });
  opened.push(made);
  return made;
}

const encode = (changes: Change[]) => ({ make: 'encode' as const, columns: null, changes, anchors: ANCHORS });

describe('threads that encode', () => {
  test('give the octets that the main thread gives, several at once', async () => {
    const threads = open(2);
    const parts = [people(300, 1), people(300, 301), changed, [], people(300, 601)];
    const answers = await Promise.all(parts.map((changes) => threads.make(encode(changes))));
    const expected = parts.map((changes) => ({
      columns: Uint8Array.from(makeColumns(encode(changes), defaultLimits)!),
    }));
    expect(answers).toEqual(expected);
    expect(threads.running).toBe(2);
  });

  test('renumber and pass on as the main thread does', async () => {
    const threads = open(1);
    const changes = people(300, 1);
    const columns = makeColumns(encode(changes), defaultLimits)!;
    const other = changes.map((change) => ({ ...change, number: change.number + 5_000 }));
    const lying = other.map((change, i) => ({ ...change, bytes: i === 7 ? changes[8]!.bytes : change.bytes }));
    for (const [make, wanted] of [
      ['renumber', other],
      ['passOn', other],
      ['passOn', lying],
    ] as const) {
      const task = { make, columns, changes: wanted, anchors: ANCHORS };
      const own = makeColumns(task, defaultLimits);
      expect(await threads.make(task)).toEqual({ columns: own === undefined ? null : Uint8Array.from(own) });
    }
  });

  test('that die half-way give an error, and others come after them', async () => {
    const threads = open(2);
    const answer = threads.make(encode(people(3_000, 1)));
    const error = expect(answer).rejects.toMatchObject({ code: 'interrupted', retry: 'later' });
    await threads.kill();
    await error;
    expect(await threads.make(encode(changed))).toHaveProperty('columns');
  });

  test('end when there was nothing to do for a while', async () => {
    const threads = open(1, 1);
    await threads.make(encode(changed));
    await expect.poll(() => threads.running).toBe(0);
  });
});

describe('a codec with threads', () => {
  const limits = { ...defaultLimits, maxPartBytes: 20_000 };

  test('encodes beside other work what it encodes at once', async () => {
    const codec = createCodec(limits, { threads: 2 });
    const plain = createCodec(limits);
    for (const changes of [people(50, 1), people(50, 51)]) {
      const payload = await codec.beside!.encode(head, changes);
      expect(Buffer.compare(payload, plain.encode(head, changes))).toBe(0);
    }
  });

  test('says why something cannot be encoded', async () => {
    const codec = createCodec(limits, { threads: 1 });
    const tooMuch = codec.beside!.encode(head, people(2_000, 1));
    await expect(tooMuch).rejects.toMatchObject({ code: 'limit-exceeded' });
  });

  test('has none unless it is told to', () => {
    expect(createCodec(limits)).not.toHaveProperty('beside');
  });
});
