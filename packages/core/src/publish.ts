/**
 * T0: a directory's entries are compared with what is published, and the differences are numbered (seq).
 *
 * While the directory is read only what differs is kept, staged in the store; nothing is published before the read has
 * ended. An incomplete read publishes nothing: the last data stay in use. Removals are derived from a complete read
 * only (design rule 5). Reading happens outside of transactions, each batch in one of its own, the end in one.
 */
import { normalizeDn } from './dn.ts';
import { changedAttributes } from './changed-attributes.ts';
import { CanonicalWriter, decodeEntry, encodeEntry, entryHash } from './entry.ts';
import { DigestSum } from './digest.ts';
import { IdSet } from './id-set.ts';
import { MEMBER_ATTRIBUTE, type Mapping } from './mapping.ts';
import { loadOwn, type OwnRecord, saveOwn } from './requestor-record.ts';
import type { DirectoryEntry, ReadCertificate } from './seams/directory.ts';
import type { EntryRow, StagedEntry, Store, StoreTx } from './seams/store.ts';

const BATCH = 2_000;
const MAX_REMARKS = 100;
const DOUBLE = 'another entry of this directory has the same key; both are refused';

export interface Refused {
  dn: string;
  code: string;
  reason: string;
}

export interface ReadSummary {
  directory: string;
  certificate: ReadCertificate;
  /** Entries that are published now, out of this read. */
  published: number;
  leftOut: number;
  added: number;
  changed: number;
  removed: number;
  refusedCount: number;
  /** At most MAX_REMARKS of them. */
  refused: Refused[];
  /** DNs of group members that are no entries of this postoffice. */
  unknownMembers: number;
}

/** One read of one publishing directory. */
export class DirectoryReading {
  readonly #seen = new IdSet();
  readonly #doubles = new Set<string>();
  readonly #writer = new CanonicalWriter();
  readonly #summary: ReadSummary;
  #staged = 0;

  constructor(
    private readonly store: Store,
    private readonly owner: string,
    private readonly directory: string,
    private readonly mapping: Mapping,
  ) {
    const certificate: ReadCertificate = { complete: false, remarks: [], entries: 0, source: '', bookmark: null };
    const counts = { published: 0, leftOut: 0, added: 0, changed: 0, removed: 0, refusedCount: 0, unknownMembers: 0 };
    this.#summary = { directory, certificate, ...counts, refused: [] };
  }

  /** To be called first: forgets what a read that broke off has staged. */
  async begin(): Promise<void> {
    await this.store.transaction((tx) => tx.clearStaged(this.directory));
  }

  async take(entries: DirectoryEntry[]): Promise<void> {
    const mapped = entries.map((entry) => this.#map(entry)).filter((staged) => staged !== null);
    if (mapped.length === 0) return;
    const rows = await this.store.read((tx) =>
      tx.entriesById(
        'published',
        mapped.map((one) => one.id),
      ),
    );
    const differing = mapped.filter((one, i) => one.memberDns.length > 0 || differs(one, rows[i], this.directory));
    if (differing.length === 0) return;
    this.#staged += differing.length;
    await this.store.transaction((tx) => tx.stageEntries(this.directory, differing), { large: differing.length > 500 });
  }

  /** Publishes what was staged, if the read is complete. `preview`: everything is computed, nothing stays. */
  async finish(certificate: ReadCertificate, preview = false): Promise<ReadSummary> {
    this.#summary.certificate = certificate;
    const large = this.#staged > 500;
    if (!preview) return this.store.transaction((tx) => this.#publish(tx), { large });
    try {
      await this.store.transaction(async (tx) => {
        await this.#publish(tx);
        throw new PreviewEnds();
      });
    } catch (error) {
      if (!(error instanceof PreviewEnds)) throw error;
    }
    await this.begin();
    return this.#summary;
  }

  #map(entry: DirectoryEntry): StagedEntry | null {
    const mapped = this.mapping(entry);
    if (mapped.outcome === 'leave-out') {
      this.#summary.leftOut++;
      return null;
    }
    if (mapped.outcome === 'refuse') return this.#refuse(entry.dn, mapped.code, mapped.reason);
    if (!this.#seen.add(mapped.id)) {
      this.#doubles.add(hex(mapped.id));
      return this.#refuse(entry.dn, 'duplicate-id', DOUBLE);
    }
    const { id, kind, attributes, memberDns } = mapped;
    const bytes = encodeEntry({ id, owner: this.owner, kind, attributes }, this.#writer);
    return { id, dn: entry.dn, bytes, hash: entryHash(bytes), memberDns };
  }

  #refuse(dn: string, code: string, reason: string): null {
    this.#summary.refusedCount++;
    if (this.#summary.refused.length < MAX_REMARKS) this.#summary.refused.push({ dn, code, reason });
    return null;
  }

  async #publish(tx: StoreTx): Promise<ReadSummary> {
    const summary = this.#summary;
    const own = await loadOwn(tx);
    if (summary.certificate.complete) {
      const work = { own, sum: DigestSum.from(own.digest) };
      await this.#publishStaged(tx, work);
      await this.#removeUnseen(tx, work);
      await this.#publishGroups(tx, work);
      own.digest = work.sum.digest();
      await saveOwn(tx, own);
      summary.published = this.#seen.size - this.#doubles.size;
    }
    await tx.clearStaged(this.directory);
    return summary;
  }

  async #publishStaged(tx: StoreTx, work: Work): Promise<void> {
    for (let after = 0; ; ) {
      const staged = await tx.stagedEntries(this.directory, after, BATCH);
      if (staged.length === 0) return;
      after = staged.at(-1)!.position;
      const wanted = staged.filter((one) => !this.#isDouble(one));
      await tx.putAssociations(
        this.directory,
        wanted.map(({ id, dn }) => ({ id, dn, normalizedDn: normalizeDn(dn) })),
      );
      await this.#publishRows(
        tx,
        work,
        wanted.filter((one) => one.memberDns.length === 0),
      );
    }
  }

