import {
  type Attributes,
  type Change,
  deriveEntryId,
  defaultLimits,
  DirpostError,
  EMPTY_DIGEST,
  encodeAttributes,
  encodeEntry,
  type EntryKind,
  type Limits,
  type Update,
} from '@dirpost/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createCodec, uncompressedForTests } from './payload.ts';

const codec = createCodec(defaultLimits);

const updateHead: Update = {
  kind: 'update',
  incarnation: '3.9f86d081884c7d65',
  for: '0.0011223344556677',
  number: 7,
  answers: 12,
  receipt: {
    accepted: { seq: 41, digest: 'ab'.repeat(16) },
    newest: 12,
    stamp: `0.0011223344556677#${'cd'.repeat(16)}`,
    wantFull: false,
    missingOf: 0,
    missing: [],
    refusedCount: 1,
    refused: [{ id: Buffer.alloc(16, 5), code: 'duplicate', reason: 'an id twice' }],
    heldCount: 2,
    clashes: { left: 0, kept: 0, named: [] },
  },
  mode: 'delta',
  part: 0,
  parts: 1,
  removals: 0,
  total: 0,
  list: 'all',
  base: { seq: 100, digest: EMPTY_DIGEST },
  to: { seq: 200, digest: '01'.repeat(16) },
  cursor: Buffer.from('cookie'),
  differing: null,
  confirmed: ['bergen'],
  anchors: [{ owner: 'oslo', space: 'entryuuid', attribute: 'entryuuid' }],
};

const hexDigit = fc.constantFrom(...'0123456789abcdef');
const hex = (digits: number) => fc.string({ unit: hexDigit, minLength: digits, maxLength: digits });
const uuid = fc
  .tuple(hex(8), hex(4), fc.constantFrom('1', '4', '7'), hex(3), fc.constantFrom('8', 'b', 'c'), hex(3), hex(12))
  .map(([a, b, version, c, variant, d, e]) => `${a}-${b}-${version}${c}-${variant}${d}-${e}`);
const text = (values: fc.Arbitrary<string>) => values.map((one): Uint8Array => Buffer.from(one));

