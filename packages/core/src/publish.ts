/**
 * T0: a directory's entries are compared with what is published, and the differences are numbered (seq).
 *
 * While the directory is read only what differs is kept, staged in the store; nothing is published before the read has
 * ended. An incomplete read publishes nothing: the last data stay in use. Removals are derived from a complete read
 * only (design rule 5). Reading happens outside of transactions, each batch in one of its own, the end in one.
 * What goes beyond the limits (holds.ts) is left out: the entry stays published as it is, until it is approved.
 *
 * A read goes on from the last one where it can (read-base.ts), and then gives only what changed (`delta`), or names those who
 * are as they were (`present`). It comes to the same as if everything had been read.
 *
 * A refusal is no deletion: who is refused stays published as he was. He is known by his key, or without one by the DN
 * under which he was published. An entry with neither is taken for one that was never published. But one that the source
 * could not even tell (`unclear`) may be anybody who is missing: as long as there is one, removals wait for an approval.
 */
import { Aliases, type Resolved } from './aliases.ts';
import { normalizeDn } from './dn.ts';
import { CanonicalWriter, encodeEntry, entryHash } from './entry.ts';
import { differs, DOUBLE, isLeftAlone } from './finished-read.ts';
import { affectedGroups, MovedDns, safelyNormalized } from './follow-members.ts';
import type { Mapping } from './mapping.ts';
import { NOTHING_WRITTEN, type WrittenHere, writtenAmong } from './written-here.ts';
import { publishRead } from './publish-read.ts';
import { loadReadBase, type ReadBase } from './read-base.ts';
import { type ReadSummary, ReadTally } from './read-tally.ts';
import { loadOwn, type RequestorContext } from './requestor-record.ts';
import type { Bookmark, DirectoryEntry, ReadBatch, ReadCertificate } from './seams/directory.ts';
import type { StagedEntry, Store, StoreTx } from './seams/store.ts';

/** Of more that are left out it is not remembered who they are. */
const MAX_UNPUBLISHED = 50_000;
/** Entries that are staged in one transaction, or as many as have so many octets. */
const STAGED = 2_000;
const STAGED_BYTES = 4 * 1024 * 1024;

export interface ReadStart {
  /** See ReadBase; absent: every read is a whole one. */
  configuration?: string | undefined;
  /** Whatever is known: everything is to be read. */
  whole?: boolean;
  /** The directories that are published from; absent: not known. */
  configured?: readonly string[];
}

/** One read of one publishing directory. */
export class DirectoryReading {
  #base: ReadBase | null = null;
  #configuration: string | undefined;
  #configured: readonly string[] | undefined;
  #tally: ReadTally;
  /** Who came to a DN, or left one, by what the read gave. */
  #moved = new MovedDns();
  /** Who is left out or refused: entry id in hexadecimal digits → normalized DN. */
  #unpublished = new Map<string, string>();
  readonly #writer = new CanonicalWriter();
  #staged = 0;
  /** What differs, until it is enough for a transaction. */
  #unstaged: StagedEntry[] = [];
  #unstagedBytes = 0;
  /** While one batch is written the next is read. */
  #staging: Promise<void> = Promise.resolve();
  #afterMoves = false;
  readonly #aliases: Aliases;
  /** Who had been taken for an entry is not it: only from the beginning it can be said who is who. */
  #mistaken = false;

  constructor(
    private readonly store: Store,
    private readonly owner: string,
    private readonly directory: string,
    private readonly mapping: Mapping,
    private readonly context: Pick<RequestorContext, 'holds' | 'clock'>,
    private readonly writtenHere: WrittenHere = NOTHING_WRITTEN,
  ) {
    this.#tally = new ReadTally(directory);
    this.#aliases = new Aliases(store, directory);
  }

  /** To be called first: forgets what a read that broke off has staged. Gives what the directory may go on from. */
  async begin({ configuration, whole = false, configured }: ReadStart = {}): Promise<Bookmark | null> {
    this.#configuration = configuration;
    this.#configured = configured;
    return this.store.transaction(async (tx) => {
      await tx.clearStaged(this.directory);
      await this.#aliases.begin(tx);
      if (configuration === undefined || whole) return null;
      const { incarnation } = await loadOwn(tx);
      this.#base = await loadReadBase(tx, this.directory, configuration, incarnation);
      return this.#base?.bookmark ?? null;
    });
  }

