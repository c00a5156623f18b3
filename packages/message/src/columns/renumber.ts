/**
 * The columns of changes that have other numbers than before, in the same order (T2): what a server takes from an owner goes
 * on under the server's numbers, and is not encoded again.
 */
import type { Change, Limits } from '@dirpost/core';
import { readTop } from './decode.ts';
import { numberSteps } from './encode.ts';
import { decodeIntegers, encodeIntegers } from './integers.ts';
import { Budget, Source, Streams } from './octets.ts';

/** `plain` and `packed` were decoded before, or encoded here. */
export function renumber(plain: Uint8Array, packed: Uint8Array, changes: Change[], limits: Limits): Streams {
  const from = new Source(plain, packed, new Budget(Infinity, Infinity, Infinity));
  const { count } = readTop(from, limits);
  const out = new Streams();
  out.plain.raw(plain, 0, from.plain.at);
  decodeIntegers(count, from);
  encodeIntegers(numberSteps(changes), out);
  out.plain.raw(plain, from.plain.at, plain.length);
  out.packed.raw(packed, from.packed.at, packed.length);
  return out;
}
