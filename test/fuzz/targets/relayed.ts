/** What a server passes on as its owner packed it: whatever that is, each receiver can read it, and reads what was accepted. */
import { strict as assert } from 'node:assert';
import { type Change, defaultLimits, deriveEntryId, encodeEntry, type Limits, MIB } from '@dirpost/core';
import { createCodec } from '@dirpost/message';
import { uncompressedForTests } from '../../../packages/message/src/payload.ts';
import { updateHead } from '../../vectors/heads.ts';
import { ownWork, type Target } from '../target.ts';

const limits: Limits = { ...defaultLimits, maxPartBytes: MIB };
const codec = createCodec(limits);
const ANCHOR = { owner: 'oslo', space: 'uid', attribute: 'uid' };
/** So many are kept. */
const CHANGES = 70;

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
  const payloads = [[], [ANCHOR]].map((anchors) =>
    createCodec(limits).encode(updateHead('delta', { anchors }), people()),
  );
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
