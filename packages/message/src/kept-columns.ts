/**
 * Columns that may be needed again (T2): a server sends the same changes to many requestors, and only the heads differ; and what
 * it takes from an owner it gives to the others as it came, under its own numbers. Encoding costs several times what decoding
 * does. What was not needed for longest goes first.
 */
import { createHash } from 'node:crypto';
import type { AnchorHint, Change } from '@dirpost/core';

/** Room is kept for many parts of as many changes. */
const BYTES_FOR_EACH = 512;
/** Fewer changes are encoded in no time. */
const LEAST_NOTED = 64;
/** Of people the columns take a tenth of the canonical bytes. */
const LEAST_RATIO = 4;

export interface Columnist {
  encode(changes: Change[], anchors: AnchorHint[]): Buffer;
  /** `columns`: of the same changes in the same order, under other numbers. */
  renumber(columns: Buffer, changes: Change[]): Buffer;
}

interface Kept {
  columns: Buffer;
  numbers: Float64Array;
}

export class KeptColumns {
  readonly #kept = new Map<string, Kept>();
  readonly #mostBytes: number;
  readonly #columnist: Columnist;
  #bytes = 0;

  constructor(mostBytes: number, columnist: Columnist) {
    this.#mostBytes = mostBytes;
    this.#columnist = columnist;
  }

  get(changes: Change[], anchors: AnchorHint[]): Buffer {
    if (changes.length === 0 || !this.#hasRoomFor(changes)) return this.#columnist.encode(changes, anchors);
    const key = contentHash(changes, anchors);
    const columns = this.#among(key, changes) ?? this.#columnist.encode(changes, anchors);
    this.#put(key, changes, columns);
    return columns;
  }

  /** `columns`: as they came, perhaps of an encoder that is older or newer, or that wasted space. */
  note(changes: Change[], anchors: AnchorHint[], columns: Uint8Array): void {
    if (changes.length < LEAST_NOTED || !this.#hasRoomFor(changes)) return;
    const bytes = changes.reduce((sum, change) => sum + change.bytes.length, 0);
    // A copy: it came in the memory of the whole message file.
    if (columns.length <= bytes / LEAST_RATIO) this.#put(contentHash(changes, anchors), changes, Buffer.from(columns));
  }

  /** Looking for what would not stay would be in vain. */
  #hasRoomFor(changes: Change[]): boolean {
    return changes.length <= this.#mostBytes / BYTES_FOR_EACH;
  }

  #among(key: string, changes: Change[]): Buffer | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined || changes.every(({ number }, row) => number === kept.numbers[row])) return kept?.columns;
    return this.#columnist.renumber(kept.columns, changes);
  }

  #put(key: string, changes: Change[], columns: Buffer): void {
    const before = this.#kept.get(key);
    if (before !== undefined) this.#bytes -= sizeOf(before);
    this.#kept.delete(key);
    const kept = { columns, numbers: Float64Array.from(changes, ({ number }) => number) };
    this.#kept.set(key, kept);
    this.#bytes += sizeOf(kept);
    for (const [oldest, one] of this.#kept) {
      if (this.#bytes <= this.#mostBytes) return;
      this.#kept.delete(oldest);
      this.#bytes -= sizeOf(one);
    }
  }
}

function sizeOf({ columns, numbers }: Kept): number {
  return columns.length + numbers.byteLength;
}

/** Of what the columns tell: of the numbers only where the order on the wire is not that in which the changes are given. */
function contentHash(changes: Change[], anchors: AnchorHint[]): string {
  const hints = anchors.map(({ owner, space, attribute }) => [owner, space, attribute]);
  const isAscending = changes.every(({ number }, row) => row === 0 || changes[row - 1]!.number < number);
  const numbers = isAscending ? [] : changes.map(({ number }) => number);
  const lines = changes.map(({ id, owner, state, bytes }) => [owner, state, id?.length ?? -1, bytes.length]);
  const octets = changes.flatMap(({ id, bytes }) => (id === null ? [bytes] : [id, bytes]));
  return createHash('sha256')
    .update(JSON.stringify([hints, numbers, lines]))
    .update(Buffer.concat(octets))
    .digest('base64');
}
