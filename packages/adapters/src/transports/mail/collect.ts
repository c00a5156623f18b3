/**
 * Collecting from the mailbox (T2, T3), folder by folder and batch by batch:
 *
 *   1. which mails are new since the last time, or are to be looked at again       seen.ts
 *   2. what each of them may be, by header fields and structure                    recognise.ts
 *   3. message files: fetch, judge, spool; notifications: read                     candidates.ts, bounce.ts
 *   4. move what is done with; say once what is not                                moving.ts, notices.ts
 *   5. remember how far it came
 *
 * A mail is moved only after all its files are durable in the spool, so that a crash at any point repeats a file and loses
 * none. Another agent on the same mailbox, or a person, may take away any mail at any time.
 */
import { isDirpostError } from '@dirpost/core';
import { readBounceParts } from './bounce-parts.ts';
import { type Candidate, type Content, fetchFiles, probe } from './candidates.ts';
import type { Connection } from './connection.ts';
import { fetchPlainSummaries, fetchSummaries } from './fetching.ts';
import { type Folders, makeFolders } from './folders.ts';
import { readBounce } from './bounce.ts';
import { imapFailure, retryAfterMsOf } from './imap-failures.ts';
import { moveMails, stillThere } from './moving.ts';
import { Notices } from './notices.ts';
import type { MailTransportOptions } from './options.ts';
import { type BounceSight, type MailSummary, recognise } from './recognise.ts';
import type { FolderMark, Seen } from './seen.ts';

/** What is left for another incarnation is offered again after this time, and moves that failed are tried again. */
const AGAIN_MS = 3_600_000;
const BATCH = 200;

export interface Collecting {
  connection: Connection;
  folders: Folders;
  options: MailTransportOptions;
  seen: Seen;
  caution: Caution;
  nowMs: number;
  spool(bytes: Uint8Array): Promise<boolean>;
  /** As MailboxHooks has it. */
  tooLargeFor(peer: string, messageId: string | null): number | null;
}

/** Kept over connections: which mails the server describes in more words than are read. */
export class Caution {
  batch = BATCH;
  readonly skipped = new Set<string>();
  /** Mails of the batch that is being looked at. */
  #suspects: string[] = [];

  suspect(path: string, uidValidity: string, uids: readonly number[]): void {
    this.#suspects = uids.map((uid) => `${uidValidity} ${uid} ${path}`);
  }

  skips(path: string, uidValidity: string, uid: number): boolean {
    return this.skipped.has(`${uidValidity} ${uid} ${path}`);
  }

