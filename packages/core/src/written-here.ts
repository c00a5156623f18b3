/**
 * T0: what this postoffice wrote into a directory (T3) is never read back as its own people: neither by another name of the
 * same server, nor where an administrator moved it. Known by the stamp that was written into it, by the key that the directory
 * gave it when it was written, and by its DN: what stands under that on another server is a copy of it.
 */
import { safelyNormalized } from './follow-members.ts';
import type { Mapping } from './mapping.ts';
import type { DirectoryEntry } from './seams/directory.ts';
import type { Store } from './seams/store.ts';

export interface WrittenHere {
  /** Directories that are written entry by entry. */
  directories: readonly string[];
  /** Attributes that hold stamps; lower case. */
  stamps: readonly string[];
}

export const NOTHING_WRITTEN: WrittenHere = { directories: [], stamps: [] };

const STAMP = /^dirpost:([0-9a-f]{32})$/;

/** Value of the attribute by which an entry that was written is found again. */
export function stampOf(id: Uint8Array): Buffer {
  return Buffer.from(`dirpost:${Buffer.from(id).toString('hex')}`);
}

/** The entry id in a value; null: it is none of dirpost's. */
export function stampedId(value: Uint8Array): Buffer | null {
  const id = STAMP.exec(Buffer.from(value).toString('latin1'))?.[1];
  return id === undefined ? null : Buffer.from(id, 'hex');
}

/** Those among the entries that were read. */
export async function writtenAmong(
  store: Store,
  { directories, stamps }: WrittenHere,
  anchorOf: Mapping['anchorOf'],
  entries: DirectoryEntry[],
): Promise<ReadonlySet<DirectoryEntry>> {
  const found = new Set<DirectoryEntry>();
  for (const attribute of stamps) {
    for (const entry of entries) {
      const values = entry.attributes.get(attribute) ?? [];
      if (values.some((value) => stampedId(value) !== null)) found.add(entry);
    }
  }
  if (directories.length === 0 || entries.length === 0) return found;
  const dns = entries.map(({ dn }) => safelyNormalized(dn));
  const anchors = entries.map((entry) => Buffer.from(anchorOf(entry) ?? []).toString('hex'));
  await store.read(async (tx) => {
    for (const directory of directories) {
      const placed = await tx.placedByAnchor(directory, anchors);
      const standing = await tx.associationsByDn(directory, dns);
      // Of both ways: own people have their DNs under the same name.
      const written = await tx.placedById(
        directory,
        standing.map((one) => one?.id ?? NOBODY),
      );
      for (const [i, entry] of entries.entries()) {
        if (placed[i] !== undefined || written[i] !== undefined) found.add(entry);
      }
    }
  });
  return found;
}

const NOBODY = Buffer.alloc(0);
