/**
 * T0, the end of a read: what it staged is published, in one transaction (publish.ts says what a read is).
 *
 *   who is gone or unseen ─▶ recognised under other keys │ removals │ staged entries ─▶ DNs, entries ─▶ groups ─▶ groups that were not given │ what was deferred
 */
import { changedAttributes } from './changed-attributes.ts';
import { DigestSum } from './digest.ts';
import { normalizeDn } from './dn.ts';
import { effectsBetween, type Measured, membersIn } from './effects.ts';
import { CanonicalWriter, decodeEntry, encodeEntry, entryHash } from './entry.ts';
import { differs, DOUBLE, type FinishedRead, isLeftAlone, type Positioned, type Work } from './finished-read.ts';
import { followMembers, MovedDns, moveRefused, safelyNormalized } from './follow-members.ts';
import { MEMBER_ATTRIBUTE } from './mapping.ts';
import { carriedOn, saveReadBase, unresolvedCount } from './read-base.ts';
import { heardLater } from './heard-later.ts';
import { IdSet } from './id-set.ts';
import { isApproved, ReadHolds, rekeyed, REMOVED } from './read-holds.ts';
import type { ReadSummary, ReadTally } from './read-tally.ts';
import { recognise } from './recognise.ts';
import { EDITS_NOTE } from './propose.ts';
import { keptFrom, takeOverKept } from './removed-directory.ts';
import { loadOwn, type OwnRecord, saveOwn } from './requestor-record.ts';
import { carryMarks } from './settle.ts';
import type { EntryRow, StagedEntry, StoreTx } from './seams/store.ts';

const BATCH = 2_000;
/** Publishes nothing where the read is not complete. */
export function publishRead(tx: StoreTx, read: FinishedRead): Promise<ReadSummary> {
  return new ReadPublishing(read).publish(tx);
}

class ReadPublishing {
  readonly #read: FinishedRead;
  readonly #tally: ReadTally;
  readonly #summary: ReadSummary;
  readonly #directory: string;
  readonly #goneDns = new MovedDns();
  /** Group, in hexadecimal → normalized DNs of members who are not found. */
  readonly #unresolved = new Map<string, string[]>();
  readonly #writer = new CanonicalWriter();
  /** Positions behind which a batch with groups is staged. */
  readonly #groupsAfter: number[] = [];
  /** Rows on their way into the store, while the next ones are made. */
  #writing: Promise<unknown> = Promise.resolve();

  constructor(read: FinishedRead) {
    this.#read = read;
    this.#tally = read.tally;
    this.#summary = read.tally.summary;
    this.#directory = this.#summary.directory;
  }

