/**
 * Columns that may be needed again (T2): a server sends the same changes to many requestors, and only the heads differ; and what
 * it takes from an owner it may give to the others as it came, under its own numbers. Encoding costs several times what decoding
 * does. What was not needed for longest goes first.
 *
 *   came with a submission that was accepted ─▶ foreign ─▶ needed: checked ─┬▶ own
 *   encoded here ─▶ own                                                     └▶ encoded anew ─▶ own
 */
import { createHash } from 'node:crypto';
import type { AnchorHint, Change } from '@dirpost/core';

/** Room is kept for many parts of as many changes. */
const BYTES_FOR_EACH = 512;
/** Key, object, typed array and buffer of one that is kept, beside their octets. */
const BYTES_BESIDE = 600;
const MOST_KEPT = 4096;
/** Fewer changes are encoded in no time. */
const LEAST_NOTED = 64;
/** Of people the columns take a tenth of the canonical bytes. */
const LEAST_RATIO = 4;

/** Columns that are to be made. */
export interface ColumnTask {
  /**
   * `renumber`: `columns` were encoded here, of the same changes in the same order, under other numbers. `passOn`: the same, of a
   * foreign encoder. `encode`: there are none.
   */
  make: 'encode' | 'renumber' | 'passOn';
  columns: Buffer | null;
  changes: Change[];
  anchors: AnchorHint[];
}

/** Undefined: to be encoded anew; what is passed on, where it costs others more than what is encoded here would. */
export type Columnist = (task: ColumnTask) => Buffer | undefined;

interface Kept {
  columns: Buffer;
  numbers: Float64Array;
  isForeign: boolean;
}

/** What may be kept, once the submission that it came with is accepted. */
export interface Noted extends Kept {
  key: string;
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
    const getting = this.#getting(changes, anchors);
    let step = getting.next();
    while (step.done !== true) step = getting.next(this.#columnist(step.value));
    return step.value;
  }

  /** As `get`, made elsewhere. */
  async getBeside(
    changes: Change[],
    anchors: AnchorHint[],
    make: (task: ColumnTask) => Promise<Buffer | undefined>,
  ): Promise<Buffer> {
    const getting = this.#getting(changes, anchors);
    let step = getting.next();
    while (step.done !== true) step = getting.next(await make(step.value));
    return step.value;
  }

  *#getting(changes: Change[], anchors: AnchorHint[]): Generator<ColumnTask, Buffer, Buffer | undefined> {
    const anew: ColumnTask = { make: 'encode', columns: null, changes, anchors };
    if (changes.length === 0 || !this.#hasRoomFor(changes)) return (yield anew)!;
    const key = contentHash(changes, anchors);
    const columns = (yield* this.#among(key, changes, anchors)) ?? (yield anew)!;
    this.#put(key, keptOf(changes, columns, false));
    return columns;
  }

  /** `columns`: as they came, perhaps of an encoder that is older or newer, or that means harm. Undefined: not worth it. */
  note(changes: Change[], anchors: AnchorHint[], columns: Uint8Array): Noted | undefined {
    if (changes.length < LEAST_NOTED || !this.#hasRoomFor(changes) || !isShort(columns, changes)) return undefined;
    return { key: contentHash(changes, anchors), ...keptOf(changes, columns, true) };
  }

  /** Never in the place of what is there, which may be encoded here. */
  keep({ key, ...kept }: Noted): void {
    if (!this.#kept.has(key)) this.#put(key, kept);
  }

  /** Looking for what would not stay would be in vain. */
  #hasRoomFor(changes: Change[]): boolean {
    return changes.length <= this.#mostBytes / BYTES_FOR_EACH;
  }

  *#among(
    key: string,
    changes: Change[],
    anchors: AnchorHint[],
  ): Generator<ColumnTask, Buffer | undefined, Buffer | undefined> {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    if (kept.isForeign) {
      const columns = yield { make: 'passOn', columns: kept.columns, changes, anchors };
      return columns !== undefined && isShort(columns, changes) ? columns : undefined;
    }
    const isSame = changes.every(({ number }, row) => number === kept.numbers[row]);
    return isSame ? kept.columns : yield { make: 'renumber', columns: kept.columns, changes, anchors };
  }

  #put(key: string, kept: Kept): void {
    const before = this.#kept.get(key);
    if (before !== undefined) this.#bytes -= sizeOf(before);
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    this.#bytes += sizeOf(kept);
    for (const [oldest, one] of this.#kept) {
      if (this.#bytes <= this.#mostBytes && this.#kept.size <= MOST_KEPT) return;
      this.#kept.delete(oldest);
      this.#bytes -= sizeOf(one);
    }
  }
}

/** With a copy: a view would hold the whole of a message file, or of a pool that many small ones share. */
function keptOf(changes: Change[], columns: Uint8Array, isForeign: boolean): Kept {
  const copy = Buffer.allocUnsafeSlow(columns.length);
  copy.set(columns);
  return { columns: copy, numbers: Float64Array.from(changes, ({ number }) => number), isForeign };
}

export function sizeOf({ columns, numbers }: Kept): number {
  return columns.length + numbers.byteLength + BYTES_BESIDE;
}

function isShort(columns: Uint8Array, changes: Change[]): boolean {
  return columns.length <= changes.reduce((sum, { bytes }) => sum + bytes.length, 0) / LEAST_RATIO;
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