  #isDouble({ id, dn }: StagedEntry): boolean {
    if (!this.#doubles.has(hex(id))) return false;
    this.#refuse(dn, 'duplicate-id', DOUBLE);
    return true;
  }

  /** After all others, when every member has its id. */
  async #publishGroups(tx: StoreTx, work: Work): Promise<void> {
    for (let after = 0; ; ) {
      const staged = await tx.stagedEntries(this.directory, after, BATCH);
      if (staged.length === 0) return;
      after = staged.at(-1)!.position;
      const groups: StagedEntry[] = [];
      for (const one of staged) {
        if (one.memberDns.length > 0 && !this.#doubles.has(hex(one.id))) groups.push(await this.#withMembers(tx, one));
      }
      await this.#publishRows(tx, work, groups);
    }
  }

  async #withMembers(tx: StoreTx, group: StagedEntry): Promise<StagedEntry> {
    const ids: Uint8Array[] = [];
    for (let from = 0; from < group.memberDns.length; from += BATCH) {
      const dns = group.memberDns.slice(from, from + BATCH).map((dn) => safelyNormalized(dn));
      for (const found of await tx.associationsByDn(this.directory, dns)) {
        if (found === undefined) this.#summary.unknownMembers++;
        else ids.push(found.id);
      }
    }
    const entry = decodeEntry(group.bytes);
    if (ids.length > 0) entry.attributes.set(MEMBER_ATTRIBUTE, ids);
    const bytes = encodeEntry(entry, this.#writer);
    return { ...group, bytes, hash: entryHash(bytes) };
  }

  async #publishRows(tx: StoreTx, work: Work, staged: StagedEntry[]): Promise<void> {
    const before = await tx.entriesById(
      'published',
      staged.map((one) => one.id),
    );
    const rows: EntryRow[] = [];
    for (const [i, one] of staged.entries()) {
      const row = before[i];
      if (row !== undefined && !row.deleted && row.note !== this.directory) {
        this.#refuse(one.dn, 'duplicate-id', `the directory ${row.note} already publishes an entry with the same key`);
      } else if (differs(one, row, this.directory)) {
        rows.push(this.#changedRow(work, row, one));
      }
    }
    await tx.putEntries('published', rows);
  }

  #changedRow({ own, sum }: Work, row: EntryRow | undefined, staged: StagedEntry): EntryRow {
    const live = row !== undefined && !row.deleted;
    if (live) sum.subtract(row.hash);
    else own.live++;
    sum.add(staged.hash);
    if (live) this.#summary.changed++;
    else this.#summary.added++;
    const seq = ++own.seq;
    const changed = live ? changedAttributes(row, staged.bytes, seq) : null;
    return {
      number: row?.number ?? 0,
      id: staged.id,
      owner: this.owner,
      seq,
      deleted: false,
      hash: staged.hash,
      bytes: staged.bytes,
      peerNumber: null,
      // What has to be sent whole is introduced again.
      introduced: changed === null ? seq : row!.introduced,
      changed,
      note: this.directory,
    };
  }

  async #removeUnseen(tx: StoreTx, { own, sum }: Work): Promise<void> {
    for (let after = 0; ; ) {
      const rows = await tx.scanHashes('published', after, 5 * BATCH);
      if (rows.length === 0) return;
      after = rows.at(-1)!.number;
      const unseen = rows.filter((row) => !row.deleted && !this.#seen.has(row.id)).map((row) => row.number);
      if (unseen.length === 0) continue;
      const gone = (await tx.entriesByNumber('published', unseen)).filter((row) => row?.note === this.directory);
      const tombstones = gone.map((row) => {
        sum.subtract(row!.hash);
        own.live--;
        return { ...row!, seq: ++own.seq, deleted: true, bytes: null, changed: null };
      });
      await tx.putEntries('published', tombstones);
      await tx.removeAssociations(
        this.directory,
        tombstones.map((row) => row.id),
      );
      this.#summary.removed += tombstones.length;
    }
  }
}

/** Rolls back what a preview computed. */
class PreviewEnds extends Error {}

interface Work {
  own: OwnRecord;
  sum: DigestSum;
}

function differs(staged: StagedEntry, row: EntryRow | undefined, directory: string): boolean {
  return row === undefined || row.deleted || row.note !== directory || Buffer.compare(row.hash, staged.hash) !== 0;
}

/** A member DN that cannot be parsed names nobody. */
function safelyNormalized(dn: string): string {
  try {
    return normalizeDn(dn);
  } catch {
    return '';
  }
}

function hex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}
