/**
 * Columns of a foreign encoder under other numbers (T2). They go out under the signature of this postoffice: so they are decoded
 * once more, as whoever gets them will, and must be no more than what was encoded here could be: in octets, in steps, and in
 * what they say.
 */
import { type AnchorHint, type Change, type Limits } from '@dirpost/core';
import { budgetFor, decodeChanges } from './decode.ts';
import type { Streams } from './octets.ts';
import { renumber } from './renumber.ts';

/** Of people a twentieth of one is needed. */
const STEPS_FOR_EACH_BYTE = 2;

/** Undefined where they are more. Throws DirpostError as decoding does. */
export function passOn(
  { plain, packed }: { plain: Uint8Array; packed: Uint8Array },
  changes: Change[],
  anchors: readonly AnchorHint[],
  limits: Limits,
): Streams | undefined {
  const bytes = changes.reduce((sum, change) => sum + change.bytes.length, 0);
  if (plain.length + packed.length > bytes) return undefined;
  const streams = renumber(plain, packed, changes, limits);
  if (streams.plain.length + streams.packed.length > bytes) return undefined;
  const budget = budgetFor(bytes, STEPS_FOR_EACH_BYTE);
  const decoded = decodeChanges(streams.plain.view(), streams.packed.view(), anchors, limits, budget);
  return decoded.length === changes.length && decoded.every((one, row) => isSame(one, changes[row]!))
    ? streams
    : undefined;
}

function isSame(a: Change, b: Change): boolean {
  const isSameId = a.id === null || b.id === null ? a.id === b.id : Buffer.compare(a.id, b.id) === 0;
  return (
    isSameId &&
    a.number === b.number &&
    a.owner === b.owner &&
    a.state === b.state &&
    Buffer.compare(a.bytes, b.bytes) === 0
  );
}