  async publish(tx: StoreTx): Promise<ReadSummary> {
    const summary = this.#summary;
    const own = await loadOwn(tx);
    if (summary.certificate.complete) {
      await this.#read.aliases.forgetReturned(tx);
      const work = await this.#begin(tx, own);
      await this.#recognise(tx, work);
      await moveRefused(tx, this.#directory, this.#tally.refused);
      const staged = await this.#publishStaged(tx, work);
      await this.#removeUnseen(tx, work);
      await this.#publishGroups(tx, work);
      await this.#publishFollowed(tx, work, staged);
      await this.#publishDeferred(tx, work);
      await work.holds.end(tx);
      summary.held = work.holds.held;
      own.digest = work.sum.digest();
      await saveOwn(tx, own);
      summary.published = this.#tally.seen.size - this.#tally.refused.size - work.recognised.size;
      await this.#remember(tx, work);
    }
    await tx.clearStaged(this.#directory);
    return summary;
  }

  /** Passes over what is published: who was not seen, and what the effects of this read are measured against. */
  async #begin(tx: StoreTx, own: OwnRecord): Promise<Work> {
    const holds = new ReadHolds(own, this.#directory, this.#tally.unclear, this.#read.context);
    const work: Work = {
      own,
      sum: DigestSum.from(own.digest),
      holds,
      unseen: [],
      left: [],
      leftNames: new Set(),
      recognised: new IdSet(),
      membersGained: 0,
      deferred: [],
    };
    holds.shown.members = this.#read.base?.members ?? 0;
    if (this.#extent === 'delta') await this.#findGone(tx, work);
    else await this.#findUnseen(tx, work);
    return work;
  }

  async #findUnseen(tx: StoreTx, work: Work): Promise<void> {
    for (let after = 0; ; ) {
      const rows = await tx.scanHashes('published', after, 5 * BATCH);
      if (rows.length === 0) return;
      after = rows.at(-1)!.number;
      const live = rows.filter((row) => !row.deleted);
      const unseen = live.filter(({ id }) => !this.#tally.isThere(id)).map((row) => row.number);
      work.holds.shown.entries += live.length - unseen.length;
      if (unseen.length > 0) this.#noteUnseen(work, await tx.entriesByNumber('published', unseen));
    }
  }

  /** Of a read that gives only what changed. */
  async #findGone(tx: StoreTx, work: Work): Promise<void> {
    if (this.#read.base === null) throw new TypeError(`${this.#directory} gave a delta, but was told no bookmark`);
    const numbers = [...this.#tally.goneRows];
    for (let from = 0; from < numbers.length; from += BATCH) {
      const rows = await tx.entriesByNumber('published', numbers.slice(from, from + BATCH));
      const gone = rows.filter((row) => row?.deleted === false && !this.#tally.isThere(row.id));
      this.#noteUnseen(work, gone);
    }
    work.holds.shown.entries = this.#read.base.entries;
  }

  #noteUnseen({ holds, unseen, left, leftNames }: Work, rows: (EntryRow | undefined)[]): void {
    for (const row of rows) {
      if (this.#isLeft(row!)) {
        left.push(row!.number);
        leftNames.add(keptFrom(row!.note) ?? row!.note!);
      }
      if (row!.note !== this.#directory) continue;
      holds.shown.entries++;
      unseen.push(row!.number);
      if (!isApproved(row!, REMOVED)) holds.count(REMOVED, 1);
    }
  }

  #isLeft({ note }: EntryRow): boolean {
    if (note === null || note === this.#directory || note === EDITS_NOTE) return false;
    return keptFrom(note) !== null || this.#read.configured?.includes(note) === false;
  }

  /** Who is missing and who came may be the same; also where he is missing under another name of the directory. */
  async #recognise(tx: StoreTx, work: Work): Promise<void> {
    const [directory, tally, { match }] = [this.#directory, this.#tally, this.#read];
    const missing = [...work.unseen, ...work.left];
    const rows = await recognise(tx, { directory, alsoIn: work.leftNames, match, tally, missing });
    const numbers = new Set(rows.map(({ number }) => number));
    work.unseen = work.unseen.filter((number) => !numbers.has(number));
    for (const row of rows) {
      work.recognised.add(row.id);
      if (this.#isLeft(row)) work.holds.shown.entries++;
      else if (!isApproved(row, REMOVED)) work.holds.count(REMOVED, -1);
    }
  }

  /** How many were staged. While one batch is written the next one is fetched and compared. */
  async #publishStaged(tx: StoreTx, work: Work): Promise<number> {
    const fetch = (position: number) => heardLater(tx.stagedEntries(this.#directory, position, BATCH));
    let next = fetch(0);
    for (let after = 0; ; ) {
      const staged = await next;
      await this.#writing;
      if (staged.length === 0) return after;
      if (staged.some(({ memberDns }) => memberDns.length > 0)) this.#groupsAfter.push(after);
      after = staged.at(-1)!.position;
      next = fetch(after);
      const wanted = staged.filter((one) => !this.#isDouble(one));
      const associations = wanted.map(({ id, dn }) => ({ id, dn, normalizedDn: normalizeDn(dn) }));
      const associating = heardLater(tx.putAssociations(this.#directory, associations));
      const others = wanted.filter((one) => one.memberDns.length === 0);
      await this.#publishRows(tx, work, others);
      this.#writing = heardLater(Promise.all([associating, this.#writing]));
    }
  }

  #isDouble({ id, dn }: StagedEntry): boolean {
    if (!this.#tally.refused.has(hex(id))) return false;
    this.#tally.refuse(dn, 'duplicate-id', DOUBLE, id);
    return true;
  }

  /** After all others, when every member has its id. */
  async #publishGroups(tx: StoreTx, work: Work): Promise<void> {
    for (const after of this.#groupsAfter) {
      const staged = await tx.stagedEntries(this.#directory, after, BATCH);
      const groups: Positioned[] = [];
      for (const one of staged) {
        if (one.memberDns.length > 0 && !this.#tally.refused.has(hex(one.id)))
          groups.push(await this.#withMembers(tx, one));
      }
      await this.#publishRows(tx, work, groups);
      await this.#writing;
    }
  }

  /** Groups that the read did not give, without those who are gone. */
  async #publishFollowed(tx: StoreTx, work: Work, position: number): Promise<void> {
    if (this.#read.base === null) return;
    const { base } = this.#read;
    const { unresolved } = base;
    const isLeft = (id: Uint8Array) => isLeftAlone(this.#tally, base, id, this.#extent);
    const following = { directory: this.#directory, moved: this.#goneDns, unresolved, isLeft };
    let after = position;
    for await (const { groups, unresolved: still } of followMembers(tx, following)) {
      for (const [group, dns] of still) this.#unresolved.set(group, dns);
      await tx.stageEntries(this.#directory, groups);
      for (let left = groups.length; left > 0; ) {
        const staged = await tx.stagedEntries(this.#directory, after, left);
        if (staged.length === 0) break;
        left -= staged.length;
        after = staged.at(-1)!.position;
        await this.#publishRows(tx, work, staged);
        await this.#writing;
      }
    }
  }

  async #withMembers<S extends StagedEntry>(tx: StoreTx, group: S, first = true): Promise<S> {
    const ids: Uint8Array[] = [];
    const unresolved: string[] = [];
    for (let from = 0; from < group.memberDns.length; from += BATCH) {
      const dns = group.memberDns.slice(from, from + BATCH).map((dn) => safelyNormalized(dn));
      for (const [i, found] of (await tx.associationsByDn(this.#directory, dns)).entries()) {
        if (found !== undefined) ids.push(found.id);
        else unresolved.push(dns[i]!);
      }
    }
    if (first) this.#summary.unknownMembers += unresolved.length;
    if (this.#summary.certificate.bookmark !== null) this.#unresolved.set(hex(group.id), unresolved.filter(Boolean));
    const entry = decodeEntry(group.bytes);
    if (ids.length > 0) entry.attributes.set(MEMBER_ATTRIBUTE, ids);
    const bytes = encodeEntry(entry, this.#writer);
    return { ...group, bytes, hash: entryHash(bytes) };
  }

  /** What is put is on its way (`#writing`). What has effects is deferred: only at the end it is known how many there are. */
  async #publishRows(tx: StoreTx, work: Work, staged: Positioned[]): Promise<void> {
    const before = await tx.entriesById(
      'published',
      staged.map((one) => one.id),
    );
    await takeOverKept(tx, this.#directory, before, this.#read);
    const rows: EntryRow[] = [];
    for (const [i, one] of staged.entries()) {
      const row = before[i];
      if (row !== undefined && !row.deleted && row.note !== this.#directory) {
        this.#tally.refuse(
          one.dn,
          'duplicate-id',
          `the directory ${row.note} already publishes an entry with the same key`,
        );
        continue;
      }
      if (row !== undefined && this.#read.base === null) work.holds.shown.members += membersIn(row.bytes);
      const isRecognised = work.recognised.has(one.id);
      const isOther = differs(one, row, this.#directory);
      if (!isOther && !isRecognised) continue;
      const between = effectsBetween(row?.bytes ?? null, one.bytes);
      const measured = isRecognised ? rekeyed(between) : between;
      if (measured.effects === 0 || isApproved(row!, measured)) {
        if (isRecognised) this.#summary.recognised++;
        if (isOther) rows.push(this.#changedRow(work, row, one));
      } else {
        work.holds.count(measured, 1);
        work.deferred.push({ position: one.position, measured });
      }
    }
    this.#writing = heardLater(tx.putEntries('published', rows));
  }

  #changedRow(work: Work, row: EntryRow | undefined, staged: StagedEntry): EntryRow {
    const { own, sum } = work;
    const live = row !== undefined && !row.deleted;
    const bytes = carryMarks(staged.bytes, row);
    const hash = bytes === staged.bytes ? staged.hash : entryHash(bytes);
    work.membersGained += membersIn(staged.bytes) - membersIn(row?.bytes ?? null);
    if (live) sum.subtract(row.hash);
    else own.live++;
    sum.add(hash);
    if (live) this.#summary.changed++;
    else this.#summary.added++;
    const seq = ++own.seq;
    const changed = live ? changedAttributes(row, bytes, seq) : null;
    return {
      number: row?.number ?? 0,
      id: staged.id,
      owner: this.#read.owner,
      seq,
      deleted: false,
      hash,
      bytes,
      peerNumber: null,
      // What has to be sent whole is introduced again.
      introduced: changed === null ? seq : row!.introduced,
      changed,
      note: this.#directory,
      held: null,
      withheld: null,
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
      if (this.#read.base !== null) {
        for (const row of gone) work.membersGained -= membersIn(row.bytes);
        const ids = tombstones.map((row) => row.id);
        await this.#goneDns.noteGone(tx, this.#directory, ids);
      }
      await tx.putEntries('published', tombstones);
      const removed = tombstones.map((row) => row.id);
      await tx.removeAssociations(this.#directory, removed);
      await tx.removeAliases(this.#directory, removed);
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
        const [staged] = await tx.stagedEntries(this.#directory, position - 1, 1);
        const [row] = await tx.entriesById('published', [staged!.id]);
        const isRecognised = work.recognised.has(staged!.id);
        if ((measured.effects & over) !== 0) {
          work.holds.noteCleared(row!.bytes!, staged!.bytes);
          if (isRecognised) work.holds.noteRekeyed();
          kept.push({ row: row!, measured });
          continue;
        }
        work.holds.count(measured, -1);
        if (isRecognised) this.#summary.recognised++;
        const whole = staged!.memberDns.length > 0 ? await this.#withMembers(tx, staged!, false) : staged!;
        if (differs(whole, row, this.#directory)) rows.push(this.#changedRow(work, row, whole));
      }
      await tx.putEntries('published', rows);
      // Until it is approved the key stands for nobody.
      const waiting = kept.filter(({ row }) => work.recognised.has(row.id)).map(({ row }) => row.id);
      await tx.removeAliases(this.#directory, waiting);
      await work.holds.mark(tx, kept);
    }
  }

  /** What the next read may go on from; nothing while something is held, since only a read of all finds it again. */
  async #remember(tx: StoreTx, { own, holds, membersGained }: Work): Promise<void> {
    const summary = this.#summary;
    const { bookmark } = summary.certificate;
    const configuration = this.#read.configuration;
    const { refused, unresolved, unpublished, refusedBefore } = carriedOn(this.#read.base, this.#tally, this.#extent, {
      unresolved: this.#unresolved,
      unpublished: this.#read.unpublished,
    });
    const entries = holds.shown.entries + summary.added - summary.removed;
    const members = holds.shown.members + membersGained;
    for (const one of refusedBefore) this.#tally.tellRefused(one);
    if (this.#read.base !== null) {
      summary.published = entries - Object.keys(refused).length;
      summary.unknownMembers = unresolvedCount(Object.values(unresolved));
    }
    const isJudged = holds.held.entries === 0 && !this.#tally.needsAll;
    const base =
      bookmark !== null && configuration !== undefined && isJudged
        ? { bookmark, configuration, incarnation: own.incarnation, entries, members, refused, unresolved, unpublished }
        : null;
    await saveReadBase(tx, this.#directory, base);
  }

  get #extent(): 'whole' | 'delta' {
    return this.#summary.certificate.extent ?? 'whole';
  }
}

function hex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}
