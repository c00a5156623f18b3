/**
 * A set of entry ids in few octets each, for what must remember every id of a read or a full submission (T0, T2).
 * It keeps the first 8 of the 16 octets: ids are hashes, so among a million entries two share them by chance in one
 * of 30 million runs, and then one removal waits for the next read.
 */
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
    return this.#insert(word(id, 0), word(id, 4) || 1);
  }

  has(id: Uint8Array): boolean {
    const high = word(id, 0);
    const low = word(id, 4) || 1;
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

function word(id: Uint8Array, at: number): number {
  return ((id[at]! << 24) | (id[at + 1]! << 16) | (id[at + 2]! << 8) | id[at + 3]!) >>> 0;
}
