/**
 * Where a postoffice's people live. Reading gives entries plus a read certificate; only a complete read allows
 * deletions (design rule 5). Writing is idempotent and gives one outcome per change: one bad entry never stops the others.
 */
import type { Attributes, EntryKind } from '../entry.ts';

/** How far a directory was read: opaque to everybody but the adapter that made it. */
export type Bookmark = string;

export interface DirectoryEntry {
  dn: string;
  /** As read, names in lower case; values are octets. */
  attributes: Attributes;
  /** The source could not be understood here: `dn` only says where, and it may be any entry. It has no key. */
  unclear?: boolean;
}

export interface ReadCertificate {
  /** Everything within the scope was seen, and nothing was half-written. */
  complete: boolean;
  /** Why it is not complete, or what an administrator should know; sentences. */
  remarks: string[];
  /** Entries read. */
  entries: number;
  /** What was read: a file with size and time, or a server. */
  source: string;
  /** For the next read; null where every read is a full one. */
  bookmark: Bookmark | null;
  /** `delta`: what changed since the bookmark; who was not seen stays. Absent: `whole`, who was not seen is gone. */
  extent?: 'whole' | 'delta';
}

export interface ReadBatch {
  entries: DirectoryEntry[];
  /** What was given so far is void: everything is read anew, from this batch on. */
  restart?: boolean;
  /** Values of the anchor: those entries are as they were (`whole`) … */
  present?: Uint8Array[];
  /** … and those are gone, or out of scope (`delta`). */
  gone?: Uint8Array[];
  /** On the last batch, and only there. */
  certificate?: ReadCertificate;
}

export interface DirectoryChange {
  /** 16 bytes. */
  id: Uint8Array;
  /** `put`: the entry shall be exactly this. `remove`: it shall be gone. */
  action: 'put' | 'remove';
  /** Where it shall be. */
  dn: string;
  attributes: Attributes;
  /** `container`: not an entry of the network; what others lie below. Absent with `remove`. */
  kind?: EntryKind | 'container';
  /** `changes` directories: where it stood after the last write; absent: it was never written there. */
  place?: Place;
  /** It stood there before dirpost wrote it, outside of the container: it keeps its place, and what the network does not name. */
  adopted?: true;
  /** A group that stands there without members who were not there. */
  lackedMembers?: true;
}

/** Where an entry stands in a directory that is written. */
export interface Place {
  dn: string;
  /** Value of the attribute that it keeps there for life, in hexadecimal digits. */
  anchor: string;
}

export interface WriteOutcome {
  id: Uint8Array;
  result: 'written' | 'refused';
  /** `changes` directories: where it stands now. Absent with `written`: it is gone; with `refused`: as before. */
  place?: Place;
  /** With `refused`: the LDAP result code's name or the adapter's own, and why. */
  code?: string;
  reason?: string;
}

/** An entry that a directory has already. */
export interface TargetEntry extends Place {
  /** Those that were asked for; names in lower case. */
  attributes: Attributes;
  /** The system needs it, or it may more than others: it is left alone. */
  isProtected: boolean;
}

export interface TargetQuery {
  /** The DN below which is looked, and what an entry there has to match (RFC 4515). */
  base: string;
  filter: string;
  /** One of the values of this attribute; at most some hundred. */
  attribute: string;
  values: Uint8Array[];
  /** Attributes that are told of each entry. */
  attributes: string[];
}

/** Looks for entries that are there already, over one line. All throw DirpostError `directory-failed`. */
export interface TargetFinder {
  /** Entries in the container with a stamp: of these entry ids, or (null) of any. */
  stamped(ids: Uint8Array[] | null): AsyncIterable<TargetEntry & { id: Uint8Array }>;
  matching(query: TargetQuery): AsyncIterable<TargetEntry>;
  close(): void;
}

export interface Directory {
  readonly name: string;
  /** `whole`: every write gives the complete content (a file). `changes`: only what changed (a server). */
  readonly writes: 'whole' | 'changes';
  /**
   * Batches in the directory's own order, at most some thousand entries each, memory bounded. Throws DirpostError
   * (`ldif-syntax`, `file-missing`, `directory-failed` …) where nothing sensible can be read at all.
   */
  read(since: Bookmark | null, signal: AbortSignal): AsyncIterable<ReadBatch>;
  /**
   * Outcomes come in the order of the changes and are final only when the iteration ends without an error: a `whole`
   * directory is replaced in one step at its end, durably.
   */
  write(changes: AsyncIterable<DirectoryChange>, signal: AbortSignal): AsyncIterable<WriteOutcome>;
  /** `whole` directories: whether there is anything; absent: there is. What somebody removed is written again. */
  exists?(): Promise<boolean>;
  /**
   * Calls `wake` soon after something changed that a read would give. Resolves to false where that cannot be known, to true when
   * the signal ends it. Throws DirpostError when the line breaks.
   */
  watch?(wake: () => void, signal: AbortSignal): Promise<boolean>;
  /** `changes` directories whose outcomes may leave the anchor of a place open (''): where these DNs stand, or (null) all. */
  places?(dns: string[] | null, signal: AbortSignal): AsyncIterable<Place>;
  /** `changes` directories in which entries may be found that were there before, or whose place was forgotten. */
  finder?(signal: AbortSignal): Promise<TargetFinder>;
}
