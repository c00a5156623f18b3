/** The part of the store about which entry is which: keys that stand for others (T0), and entries of a target that were there before (T3). */
import type { Placed } from './store.ts';

/**
 * An entry came back under another key, and is still the same entry (aliases.ts). `key`: the entry id that would derive from the
 * key that it has now; `id`: the entry id that it keeps. 16 octets each.
 */
export interface Alias {
  key: Uint8Array;
  id: Uint8Array;
}

/**
 * `found`: waits for an approval. `approved`: is taken with the next write. `adopted`: is written. `ambiguous`: one of several
 * that it may be, or that may be it. `unlinked`: never again, unless an administrator says so.
 */
export type LinkState = 'found' | 'approved' | 'adopted' | 'ambiguous' | 'unlinked';

/** An entry of the network and one that stood in a directory before dirpost wrote it (match-targets.ts). */
export interface Link {
  id: Uint8Array;
  /** See Place. */
  anchor: string;
  dn: string;
  state: LinkState;
  /** The attribute by which it was found. */
  by: string;
}

/** As all of StoreTx. */
export interface AssociationsTx {
  aliasesByKey(directory: string, keys: Uint8Array[]): Promise<(Alias | undefined)[]>;
  /** Two keys never stand for one entry. */
  aliasesById(directory: string, ids: Uint8Array[]): Promise<(Alias | undefined)[]>;
  /** Replaces by key and by id. */
  putAliases(directory: string, aliases: Alias[]): Promise<void>;
  /** By entry id. */
  removeAliases(directory: string, ids: Uint8Array[]): Promise<void>;
  countAliases(directory: string): Promise<number>;
  /** Those that have any; ascending. */
  aliasDirectories(): Promise<string[]>;
  clearAliases(directory: string): Promise<void>;

  /** '' is nobody's. */
  placedByAnchor(directory: string, anchors: string[]): Promise<(Placed | undefined)[]>;

  /** Of each id, ascending by anchor. */
  links(directory: string, ids: Uint8Array[]): Promise<Link[][]>;
  /** Replaces by id and anchor. */
  putLinks(directory: string, links: Link[]): Promise<void>;
  removeLinks(directory: string, links: Pick<Link, 'id' | 'anchor'>[]): Promise<void>;
  /** Ascending by id and anchor, behind `after` (null: from the first). */
  linksInState(
    directory: string,
    state: LinkState,
    after: Pick<Link, 'id' | 'anchor'> | null,
    limit: number,
  ): Promise<Link[]>;
  countLinks(directory: string, state: LinkState): Promise<number>;
  clearLinks(directory: string): Promise<void>;
}