  /** The directory could not go on from the bookmark, or it does not do: everything comes anew. */
  async restart(): Promise<void> {
    await this.#staging;
    [this.#unstaged, this.#unstagedBytes] = [[], 0];
    this.#base = null;
    this.#tally = new ReadTally(this.directory);
    this.#moved = new MovedDns();
    this.#unpublished = new Map();
    this.#mistaken = false;
    await this.store.transaction((tx) => tx.clearStaged(this.directory));
  }

  async take(entries: DirectoryEntry[], named: Pick<ReadBatch, 'present' | 'gone'> = {}): Promise<void> {
    const { mapping } = this;
    const keys = (anchors: Uint8Array[] = []) => anchors.map((anchor) => mapping.idOfAnchor(anchor));
    const [presentKeys, goneKeys] = [keys(named.present), keys(named.gone)];
    const { idOf, returned } = await this.#aliases.resolve(
      () => keys(entries.map((entry) => mapping.anchorOf(entry)).filter((anchor) => anchor !== null)),
      () => [...presentKeys, ...goneKeys],
    );
    if (returned.some((id) => this.#base !== null || this.#tally.isThere(id))) this.#mistaken = true;
    const { present, goneRows } = this.#tally;
    for (const key of presentKeys) present.add(idOf(key));
    const gone = goneKeys.map(idOf);
    await this.#takeEntries(entries, gone, idOf);
    if (gone.length === 0) return;
    for (const id of gone) this.#tally.gone.add(id);
    const rows = await this.store.read((tx) => tx.entriesById('published', gone));
    for (const row of rows) if (row?.deleted === false && row.note === this.directory) goneRows.add(row.number);
  }

  /** `gone` takes the ids of those who are left out. */
  async #takeEntries(entries: DirectoryEntry[], gone: Uint8Array[], idOf: Resolved['idOf']): Promise<void> {
    const keyless: string[] = [];
    const own = await writtenAmong(this.store, this.writtenHere, this.mapping.anchorOf, entries);
    const refused: Uint8Array[] = [];
    const into: MappedInto = { keyless, gone, refused, idOf };
    const mapped = entries
      .map((entry) => (own.has(entry) ? this.#leaveOut(entry, into, true) : this.#map(entry, into)))
      .filter((staged) => staged !== null);
    await this.#noteMoved(mapped, refused);
    if (keyless.length > 0) {
      const found = await this.store.read((tx) => tx.associationsByDn(this.directory, keyless));
      for (const one of found) if (one !== undefined) this.#tally.keyless.add(one.id);
    }
    if (mapped.length === 0) return;
    const rows = await this.store.read((tx) =>
      tx.entriesById(
        'published',
        mapped.map((one) => one.id),
      ),
    );
    // Also who is held: his DN as read before is remembered, and may be the old one again.
    const differing = mapped.filter((one, i) => {
      const row = rows[i];
      return one.memberDns.length > 0 || (row?.held ?? null) !== null || differs(one, row, this.directory);
    });
    if (differing.length === 0) return;
    this.#staged += differing.length;
    if (this.#base !== null) {
      const associations = differing.map(({ id, dn }) => ({ id, normalizedDn: normalizeDn(dn) }));
      await this.store.read((tx) => this.#moved.note(tx, this.directory, associations));
    }
    for (const one of differing) {
      this.#unstaged.push(one);
      this.#unstagedBytes += one.bytes.length;
    }
    if (this.#unstaged.length >= STAGED || this.#unstagedBytes >= STAGED_BYTES) await this.#stage();
  }

  /** Of a read that goes on from another: who moved without being published. */
  async #noteMoved(mapped: StagedEntry[], refused: Uint8Array[]): Promise<void> {
    if (this.#base === null) return;
    const known = this.#base.unpublished ?? {};
    const left = mapped.filter(({ id }) => known[hex(id)] !== undefined);
    for (const { id, dn } of left) this.#noteLeft(hex(id), normalizeDn(dn));
    const moved = refused.map((id) => ({ id, normalizedDn: this.#unpublished.get(hex(id)) ?? '' }));
    const named = moved.filter(({ normalizedDn }) => normalizedDn !== '');
    if (named.length > 0) await this.store.read((tx) => this.#moved.noteRefused(tx, this.directory, named));
  }

  #noteLeft(id: string, normalizedDn: string): void {
    const before = this.#base?.unpublished?.[id];
    if (before !== undefined && before !== normalizedDn) this.#moved.left.add(before);
  }

  #noteUnpublished(id: Uint8Array, dn: string): void {
    if (this.#unpublished.size >= MAX_UNPUBLISHED) return;
    const normalizedDn = safelyNormalized(dn);
    this.#noteLeft(hex(id), normalizedDn);
    this.#unpublished.set(hex(id), normalizedDn);
  }

  async #stage(): Promise<void> {
    await this.#staging;
    const entries = this.#unstaged;
    if (entries.length === 0) return;
    [this.#unstaged, this.#unstagedBytes] = [[], 0];
    const stage = (tx: StoreTx) => tx.stageEntries(this.directory, entries);
    this.#staging = this.store.transaction(stage, { large: entries.length > 500 });
    // It is told when it is waited for.
    this.#staging.catch(() => {});
  }

  /**
   * Whether only a read of everything tells what groups hold now that this one did not give: a server may write the new DN
   * of a member into his groups without a word of it (refint of OpenLDAP); or who
   * somebody is (aliases.ts). Then restart, and read without a bookmark.
   */
  async needsWhole(certificate: ReadCertificate): Promise<boolean> {
    await this.#staging;
    if (this.#mistaken && certificate.complete) return true;
    const base = this.#base;
    if (base === null || !certificate.complete) return false;
    const isLeft = (id: Uint8Array) => isLeftAlone(this.#tally, base, id, certificate.extent ?? 'whole');
    const following = { directory: this.directory, moved: this.#moved, unresolved: base.unresolved, isLeft };
    const groups = await this.store.read((tx) => affectedGroups(tx, following));
    // It may do so a little later.
    this.#afterMoves = groups.length > 0;
    return this.#afterMoves;
  }

  /** Publishes what was staged, if the read is complete. `preview`: everything is computed, nothing stays. */
  async finish(certificate: ReadCertificate, preview = false): Promise<ReadSummary> {
    await this.#stage();
    await this.#staging;
    this.#tally.summary.certificate = certificate;
    const large = this.#staged > 500;
    const publish = (tx: StoreTx) =>
      publishRead(tx, {
        owner: this.owner,
        context: this.context,
        tally: this.#tally,
        base: this.#base,
        configuration: this.#afterMoves ? undefined : this.#configuration,
        aliases: this.#aliases,
        unpublished: this.#unpublished,
        match: this.mapping.match,
        configured: this.#configured,
      });
    if (!preview) return this.store.transaction(publish, { large });
    try {
      await this.store.transaction(async (tx) => {
        await publish(tx);
        throw new PreviewEnds();
      });
    } catch (error) {
      if (!(error instanceof PreviewEnds)) throw error;
    }
    await this.begin();
    return this.#tally.summary;
  }

  /** `keyless` takes the DNs of those who are refused without a key, `refused` and `gone` the ids of those who are refused and left out. */
  #map(entry: DirectoryEntry, into: MappedInto): StagedEntry | null {
    const { keyless, refused, idOf } = into;
    if (entry.unclear === true) this.#tally.unclear++;
    const mapped = this.mapping(entry);
    if (mapped.outcome === 'leave-out') return this.#leaveOut(entry, into);
    if (mapped.outcome === 'refuse' && mapped.id === null) {
      keyless.push(safelyNormalized(entry.dn));
      return this.#tally.refuse(entry.dn, mapped.code, mapped.reason);
    }
    const id = idOf(mapped.id!);
    if (!this.#tally.seen.add(id)) return this.#tally.refuse(entry.dn, 'duplicate-id', DOUBLE, id);
    if (mapped.outcome === 'refuse') {
      this.#noteUnpublished(id, entry.dn);
      refused.push(id);
      return this.#tally.refuse(entry.dn, mapped.code, mapped.reason, id);
    }
    const { kind, attributes, memberDns } = mapped;
    const bytes = encodeEntry({ id, owner: this.owner, kind, attributes }, this.#writer);
    return { id, dn: entry.dn, bytes, hash: entryHash(bytes), memberDns };
  }

  /** `isOwn`: dirpost wrote it, and it is never published. */
  #leaveOut(entry: DirectoryEntry, { gone, idOf }: MappedInto, isOwn = false): null {
    this.#tally.summary.leftOut++;
    // In a whole read it is enough that he is not seen.
    const isWhole = this.#base === null;
    const anchor = isWhole && isOwn ? null : this.mapping.anchorOf(entry);
    if (anchor === null) return null;
    const id = idOf(this.mapping.idOfAnchor(anchor));
    if (!isOwn) this.#noteUnpublished(id, entry.dn);
    if (!isWhole) gone.push(id);
    return null;
  }
}

interface MappedInto {
  keyless: string[];
  gone: Uint8Array[];
  refused: Uint8Array[];
  idOf: Resolved['idOf'];
}

function hex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}

/** Rolls back what a preview computed. */
class PreviewEnds extends Error {}
