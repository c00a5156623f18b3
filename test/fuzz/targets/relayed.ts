/** What a server passes on as its owner packed it: whatever that is, each receiver can read it, and reads what was accepted. */
import { strict as assert } from 'node:assert';
import {
  type Change,
  defaultLimits,
  deriveEntryId,
  EMPTY_DIGEST,
  encodeEntry,
  type Limits,
  MIB,
  type Update,
} from '@dirpost/core';
import { createCodec } from '@dirpost/message';
import { uncompressedForTests } from '../../../packages/message/src/payload.ts';
import { ownWork, type Target } from '../target.ts';

const limits: Limits = { ...defaultLimits, maxPartBytes: MIB };
const codec = createCodec(limits);
const ANCHOR = { owner: 'oslo', space: 'uid', attribute: 'uid' };
/** So many are kept. */
const CHANGES = 70;

const head: Update = {
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
    refusedCount: 0,
    refused: [],
    heldCount: 0,
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
  confirmed: [],
  anchors: [],
};

/** So alike that they are kept even as they stand before they are compressed. */
function people(): Change[] {
  return Array.from({ length: CHANGES }, (_, i) => {
    const id = deriveEntryId(ANCHOR.owner, ANCHOR.space, Buffer.from(`${i}`));
    const text = (value: string) => [Buffer.from(value)];
    const attributes = new Map([
      ['cn', text(`Person number ${i}`)],
      ['description', text('what they all say '.repeat(20 + (i % 3)))],
      ['uid', text(`${i}`)],
    ]);
    const bytes = encodeEntry({ id, owner: ANCHOR.owner, kind: 'person', attributes });
    return { number: i + 1, id, owner: ANCHOR.owner, state: 'whole', bytes };
  });
}

function seeds(): Uint8Array[] {
  const payloads = [[], [ANCHOR]].map((anchors) => createCodec(limits).encode({ ...head, anchors }, people()));
  return payloads.flatMap((payload) => [payload, uncompressedForTests(payload, limits)]);
}

const relayed: Target = {
  name: 'payload-relayed',
  about: 'columns of an owner that a server passes on under its own numbers',
  seeds,
  run(input) {
    const relay = createCodec(limits, { relays: true });
    const submission = relay.readSubmission!();
    const { kind } = relay.head(input);
    const came = submission.changes(input);
    submission.accepted();
    if (kind !== 'update') return;
    const changes = came.map((change, row) => ({ ...change, number: 1 + row * 1_000_003 }));
    ownWork(() => assert.deepEqual(codec.changes(relay.encode(relay.head(input), changes)), changes));
  },
};

export const relayedTargets = [relayed];
