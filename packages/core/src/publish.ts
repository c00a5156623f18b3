/**
 * T0: a directory's entries are compared with what is published, and the differences are numbered (seq).
 *
 * While the directory is read only what differs is kept, staged in the store; nothing is published before the read has
 * ended. An incomplete read publishes nothing: the last data stay in use. Removals are derived from a complete read
 * only (design rule 5). Reading happens outside of transactions, each batch in one of its own, the end in one.
 * What goes beyond the limits (holds.ts) is left out: the entry stays published as it is, until it is approved.
 *
 * A refusal is no deletion: who is refused stays published as he was. He is known by his key, or without one by the DN
 * under which he was published. An entry with neither is taken for one that was never published. But one that the source
 * could not even tell (`unclear`) may be anybody who is missing: as long as there is one, removals wait for an approval.
 */
import { normalizeDn } from './dn.ts';
import { changedAttributes } from './changed-attributes.ts';
import { effectsBetween, type Measured, membersIn } from './effects.ts';
import { CanonicalWriter, decodeEntry, encodeEntry, entryHash } from './entry.ts';
import { DigestSum } from './digest.ts';
import { type HeldCounts, noneHeld } from './holds.ts';
import { IdSet } from './id-set.ts';
import { MEMBER_ATTRIBUTE, type Mapping } from './mapping.ts';
import { loadOwn, type OwnRecord, type RequestorContext, saveOwn } from './requestor-record.ts';
import { isApproved, ReadHolds, REMOVED } from './read-holds.ts';
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
  /** What the read would have done beyond the limits: published entries stay as they are. */
  held: HeldCounts;
  /** DNs of group members that are no entries of this postoffice. */
  unknownMembers: number;
}

/** One read of one publishing directory. */
export class DirectoryReading {
  readonly #seen = new IdSet();
  /** Ids in hexadecimal: they stay as they were. */
  readonly #refused = new Set<string>();
  /** Who stands, without his key, under a DN that is published. */
  readonly #keyless = new IdSet();
  #unclear = 0;
  readonly #writer = new CanonicalWriter();
  readonly #summary: ReadSummary;
  #staged = 0;

  constructor(
    private readonly store: Store,
    private readonly owner: string,
    private readonly directory: string,
    private readonly mapping: Mapping,
    private readonly context: Pick<RequestorContext, 'holds' | 'clock'>,
  ) {
    const certificate: ReadCertificate = { complete: false, remarks: [], entries: 0, source: '', bookmark: null };
    const counts = { published: 0, leftOut: 0, added: 0, changed: 0, removed: 0, refusedCount: 0, unknownMembers: 0 };
    this.#summary = { directory, certificate, ...counts, held: noneHeld(), refused: [] };
  }

  /** To be called first: forgets what a read that broke off has staged. */
  async begin(): Promise<void> {
    await this.store.transaction((tx) => tx.clearStaged(this.directory));
  }

