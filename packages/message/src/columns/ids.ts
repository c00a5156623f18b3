/** Entry ids: as they are, or derived by the receiver from the anchor that is an attribute of the entry (design §6). */
import type { AnchorHint } from '@dirpost/core';
import { copyOctets } from './octets.ts';
import { ShortSha256 } from './short-sha256.ts';
import { ID_BYTES } from './table.ts';

/** The longest anchor from which an id is derived. */
export const MAX_ANCHOR_BYTES = 1024;

/** deriveEntryId of entry.ts for many anchors of one owner, without an object for each. */
export class IdDeriver {
  readonly #sha256: ShortSha256;
  readonly #anchorAt: number;

  constructor(owner: string, space: string) {
    const parts = ['dirpost entry id', owner, space].map((text) => {
      const octets = Buffer.from(text);
      return Buffer.concat([length32(octets.length), octets]);
    });
    const prefix = Buffer.concat(parts);
    this.#anchorAt = prefix.length + 4;
    this.#sha256 = new ShortSha256(this.#anchorAt + MAX_ANCHOR_BYTES);
    this.#sha256.bytes.set(prefix);
  }

  /** The id in the first 16 octets of what is returned, until the next call; undefined for an anchor that is too long. */
  derive(anchor: Uint8Array, start: number, end: number): Uint8Array | undefined {
    const length = end - start;
    if (length > MAX_ANCHOR_BYTES) return undefined;
    const { bytes } = this.#sha256;
    const at = this.#anchorAt;
    // At most 1,024: the upper two octets stay 0.
    bytes[at - 2] = length >> 8;
    bytes[at - 1] = length & 0xff;
    copyOctets(anchor, start, end, bytes, at);
    return this.#sha256.hash(at + length);
  }
}

function length32(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value);
  return octets;
}

/** For each owner of the part the deriver and the attribute of its first hint. */
export function derivers(
  owners: string[],
  anchors: readonly AnchorHint[],
): ({ deriver: IdDeriver; attribute: string } | undefined)[] {
  const first = new Map<string, AnchorHint>();
  for (const hint of anchors) if (!first.has(hint.owner)) first.set(hint.owner, hint);
  return owners.map((owner) => {
    const hint = first.get(owner);
    return hint === undefined ? undefined : { deriver: new IdDeriver(owner, hint.space), attribute: hint.attribute };
  });
}

export function sameId(a: Uint8Array, b: Uint8Array, bStart = 0): boolean {
  for (let i = 0; i < ID_BYTES; i++) if (a[i] !== b[bStart + i]) return false;
  return true;
}
