/**
 * T2: what a list gained between two seqs is the same for all requestors that have nothing of their own in it: computed
 * and encoded once, and sent to each under a head of his own. Kept in memory, for the last few ranges.
 */
import type { Change } from './change.ts';
import type { Digest } from './digest.ts';

/** What decides about the changes of a delta, for whoever asks. */
export interface DeltaRange {
  /** Identity of the list, and the digest of all that is on it at `to`. */
  list: string;
  digest: Digest;
  from: number;
  to: number;
  /** See Cursor.named; null where no number is known. */
  named: number | null;
  /** Up to where entries that are gone may have been sent before. */
  sentUpTo: number;
}

export interface SharedDelta {
  /** Of all owners, in the order of their seqs. */
  changes: Change[];
  owners: ReadonlySet<string>;
  /** The payload of the first requestor that got all of them in one part, and the anchors that its head named. */
  encoded: { payload: Uint8Array; anchors: string } | null;
}

/** More than that is read and encoded batch by batch for each. */
export const MAX_SHARED_CHANGES = 4_000;
const MAX_SHARED_BYTES = 4 * 1024 * 1024;
const KEPT = 4;

export class RecentDeltas {
  readonly #deltas = new Map<string, SharedDelta>();

  get(range: DeltaRange): SharedDelta | undefined {
    const key = keyOf(range);
    const delta = this.#deltas.get(key);
    if (delta === undefined) return undefined;
    this.#deltas.delete(key);
    this.#deltas.set(key, delta);
    return delta;
  }

  put(range: DeltaRange, changes: Change[]): SharedDelta {
    const delta: SharedDelta = { changes, owners: new Set(changes.map(({ owner }) => owner)), encoded: null };
    const bytes = changes.reduce((sum, change) => sum + change.bytes.length, 0);
    if (bytes > MAX_SHARED_BYTES) return delta;
    this.#deltas.set(keyOf(range), delta);
    if (this.#deltas.size > KEPT) this.#deltas.delete(this.#deltas.keys().next().value!);
    return delta;
  }
}

function keyOf({ list, digest, from, to, named, sentUpTo }: DeltaRange): string {
  return `${list} ${digest} ${from} ${to} ${named} ${sentUpTo}`;
}