  /** true: the same is worth a try with fewer mails at once, or without the one that it was. */
  narrow(): boolean {
    if (this.#suspects.length === 0) return false;
    if (this.#suspects.length === 1) this.skipped.add(this.#suspects[0]!);
    this.batch = Math.max(1, Math.floor(Math.min(this.batch, this.#suspects.length) / 10));
    return true;
  }
}

/** Throws DirpostError `transport-failed`, and what `spool` throws. */
export async function collectMail(collecting: Collecting): Promise<void> {
  const { connection, folders, seen, options, nowMs } = collecting;
  await makeFolders(connection, folders);
  await new FolderPass(collecting, folders.inbox, false).run();
  if (folders.junk !== null) {
    try {
      await new FolderPass(collecting, folders.junk, true).run();
    } catch (error) {
      // A folder that cannot be read is no reason to leave the inbox alone; what the server says of itself is.
      if (!connection.isUsable || !isDirpostError(error, 'transport-failed') || retryAfterMsOf(error)) throw error;
      new Notices(seen, options.onProblem, folders.junk, nowMs).failed(error);
    }
  }
  collecting.caution.batch = BATCH;
}

interface Results {
  /** To be moved to the processed folder. */
  done: number[];
  /** Not ours. */
  foreign: number[];
  /** For another incarnation, or not readable just now: to be looked at again. */
  left: number[];
  /** The server gave nothing of their parts. */
  silent: MailSummary[];
  /** A mail stays of which a part was taken, and another not. */
  hasKept: boolean;
}

class FolderPass {
  readonly #collecting: Collecting;
  readonly #path: string;
  readonly #isJunk: boolean;
  readonly #notices: Notices;

  constructor(collecting: Collecting, path: string, isJunk: boolean) {
    this.#collecting = collecting;
    this.#path = path;
    this.#isJunk = isJunk;
    this.#notices = new Notices(collecting.seen, collecting.options.onProblem, path, collecting.nowMs);
  }

  async run(): Promise<void> {
    const { connection, seen, nowMs, caution } = this.#collecting;
    if (this.#isJunk && !(await this.#hasNews())) return;
    const { uidValidity, uidNext, exists } = await selectFolder(connection, this.#path);
    const known = seen.mark(this.#path, { uidValidity, uidNext, atMs: nowMs });
    const mark: FolderMark = { uidValidity, uidNext: 1, wholeAtMs: nowMs, ...known, again: [...(known?.again ?? [])] };
    const uids = exists === 0 ? [] : await this.#waiting(mark, uidNext);
    for (let at = 0; at < uids.length; ) {
      const batch = uids.slice(at, at + caution.batch);
      caution.suspect(this.#path, uidValidity, batch);
      const results = await this.#examine(batch, uidValidity);
      this.#remember(mark, batch, results);
      at += batch.length;
    }
    mark.uidNext = Math.max(mark.uidNext, uidNext);
    if (exists === 0) mark.again = [];
    seen.examined(this.#path, mark, false);
  }

  /** Without selecting it. */
  async #hasNews(): Promise<boolean> {
    const { connection, seen, nowMs } = this.#collecting;
    const status = await ask(connection, `look into the folder ${this.#path}`, () =>
      connection.client.status(this.#path, { uidNext: true, uidValidity: true }),
    );
    // It was removed meanwhile.
    if (status === false) return false;
    if (status.uidNext === undefined || status.uidValidity === undefined) return true;
    const now = { uidValidity: String(status.uidValidity), uidNext: status.uidNext, atMs: nowMs };
    const mark = seen.mark(this.#path, now);
    return mark === null || mark.uidNext !== status.uidNext || mark.again.some(({ atMs }) => atMs <= nowMs);
  }

  /** In the order in which they came. Moves what was spooled before and could not be moved. */
  async #waiting(mark: FolderMark, uidNext: number): Promise<number[]> {
    const { connection, nowMs } = this.#collecting;
    const due = mark.again.filter(({ atMs }) => atMs <= nowMs);
    const unmoved = due.filter(({ why }) => why === 'taken').map(({ uid }) => uid);
    mark.again = mark.again.filter((one) => !due.includes(one));
    if (unmoved.length > 0 && !(await this.#move(unmoved))) this.#again(mark, unmoved, 'taken');
    const left = due.filter(({ why }) => why === 'left').map(({ uid }) => uid);
    if (mark.uidNext >= uidNext) return left;
    const found = await ask(connection, `search the folder ${this.#path}`, () =>
      connection.client.search({ uid: `${mark.uidNext}:*`, deleted: false }, { uid: true }),
    );
    if (!Array.isArray(found)) throw connection.refused(`search the folder ${this.#path}`);
    // RFC 9051 §6.4.9: "*" is the last mail, also where its number is below the first one asked for.
    return [...left, ...found.filter((uid) => uid >= mark.uidNext)];
  }

  async #examine(uids: number[], uidValidity: string): Promise<Results> {
    const { connection, options, caution } = this.#collecting;
    const results: Results = { done: [], foreign: [], left: [], silent: [], hasKept: false };
    const candidates: Candidate[] = [];
    const bounces: { mail: MailSummary; sight: BounceSight }[] = [];
    const readable = uids.filter((uid) => !caution.skips(this.#path, uidValidity, uid));
    for await (const summary of fetchSummaries(connection, readable)) {
      const sight = recognise(summary, options.attachment.type);
      // Structures may be large, and are of no use any more.
      const mail = { ...summary, structure: null };
      if (sight.kind === 'bounce') bounces.push({ mail, sight });
      else candidates.push({ mail, sight, files: [], isGone: false });
    }
    const tooLong = uids.filter((uid) => !readable.includes(uid));
    for await (const mail of fetchPlainSummaries(connection, tooLong, [])) this.#notices.tooDeep(mail);
    try {
      await probe(connection, candidates);
      const present = candidates.filter(({ isGone }) => !isGone);
      await this.#takeFiles(present, results);
      for (const { mail, sight } of bounces) await this.#takeBounce(mail, sight, results);
      results.silent.push(...candidates.filter(({ isGone }) => isGone).map(({ mail }) => mail));
      await this.#tellSilent(results);
    } finally {
      // Also when the spool is full: what is in it need not be fetched again.
      if (connection.isUsable) await this.#moveResults(results);
    }
    return results;
  }

  async #takeFiles(candidates: Candidate[], results: Results): Promise<void> {
    const { connection, options } = this.#collecting;
    for (const candidate of candidates.filter(({ files }) => files.length === 0))
      await this.#noFile(candidate, results);
    const withFiles = candidates.filter(({ files }) => files.length > 0);
    for await (const { candidate, contents } of fetchFiles(connection, withFiles, mostBytes(options))) {
      await this.#takeMail(candidate, contents, results);
    }
  }

  async #takeMail(
    candidate: Candidate,
    contents: AsyncIterable<Content> | Iterable<Content>,
    results: Results,
  ): Promise<void> {
    const { mail } = candidate;
    const count = { taken: 0, left: 0, refused: 0, others: 0 };
    for await (const content of contents) {
      if (content.is === 'gone') return void results.silent.push(mail);
      const outcome = await this.#takeFile(mail, content);
      if (outcome !== 'nothing') count[outcome]++;
    }
    const isWhole = count.left + count.refused + count.others === 0;
    if (count.taken > 0 && this.#isJunk) this.#notices.inJunk(mail);
    if (count.taken > 0 && isWhole) results.done.push(mail.uid);
    else if (count.left > 0) results.left.push(mail.uid);
    else if (count.taken + count.others > 0) results.hasKept = true;
    else if (count.refused > 0) results.foreign.push(mail.uid);
    else await this.#noFile(candidate, results);
  }

  async #takeFile(
    mail: MailSummary,
    content: Exclude<Content, { is: 'gone' }>,
  ): Promise<'taken' | 'left' | 'refused' | 'others' | 'nothing'> {
    const { options, spool } = this.#collecting;
    if (content.is === 'nothing') return 'nothing';
    if (content.is === 'file') {
      const judgement = options.judge(content.bytes);
      if (judgement.take) return (await spool(content.bytes)) ? 'taken' : 'left';
      this.#notices.refused(mail, judgement.why, judgement.isForAnother);
      if (judgement.isForAnother === true) return 'others';
    } else if (content.is === 'too-large') this.#notices.tooLarge(mail, mostBytes(options));
    else this.#notices.damaged(mail);
    return 'refused';
  }

  async #noFile({ mail, sight }: Candidate, results: Results): Promise<void> {
    // The header of one that is just being removed is empty, too.
    if (mail.fields.isEmpty && (await stillThere(this.#collecting.connection, [mail.uid])).length === 0) return;
    if (!this.#isJunk) {
      if (mail.fields.isEmpty) this.#notices.noMail(mail);
      else if (sight.isAnswer) this.#notices.answer(mail);
      else if (sight.isTooDeep) this.#notices.tooDeep(mail);
      else if (sight.seemsOurs) this.#notices.withoutFile(mail);
    }
    results.foreign.push(mail.uid);
  }

  /** A mail that was removed meanwhile is nothing to complain about. */
  async #tellSilent({ silent, left }: Results): Promise<void> {
    if (silent.length === 0) return;
    const { connection } = this.#collecting;
    // RFC 9051 §7.5.1: what others removed is told with the answer to NOOP, at the latest.
    await ask(connection, 'look at mails again', () => connection.client.noop());
    const there = new Set(
      await stillThere(
        connection,
        silent.map(({ uid }) => uid).sort((a, b) => a - b),
      ),
    );
    for (const mail of silent) {
      if (!there.has(mail.uid)) continue;
      this.#notices.unreadable(mail);
      left.push(mail.uid);
    }
  }

  async #takeBounce(mail: MailSummary, sight: BounceSight, results: Results): Promise<void> {
    const { connection, options, tooLargeFor } = this.#collecting;
    const texts = await readBounceParts(connection, mail, sight);
    if (texts === null) return void results.silent.push(mail);
    const bounce = readBounce(texts, options.tagSecret);
    if (bounce === null) return void results.foreign.push(mail.uid);
    if (this.#notices.isFirst('bounce', mail)) {
      const isTooLarge = bounce.isAuthentic && bounce.isTooLarge && bounce.peer !== null;
      const neededBytes = isTooLarge ? tooLargeFor(bounce.peer!, bounce.messageId) : null;
      // Before it is remembered as seen.
      await options.onBounce({ ...bounce, neededBytes });
      if (!bounce.isAuthentic) this.#notices.doubtful(mail, bounce);
    }
    results.done.push(mail.uid);
  }

  async #moveResults(results: Results): Promise<void> {
    const { done, foreign } = results;
    const { folders } = this.#collecting;
    if (done.length > 0 && !(await this.#move(done))) return;
    results.done = [];
    if (foreign.length > 0 && folders.foreign !== null && !this.#isJunk) await this.#move(foreign, folders.foreign);
  }

  /** false: it failed, and was told; the files are safe, and the mails stay where they are. */
  async #move(uids: readonly number[], destination = this.#collecting.folders.processed): Promise<boolean> {
    const { connection, folders } = this.#collecting;
    if (destination === this.#path) return true;
    try {
      await moveMails(connection, uids, destination);
    } catch (error) {
      const failure = imapFailure(error, connection.server, `move mails to ${destination}`);
      if (!connection.isUsable) throw failure;
      this.#notices.failed(failure);
      // Somebody removed the folder: it is made again next time.
      if (failure.context['reason'] === 'TRYCREATE') Object.assign(folders, { hasProcessed: false, hasForeign: false });
      return false;
    }
    return true;
  }

  #remember(mark: FolderMark, batch: readonly number[], { done, foreign, left, hasKept }: Results): void {
    // What could not be moved is the only thing that is still in `done`.
    this.#again(mark, done, 'taken');
    this.#again(mark, left, 'left');
    mark.uidNext = Math.max(mark.uidNext, batch.at(-1)! + 1);
    this.#collecting.seen.examined(this.#path, mark, hasKept || foreign.length > 0);
  }

  #again(mark: FolderMark, uids: readonly number[], why: 'taken' | 'left'): void {
    for (const uid of uids) mark.again.push({ uid, why, atMs: this.#collecting.nowMs + AGAIN_MS });
  }
}

export interface SelectedFolder {
  /** As decimal digits. */
  uidValidity: string;
  uidNext: number;
  exists: number;
}

/** Selects it anew, so that the numbers are those of now. */
export async function selectFolder(connection: Connection, path: string): Promise<SelectedFolder> {
  const doing = `open the folder ${path}`;
  const { uidValidity, uidNext, exists } = await ask(connection, doing, () => connection.client.mailboxOpen(path));
  const validity = String(uidValidity);
  if (Number.isSafeInteger(uidNext)) return { uidValidity: validity, uidNext, exists };
  // Old servers do not say it when a folder is selected.
  const last = exists === 0 ? 0 : await ask(connection, doing, () => connection.client.fetchOne('*', { uid: true }));
  return { uidValidity: validity, uidNext: (last === 0 || !last ? 0 : last.uid) + 1, exists };
}

async function ask<T>(connection: Connection, doing: string, work: () => Promise<T>): Promise<T> {
  let answer;
  try {
    answer = await work();
  } catch (error) {
    throw imapFailure(connection.brokenBy ?? error, connection.server, doing);
  }
  connection.check(doing);
  return answer;
}

/** Of a message file that is taken. */
function mostBytes({ maxReceivedBytes, maxMessageBytes }: MailTransportOptions): number {
  return maxReceivedBytes ?? maxMessageBytes;
}
