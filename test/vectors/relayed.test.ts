/** What a server passes on as its owner packed it: whatever that owner made of it, everybody else can read it. */
import { isDeepStrictEqual } from 'node:util';
import { brotliCompressSync, brotliDecompressSync } from 'node:zlib';
import { type Change, defaultLimits, deriveEntryId, encodeEntry, type Limits } from '@dirpost/core';
import { expect, it } from 'vitest';
import { Octets, Reader } from '../../packages/message/src/columns/octets.ts';
import { createCodec } from '../../packages/message/src/payload.ts';
import { updateHead } from './heads.ts';

const limits: Limits = { ...defaultLimits, maxPartBytes: 256 * 1024, maxPartChanges: 2_000 };
const plainCodec = createCodec(limits);
const HEAD = updateHead('delta', { anchors: [] });

function people(count: number): Change[] {
  return Array.from({ length: count }, (_, i) => {
    const id = deriveEntryId('oslo', 'uid', Buffer.from(`${i}`));
    const attributes = new Map([
      ['cn', [Buffer.from(`Person number ${i}`)]],
      ['description', [Buffer.from('x'.repeat(300))]],
    ]);
    const bytes = encodeEntry({ id, owner: 'oslo', kind: 'person', attributes });
    return { number: i + 1, id, owner: 'oslo', state: 'whole', bytes };
  });
}

interface Parts {
  front: Buffer;
  plain: Buffer;
  packed: Buffer;
}

function apart(payload: Uint8Array): Parts {
  const reader = new Reader(payload);
  reader.octet();
  reader.raw(reader.varint());
  const front = Buffer.from(payload.subarray(0, reader.at));
  const plainLength = reader.varint();
  const compressed = reader.varint();
  const plain = compressed === 0 ? reader.raw(plainLength) : brotliDecompressSync(reader.raw(compressed));
  return { front, plain: Buffer.from(plain), packed: Buffer.from(reader.raw(reader.left)) };
}

function together({ front, plain, packed }: Parts): Buffer {
  const out = new Octets();
  const compressed = brotliCompressSync(plain);
  out.raw(front);
  out.varint(plain.length);
  out.varint(compressed.length);
  out.raw(compressed);
  out.raw(packed);
  return Buffer.from(out.view());
}

/** `count` owners more, of whom nobody is. */
function withOwners(payload: Uint8Array, count: number, nameOf = (i: number) => `${i}`.padStart(255, 'a')): Buffer {
  const { front, plain, packed } = apart(payload);
  const reader = new Reader(plain);
  const rows = reader.varint();
  const owners = reader.varint();
  const from = reader.at;
  for (let i = 0; i < owners; i++) reader.raw(reader.varint());
  const out = new Octets();
  out.varint(rows);
  out.varint(owners + count);
  out.raw(plain.subarray(from, reader.at));
  for (let i = 0; i < count; i++) out.sized(Buffer.from(nameOf(i)));
  out.raw(plain.subarray(reader.at));
  return together({ front, plain: Buffer.from(out.view()), packed });
}

/** `count` columns more, without a cell. */
function withNames(payload: Uint8Array, count: number): Buffer {
  const { front, plain, packed } = apart(payload);
  const reader = new Reader(plain);
  reader.varint();
  for (let owners = reader.varint(); owners > 0; owners--) reader.raw(reader.varint());
  const at = reader.at;
  const names = reader.varint();
  const from = reader.at;
  for (let i = 0; i < names; i++) if (reader.varint() === 0) reader.raw(reader.varint());
  const out = new Octets();
  out.raw(plain.subarray(0, at));
  out.varint(names + count);
  out.raw(plain.subarray(from, reader.at));
  for (let i = 0; i < count; i++) {
    out.octet(0);
    out.sized(Buffer.from(`${i}`.padStart(255, 'a')));
  }
  out.raw(plain.subarray(reader.at));
  // Mode references, of no entries.
  for (let i = 0; i < count; i++) out.octet(3);
  return together({ front, plain: Buffer.from(out.view()), packed });
}

/** Under numbers that take much room. */
function renumbered(changes: Change[]): Change[] {
  let number = 0;
  return changes.map((change, row) => ({ ...change, number: (number += 1 + ((row * 7_919) % 1_000_003)) }));
}

function take(relay: ReturnType<typeof createCodec>, payload: Uint8Array, isAccepted = true): Change[] {
  const submission = relay.readSubmission!();
  const changes = submission.changes(payload);
  if (isAccepted) submission.accepted();
  return changes;
}

const own = (changes: Change[]) => createCodec(limits).encode(HEAD, changes);
/** Columns that are told from those of this process: the number of owners takes an octet more. */
function foreign(): Buffer {
  const { front, plain, packed } = apart(own(people(200)));
  const reader = new Reader(plain);
  reader.varint();
  const longer = Buffer.concat([plain.subarray(0, reader.at), Buffer.from([0x81, 0]), plain.subarray(reader.at + 1)]);
  return together({ front, plain: longer, packed });
}

it('is what came from the owner, in fewer steps than packing it anew', () => {
  const relay = createCodec(limits, { relays: true });
  const changes = renumbered(take(relay, foreign()));
  const relayed = relay.encode(HEAD, changes);
  expect(isDeepStrictEqual(plainCodec.changes(relayed), changes)).toBe(true);
  expect(apart(relayed).plain.length).toBeGreaterThan(apart(own(changes)).plain.length);
});

it('is packed anew where it inflates to more than it says', () => {
  const all = people(500);
  const payload = withNames(own(all), 900);
  expect(isDeepStrictEqual(plainCodec.changes(payload), all)).toBe(true);
  const relay = createCodec(limits, { relays: true });
  const changes = renumbered(take(relay, payload));
  const relayed = relay.encode(HEAD, changes);
  expect(isDeepStrictEqual(plainCodec.changes(relayed), changes)).toBe(true);
  expect(apart(relayed).plain.equals(apart(own(changes)).plain)).toBe(true);
});

it('is packed anew where its submission was not accepted', () => {
  const relay = createCodec(limits, { relays: true });
  const changes = renumbered(take(relay, foreign(), false));
  expect(apart(relay.encode(HEAD, changes)).plain).toEqual(apart(own(changes)).plain);
});

it('never takes the place of what this server packed itself', () => {
  const relay = createCodec(limits, { relays: true });
  const before = relay.encode(HEAD, people(200));
  take(relay, foreign());
  expect(Buffer.compare(relay.encode(HEAD, people(200)), before)).toBe(0);
});

it('has an owner for each name, and none twice', () => {
  const payload = own(people(3));
  expect(() => plainCodec.changes(withOwners(payload, 3))).toThrow(/more owners or shapes than changes/);
  expect(() => plainCodec.changes(withOwners(payload, 1))).toThrow(/an owner without a change/);
  expect(() => plainCodec.changes(withOwners(payload, 1, () => 'oslo'))).toThrow(/an owner twice/);
});
