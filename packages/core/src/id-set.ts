/**
 * A set of entry ids in few octets each, for what must remember every id of a read or a full submission (T0, T2).
 * It keeps 8 octets of a hash of each, which nobody can foretell: owners choose ids, and could else choose some that are taken for
 * those of others, or that are all looked for at the same place. Among a million ids two share a hash by chance in one of
 * 30 million runs, and then one removal waits for the next read.
 */
import { randomFillSync } from 'node:crypto';

const ID_BYTES = 16;
/** Tabulation hashing (Zobrist): for each octet of an id and each of its values two random words. */
const TABLE = randomFillSync(new Uint32Array(2 * ID_BYTES * 256));
const SECOND_WORD = ID_BYTES * 256;

export class IdSet {
  #slots = new Uint32Array(2 * 1024);
  #mask = 1023;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** False when it was in the set already. */
  add(id: Uint8Array): boolean {
    if (this.#size * 2 > this.#mask) this.#grow();
    return this.#insert(hash(id, 0), hash(id, SECOND_WORD) || 1);
  }

  has(id: Uint8Array): boolean {
    const high = hash(id, 0);
    const low = hash(id, SECOND_WORD) || 1;
    for (let slot = high & this.#mask; ; slot = (slot + 1) & this.#mask) {
      if (this.#slots[slot * 2 + 1] === 0) return false;
      if (this.#slots[slot * 2] === high && this.#slots[slot * 2 + 1] === low) return true;
    }
  }

  #insert(high: number, low: number): boolean {
    for (let slot = high & this.#mask; ; slot = (slot + 1) & this.#mask) {
      if (this.#slots[slot * 2 + 1] === 0) {
        this.#slots[slot * 2] = high;
        this.#slots[slot * 2 + 1] = low;
        this.#size++;
        return true;
      }
      if (this.#slots[slot * 2] === high && this.#slots[slot * 2 + 1] === low) return false;
    }
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    this.#mask = this.#slots.length / 2 - 1;
    this.#size = 0;
    for (let at = 0; at < old.length; at += 2) if (old[at + 1] !== 0) this.#insert(old[at]!, old[at + 1]!);
  }
}

function hash(id: Uint8Array, from: number): number {
  let word = 0;
  for (let i = 0; i < ID_BYTES; i++) word ^= TABLE[from + i * 256 + id[i]!]!;
  return word >>> 0;
}
