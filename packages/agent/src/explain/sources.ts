/** What the publishing directories themselves say of somebody, and what the mapping (T0) makes of it. Reads them whole. */
import {
  attributesLookup,
  type AttributeLookup,
  compileFilter,
  deriveEntryId,
  type DirectoryEntry,
  DirpostError,
  type Mapped,
} from '@dirpost/core';
import type { PublishDirectory } from '../config/directory.ts';
import type { Configuration } from '../config/load.ts';
import type { Postoffice } from '../postoffice.ts';
import { describe } from './find.ts';
import { filterReasons } from './filter-reason.ts';
import { hex, type Query } from './query.ts';

const MOST_FOUND = 20;

export interface SourceEntry {
  directory: string;
  dn: string;
  /** null where it has no key. */
  id: string | null;
  name: string | null;
  outcome: Mapped['outcome'];
  kind: string | null;
  /** The filter that gave the kind; null where none did. */
  kindFilter: string | null;
  /** Why it is left out or refused; sentences. */
  reasons: string[];
}

export interface SourceRead {
  directory: string;
  /** Why the read was not complete: who is not found may be there. */
  problem: string | null;
  entries: number;
}

export interface Sources {
  read: SourceRead[];
  found: SourceEntry[];
}

/** `id`: only this entry, hexadecimal; else all that the query means. */
export async function readSources(
  postoffice: Postoffice,
  { directories }: Pick<Configuration, 'directories'>,
  query: Query,
  id: string | null,
  signal: AbortSignal,
): Promise<Sources> {
  const sources: Sources = { read: [], found: [] };
  for (const { directory, mapping } of postoffice.publishing) {
    const options = directories.find(({ name }) => name === directory.name) as PublishDirectory;
    const read: SourceRead = { directory: directory.name, problem: null, entries: 0 };
    sources.read.push(read);
    try {
      for await (const { entries, certificate } of directory.read(null, signal)) {
        read.entries += entries.length;
        if (certificate?.complete === false) read.problem = certificate.remarks.join(' ');
        const ids = await idsOf(postoffice, options, entries);
        for (const [i, entry] of entries.entries()) {
          const entryId = ids[i]!;
          if (id === null ? !meant(query, entry, entryId) : entryId !== id) continue;
          if (sources.found.length < MOST_FOUND)
            sources.found.push(sourceEntry(options, entry, entryId, mapping(entry)));
        }
      }
    } catch (error) {
      if (!(error instanceof DirpostError) || signal.aborted) throw error;
      read.problem = error.message;
    }
  }
  return sources;
}

/** null where one has no key. */
async function idsOf(
  { name: owner, store }: Postoffice,
  { name, key, space }: PublishDirectory,
  entries: DirectoryEntry[],
): Promise<(string | null)[]> {
  const derived = entries.map((entry) => {
    const anchor = entry.attributes.get(key.toLowerCase())?.[0];
    return anchor === undefined || anchor.length === 0 ? null : deriveEntryId(owner, space, anchor);
  });
  const keys = derived.filter((id) => id !== null);
  // Who came back under another key has kept his id.
  const aliases = await store.read((tx) => tx.aliasesByKey(name, keys));
  let next = 0;
  return derived.map((id) => (id === null ? null : hex(aliases[next++]?.id ?? id)));
}

function meant({ filter, looseFilter, ids }: Query, entry: DirectoryEntry, id: string | null): boolean {
  if (id !== null && ids.includes(id)) return true;
  const lookup = lookupOf(entry);
  return filter?.matches(lookup) === true || looseFilter?.matches(lookup) === true;
}

function lookupOf(entry: DirectoryEntry): AttributeLookup {
  const attributes = attributesLookup(entry.attributes);
  return (name) => (name === 'entrydn' ? [Buffer.from(entry.dn)] : attributes(name));
}

function sourceEntry(options: PublishDirectory, entry: DirectoryEntry, id: string | null, mapped: Mapped): SourceEntry {
  const lookup = attributesLookup(entry.attributes);
  const kinds = Object.entries(options.kinds);
  const decided = kinds.find(([, text]) => compileFilter(text).matches(lookup) === true);
  return {
    directory: options.name,
    dn: entry.dn,
    id,
    name: describe({ kind: 'person', attributes: entry.attributes }).name,
    outcome: mapped.outcome,
    kind: decided?.[0] ?? null,
    kindFilter: decided?.[1] ?? null,
    reasons: reasonsOf(options, lookup, mapped),
  };
}

function reasonsOf({ base, filter }: PublishDirectory, lookup: AttributeLookup, mapped: Mapped): string[] {
  if (mapped.outcome === 'publish') return [];
  if (mapped.outcome === 'refuse') return [mapped.reason];
  if (mapped.why.startsWith('it is outside')) return [`${mapped.why} ${base}`];
  // The base is judged before the filter, and exclusions and kinds only after it.
  const parts = filter === undefined ? [] : filterReasons(filter, lookup);
  return parts.length === 0 ? [mapped.why] : [mapped.why, ...parts];
}