  async take(entries: DirectoryEntry[]): Promise<void> {
    const keyless: string[] = [];
    const mapped = entries.map((entry) => this.#map(entry, keyless)).filter((staged) => staged !== null);
    if (keyless.length > 0) {
      const found = await this.store.read((tx) => tx.associationsByDn(this.directory, keyless));
      for (const one of found) if (one !== undefined) this.#keyless.add(one.id);
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

  /** `keyless` takes the DNs of those who are refused without a key. */
  #map(entry: DirectoryEntry, keyless: string[]): StagedEntry | null {
    if (entry.unclear === true) this.#unclear++;
    const mapped = this.mapping(entry);
    if (mapped.outcome === 'leave-out') {
      this.#summary.leftOut++;
      return null;
    }
    if (mapped.outcome === 'refuse' && mapped.id === null) {
      keyless.push(safelyNormalized(entry.dn));
      return this.#refuse(entry.dn, mapped.code, mapped.reason);
    }
    if (!this.#seen.add(mapped.id!)) {
      this.#refused.add(hex(mapped.id!));
      return this.#refuse(entry.dn, 'duplicate-id', DOUBLE);
    }
    if (mapped.outcome === 'refuse') {
      this.#refused.add(hex(mapped.id!));
      return this.#refuse(entry.dn, mapped.code, mapped.reason);
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
      const work = await this.#begin(tx, own);
      await this.#publishStaged(tx, work);
      await this.#removeUnseen(tx, work);
      await this.#publishGroups(tx, work);
      await this.#publishDeferred(tx, work);
      await work.holds.end(tx);
      summary.held = work.holds.held;
      own.digest = work.sum.digest();
      await saveOwn(tx, own);
      summary.published = this.#seen.size - this.#refused.size;
    }
    await tx.clearStaged(this.directory);
    return summary;
  }

  /** Passes over what is published: who was not seen, and what the effects of this read are measured against. */
  async #begin(tx: StoreTx, own: OwnRecord): Promise<Work> {
    const holds = new ReadHolds(own, this.directory, this.#unclear, this.context);
    const work: Work = { own, sum: DigestSum.from(own.digest), holds, unseen: [], deferred: [] };
    for (let after = 0; ; ) {
      const rows = await tx.scanHashes('published', after, 5 * BATCH);
      if (rows.length === 0) return work;
      after = rows.at(-1)!.number;
      const live = rows.filter((row) => !row.deleted);
      const unseen = live.filter(({ id }) => !this.#seen.has(id) && !this.#keyless.has(id)).map((row) => row.number);
      holds.shown.entries += live.length - unseen.length;
      if (unseen.length === 0) continue;
      for (const row of await tx.entriesByNumber('published', unseen)) {
        if (row!.note !== this.directory) continue;
        holds.shown.entries++;
        work.unseen.push(row!.number);
        if (!isApproved(row!, REMOVED)) holds.count(REMOVED, 1);
      }
    }
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
    if (!this.#refused.has(hex(id))) return false;
    this.#refuse(dn, 'duplicate-id', DOUBLE);
    return true;
  }

  /** After all others, when every member has its id. */
  async #publishGroups(tx: StoreTx, work: Work): Promise<void> {
    for (let after = 0; ; ) {
      const staged = await tx.stagedEntries(this.directory, after, BATCH);
      if (staged.length === 0) return;
      after = staged.at(-1)!.position;
      const groups: Positioned[] = [];
      for (const one of staged) {
        if (one.memberDns.length > 0 && !this.#refused.has(hex(one.id))) groups.push(await this.#withMembers(tx, one));
      }
      await this.#publishRows(tx, work, groups);
    }
  }

  async #withMembers<S extends StagedEntry>(tx: StoreTx, group: S, first = true): Promise<S> {
    const ids: Uint8Array[] = [];
    for (let from = 0; from < group.memberDns.length; from += BATCH) {
      const dns = group.memberDns.slice(from, from + BATCH).map((dn) => safelyNormalized(dn));
      for (const found of await tx.associationsByDn(this.directory, dns)) {
        if (found !== undefined) ids.push(found.id);
        else if (first) this.#summary.unknownMembers++;
      }
    }
    const entry = decodeEntry(group.bytes);
    if (ids.length > 0) entry.attributes.set(MEMBER_ATTRIBUTE, ids);
    const bytes = encodeEntry(entry, this.#writer);
    return { ...group, bytes, hash: entryHash(bytes) };
  }

  /** What has effects is deferred: only at the end it is known how many there are. */
  async #publishRows(tx: StoreTx, work: Work, staged: Positioned[]): Promise<void> {
    const before = await tx.entriesById(
      'published',
      staged.map((one) => one.id),
    );
    const rows: EntryRow[] = [];
    for (const [i, one] of staged.entries()) {
      const row = before[i];
      if (row !== undefined && !row.deleted && row.note !== this.directory) {
        this.#refuse(one.dn, 'duplicate-id', `the directory ${row.note} already publishes an entry with the same key`);
        continue;
      }
      if (row !== undefined) work.holds.shown.members += membersIn(row.bytes);
      if (!differs(one, row, this.directory)) continue;
      const measured = effectsBetween(row?.bytes ?? null, one.bytes);
      if (measured.effects === 0 || isApproved(row!, measured)) {
        rows.push(this.#changedRow(work, row, one));
      } else {
        work.holds.count(measured, 1);
        work.deferred.push({ position: one.position, measured });
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
      held: null,
    };
  }

  /** Before groups: who is gone has no DN any more that they could name. Who is held keeps it. */
  async #removeUnseen(tx: StoreTx, work: Work): Promise<void> {
    const { own, sum, unseen, holds } = work;
    const over = (holds.over() & REMOVED.effects) !== 0;
    for (let from = 0; from < unseen.length; from += BATCH) {
      const rows = (await tx.entriesByNumber('published', unseen.slice(from, from + BATCH))) as EntryRow[];
      const gone = rows.filter((row) => !over || isApproved(row, REMOVED));
      const tombstones = gone.map((row) => {
        if (!isApproved(row, REMOVED)) holds.count(REMOVED, -1);
        sum.subtract(row.hash);
        own.live--;
        return { ...row, seq: ++own.seq, deleted: true, bytes: null, changed: null, held: null };
      });
      await tx.putEntries('published', tombstones);
      await tx.removeAssociations(
        this.directory,
        tombstones.map((row) => row.id),
      );
      const kept = rows.filter((row) => over && !isApproved(row, REMOVED));
      await holds.mark(
        tx,
        kept.map((row) => ({ row, measured: REMOVED })),
      );
      this.#summary.removed += tombstones.length;
    }
  }

  /** In a second pass over what has effects: published within the limits, else held. */
  async #publishDeferred(tx: StoreTx, work: Work): Promise<void> {
    const over = work.holds.over();
    for (let from = 0; from < work.deferred.length; from += BATCH) {
      const rows: EntryRow[] = [];
      const kept: { row: EntryRow; measured: Measured }[] = [];
      for (const { position, measured } of work.deferred.slice(from, from + BATCH)) {
        const [staged] = await tx.stagedEntries(this.directory, position - 1, 1);
        const [row] = await tx.entriesById('published', [staged!.id]);
        if ((measured.effects & over) !== 0) {
          work.holds.noteCleared(row!.bytes!, staged!.bytes);
          kept.push({ row: row!, measured });
          continue;
        }
        work.holds.count(measured, -1);
        const whole = staged!.memberDns.length > 0 ? await this.#withMembers(tx, staged!, false) : staged!;
        rows.push(this.#changedRow(work, row, whole));
      }
      await tx.putEntries('published', rows);
      await work.holds.mark(tx, kept);
    }
  }
}

/** Rolls back what a preview computed. */
class PreviewEnds extends Error {}

interface Work {
  own: OwnRecord;
  sum: DigestSum;
  holds: ReadHolds;
  /** Numbers of rows. */
  unseen: number[];
  /** By position in what is staged. */
  deferred: { position: number; measured: Measured }[];
}

type Positioned = StagedEntry & { position: number };

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
