/**
 * Attribute names while reading: each line's name is looked up by its octets, so that a file of a million entries
 * makes a handful of strings.
 */

interface KnownName {
  hash: number;
  bytes: Buffer;
  name: string;
  next: KnownName | undefined;
}

const SLOTS = 1024;
const MAX_KNOWN = 4096;
const COLON = 58;
/** RFC 4512 §2.5, and the underscore that some servers allow. The canonical encoding has one octet for the length. */
const description = /^[a-z0-9][a-z0-9._-]*(?:;[a-z0-9-]+)*$/i;
const MAX_NAME_BYTES = 255;

/** Names that mean something else in a record: as an attribute they would turn it into another one, or end it. */
export const RECORD_WORDS: ReadonlySet<string> = new Set(['dn', 'changetype', 'control']);

export function isAttributeName(name: string): boolean {
  return name.length <= MAX_NAME_BYTES && description.test(name);
}

export class NameTable {
  readonly #slots: (KnownName | undefined)[] = Array.from({ length: SLOTS });
  #known = 0;
  /** Where the colon of the last line was, or its end if it had none. */
  colon = 0;

  /** The name before the colon, in lower case; undefined if there is no colon or what stands there is no name. */
  read(buffer: Buffer, start: number, end: number): string | undefined {
    let hash = 0;
    let at = start;
    for (; at < end; at++) {
      const octet = buffer[at]!;
      if (octet === COLON) break;
      hash = (Math.imul(hash, 31) + octet) | 0;
    }
    this.colon = at;
    if (at === end) return undefined;
    for (let known = this.#slots[hash & (SLOTS - 1)]; known !== undefined; known = known.next) {
      if (known.hash === hash && sameBytes(known.bytes, buffer, start, at)) return known.name;
    }
    return this.#learn(hash, buffer.subarray(start, at));
  }

  #learn(hash: number, bytes: Buffer): string | undefined {
    const text = bytes.toString('latin1');
    if (!isAttributeName(text)) return undefined;
    const name = text.toLowerCase();
    if (this.#known < MAX_KNOWN) {
      const slot = hash & (SLOTS - 1);
      this.#slots[slot] = { hash, bytes: Buffer.from(bytes), name, next: this.#slots[slot] };
      this.#known++;
    }
    return name;
  }
}

function sameBytes(known: Buffer, buffer: Buffer, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let i = 0; i < known.length; i++) if (known[i] !== buffer[start + i]) return false;
  return true;
}
