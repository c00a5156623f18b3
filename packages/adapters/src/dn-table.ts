/**
 * DNs seen in one pass → a number for each (a line, an offset), in 12 bytes per slot whatever the length of the DN:
 * what is kept is a 64-bit hash, seeded anew for every table, so that two DNs which once collided do not do so in the
 * next pass. A million DNs take 24 MB, and the odds that any two of them collide are 1 : 37,000,000.
 */
import { SeededHash } from './seeded-hash.ts';

const WORDS = 3;

export class DnTable {
  readonly #hash = new SeededHash();
  /** Slots of hash (2 words) and number + 1; 0 there is an empty slot. */
  #slots = new Uint32Array(WORDS * 1024);
  #mask = 1023;
  size = 0;

  /** The number under this normal DN, or undefined. */
  get(normalDn: string): number | undefined {
    this.#hash.text(normalDn);
    return this.#numberAt(this.#find());
  }

  /** Keeps the number (0 to 2^32 − 2), unless there is one already: that is returned and kept. */
  add(normalDn: string, number: number): number | undefined {
    this.#hash.text(normalDn);
    const at = this.#find();
    const present = this.#numberAt(at);
    if (present !== undefined) return present;
    this.#slots[at] = this.#hash.a;
    this.#slots[at + 1] = this.#hash.b;
    this.#slots[at + 2] = number + 1;
    if (++this.size * 2 > this.#mask) this.#grow();
    return undefined;
  }

  #numberAt(at: number): number | undefined {
    const number = this.#slots[at + 2]!;
    return number === 0 ? undefined : number - 1;
  }

  /** Where the present hash stands, or where it would. */
  #find(): number {
    const { a, b } = this.#hash;
    let slot = b & this.#mask;
    for (;;) {
      const at = slot * WORDS;
      if (this.#slots[at + 2] === 0 || (this.#slots[at] === a && this.#slots[at + 1] === b)) return at;
      slot = (slot + 1) & this.#mask;
    }
  }

  #grow(): void {
    const old = this.#slots;
    this.#mask = this.#mask * 2 + 1;
    this.#slots = new Uint32Array(WORDS * (this.#mask + 1));
    for (let from = 0; from < old.length; from += WORDS) {
      if (old[from + 2] === 0) continue;
      this.#hash.a = old[from]!;
      this.#hash.b = old[from + 1]!;
      this.#slots.set(old.subarray(from, from + WORDS), this.#find());
    }
  }
}