/** Values as directories have them, and as they do not. */
const value = fc.oneof(
  text(fc.constantFrom('Åse', 'Ødegård', 'Hansen', "O'Brien", 'Müller, Jr.', 'x', '')),
  text(fc.string({ unit: 'grapheme', maxLength: 30 })),
  text(fc.nat(100_000).map((number) => `+47 22 ${number}`)),
  text(fc.nat(9).map((number) => `00${number}`)),
  text(uuid),
  fc.uint8Array({ maxLength: 40 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
);
const names = [
  'cn',
  'sn',
  'givenname',
  'mail',
  'entryuuid',
  'entrydn',
  'x-own;lang-no',
  'member;entryid',
  'objectclass',
];

const attributes = (minValues: number): fc.Arbitrary<Attributes> =>
  fc
    .uniqueArray(fc.tuple(fc.constantFrom(...names), fc.array(value, { minLength: minValues, maxLength: 4 })), {
      selector: ([name]) => name,
      maxLength: 6,
    })
    .map((pairs) => new Map(pairs));

const owner = fc.constantFrom('oslo', 'bergen', 'tromsø');
const number = fc.oneof(fc.nat(50), fc.nat(Number.MAX_SAFE_INTEGER));
const id = fc.uint8Array({ minLength: 16, maxLength: 16 });
const kind = fc.constantFrom<EntryKind>('person', 'group', 'contact', 'resource', 'edit');

const change: fc.Arbitrary<Change> = fc.oneof(
  fc
    .record({ number, id, owner, kind, attributes: attributes(1), derived: fc.boolean() })
    .map(({ number, id, owner, kind, attributes, derived }): Change => {
      const anchor = attributes.get('entryuuid')?.toSorted(Buffer.compare)[0];
      const entryId = derived && anchor !== undefined ? deriveEntryId(owner, 'entryuuid', anchor) : id;
      const bytes = encodeEntry({ id: entryId, owner, kind, attributes });
      return { number, id: entryId, owner, state: 'whole', bytes };
    }),
  fc
    .record({ number, id: fc.option(id), owner, attributes: attributes(0) })
    .map(({ attributes, ...rest }): Change => ({ ...rest, state: 'part', bytes: encodeAttributes(attributes) })),
  fc
    .record({ number, id: fc.option(id), owner })
    .map((rest): Change => ({ ...rest, state: 'removed', bytes: Buffer.alloc(0) })),
);

/** As text, so that a difference can be read and the order of equal numbers does not matter. */
function describeChanges(changes: Change[]): string[] {
  const hexOf = (bytes: Uint8Array | null) => (bytes === null ? '-' : Buffer.from(bytes).toString('hex'));
  return changes
    .map((one) => `${String(one.number).padStart(16)} ${one.state} ${one.owner} ${hexOf(one.id)} ${hexOf(one.bytes)}`)
    .sort();
}

/** People whose attributes follow from one another, mostly: what the column encodings are made for. */
const people = fc
  .array(
    fc.record({
      given: fc.constantFrom('Åse', 'Ole', 'Anne Marie', 'Jörg', 'Zoë'),
      last: fc.constantFrom('Hansen', "O'Brien", 'Ødegård', 'von der Leyen'),
      same: fc.nat(3),
      phone: fc.nat(9_999_999),
      odd: fc.nat(9),
    }),
    { minLength: 12, maxLength: 80 },
  )
  .map((rows) =>
    rows.map(({ given, last, same, phone, odd }, i): Change => {
      const uid = `${given[0]}${last}${same === 0 ? '' : same}`.toLowerCase().replace(/[^a-z0-9]/g, '');
      const attributes: Attributes = new Map([
        ['givenname', [Buffer.from(given)]],
        ['sn', [Buffer.from(last)]],
        ['cn', [Buffer.from(odd === 0 ? 'somebody else' : `${given} ${last}`)]],
        ['uid', [Buffer.from(uid)]],
        ['mail', [Buffer.from(`${uid}@example.org`), Buffer.from(`${given}.${last}@example.org`.toLowerCase())]],
        ['entrydn', [Buffer.from(`uid=${uid},ou=${odd},dc=example`)]],
        ['telephonenumber', [Buffer.from(`+47 ${String(phone).padStart(7, '0')}`)]],
        ['objectclass', [Buffer.from('top'), Buffer.from('person')]],
        ['l', [Buffer.from(['Oslo', 'Bergen', 'Ås'][odd % 3]!)]],
        ['postalcode', [Buffer.from(String(odd + 1000))]],
        ['entryuuid', [Buffer.from(`${String(phone).padStart(8, '0')}-0000-4000-8000-00000000000${odd}`)]],
      ]);
      const entryId = deriveEntryId('oslo', 'entryuuid', attributes.get('entryuuid')![0]!);
      const bytes = encodeEntry({ id: entryId, owner: 'oslo', kind: 'person', attributes });
      return { number: i * 3, id: entryId, owner: 'oslo', state: 'whole', bytes };
    }),
  );

describe('changes come back as they were', () => {
  test.each([
    ['whatever they are', fc.array(change, { maxLength: 60 }), 200],
    ['where attributes follow from one another', people, 60],
  ])('%s', (_, changeSets, numRuns) => {
    fc.assert(
      fc.property(changeSets, (changes) => {
        const payload = codec.encode(updateHead, changes);
        const decoded = codec.changes(payload);
        expect(describeChanges(decoded)).toEqual(describeChanges(changes));
        expect(decoded.map((one) => one.number)).toEqual(changes.map((one) => one.number).sort((a, b) => a - b));
        expect(codec.head(payload)).toEqual(updateHead);
      }),
      { numRuns },
    );
  });

  test('under other numbers than those that they came with', () => {
    fc.assert(
      fc.property(
        people,
        fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 60, maxLength: 60 }),
        (all, steps) => {
          const relay = createCodec(defaultLimits, { relays: true });
          const submission = relay.readSubmission!();
          const came = submission.changes(codec.encode(updateHead, all));
          submission.accepted();
          let last = 0;
          const numbered = came.map((one, row) => ({ ...one, number: (last += steps[row % 60]!) }));
          expect(codec.changes(relay.encode(updateHead, numbered))).toEqual(numbered);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('the order in which changes are given does not matter to the bytes', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), fc.infiniteStream(fc.nat()), (changes, keys) => {
        const shuffled = changes
          .map((one) => [keys.next().value as number, one] as const)
          .sort((a, b) => a[0] - b[0])
          .map(([, one]) => one);
        const encode = (given: Change[]) => createCodec(defaultLimits).encode(updateHead, given);
        expect(Buffer.compare(encode(shuffled), encode(changes))).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});

describe('what comes from outside is refused with a reason, soon', () => {
  const small: Limits = { ...defaultLimits, maxPartBytes: 256 * 1024 };
  const reader = createCodec(small);
  const open = (payload: Uint8Array): void => {
    const started = performance.now();
    try {
      reader.head(payload);
      reader.changes(payload);
    } catch (error) {
      if (!(error instanceof DirpostError)) throw error;
      expect(['message-payload', 'message-critical', 'limit-exceeded']).toContain(error.code);
    }
    expect(performance.now() - started).toBeLessThan(2000);
  };

  test('random bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), open), { numRuns: 1000 });
  });

  test('random columns under a good head', () => {
    const head = codec.encode({ ...updateHead }, []).subarray(0, -1);
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 127 }),
        fc.uint8Array({ maxLength: 40 }),
        (plain, packed) => {
          open(Buffer.concat([head, Buffer.from([plain.length, 0]), plain, packed]));
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('good columns with some octets altered', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.oneof(people, fc.array(change, { minLength: 1, maxLength: 20 })), damage, (changes, damages) => {
        const payload = Buffer.from(uncompressedForTests(codec.encode(updateHead, changes), defaultLimits));
        for (const [at, octet] of damages) payload[at % payload.length] = octet;
        open(payload);
      }),
      { numRuns: 600 },
    );
  });
});
