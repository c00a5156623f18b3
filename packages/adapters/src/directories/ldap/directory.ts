/**
 * Directory type `ldap`: OpenLDAP, 389-DS, Active Directory and others. T0 reads what changed since the bookmark, or
 * everything where that cannot be known; T3 writes what changed in the replica.
 *
 *   bookmark ─▶ same scope, young enough, method works ─▶ delta ─┐
 *          └──▶ else ───────────────────────────────────▶ whole ─┴─▶ batches, at last the certificate with the new bookmark
 */
import type { Bookmark, Directory, DirectoryChange, EntryKind, Place, ReadBatch, WriteOutcome } from '@dirpost/core';
import { type AmendOutcome, amendEntry, type Amendment } from './amend.ts';
import { Authenticator, defaultLogins, type Login } from './authenticate.ts';
import { isBehind } from './behind.ts';
import { type Bookmarked, type DeltaBookmark, readBookmark, writeBookmark } from './bookmark.ts';
import { ReadNotes } from './certificate.ts';
import { type Chosen, chooseMethod } from './choose-method.ts';
import type { EntryQuestion } from './entry-rights.ts';
import { type LdapFacts, ldapFacts } from './facts.ts';
import { LdapFinder } from './find-matches.ts';
import { lacksKnownChanges } from './known-changes.ts';
import type { LdapOptions } from './options.ts';
import { allPlaces, placesOf } from './places.ts';
import { type PreviewedChange, previewChanges } from './preview.ts';
import { PrimaryGroups } from './primary-groups.ts';
import { readDelta, startDelta } from './read-delta.ts';
import type { ReadContext } from './read-whole.ts';
import { PAGED_RESULTS, readRootDse } from './root-dse.ts';
import { LdapServers } from './servers.ts';
import { readSchema } from './schema.ts';
import type { Session } from './session.ts';
import { byServersNames, shapeEntry } from './shape.ts';
import { watchChanges } from './watch.ts';
import { type WriteMemory, writeChanges } from './write.ts';

/** Attributes as they stand in a directory, of those of the network. */
export type Shaping = (entry: Pick<DirectoryChange, 'dn' | 'attributes' | 'kind'>) => DirectoryChange['attributes'];

export class LdapDirectory implements Directory {
  readonly name: string;
  readonly writes = 'changes';
  readonly #options: LdapOptions;
  readonly #servers: LdapServers;
  readonly #memory: WriteMemory = { transactionsFailed: false };
  readonly #authenticator: Authenticator;
  readonly #now: () => number;

  constructor(options: LdapOptions, now: () => number = () => Date.now()) {
    this.name = options.name;
    this.#options = options;
    this.#servers = new LdapServers(options);
    this.#authenticator = new Authenticator(options, options.logins ?? defaultLogins, this.#servers);
    this.#now = now;
  }

  /** Throws DirpostError `directory-failed` where no server answers, or one stops in the middle. */
  async *read(since: Bookmark | null, signal: AbortSignal): AsyncGenerator<ReadBatch> {
    const session = await this.#servers.open(signal);
    try {
      const context = await this.#context(session, signal);
      const before = readBookmark(this.#options, since);
      const known = this.#stillGood(before);
      const chosen = await chooseMethod(context, this.#options.method);
      const { method } = chosen;
      this.#noteChoice(context, chosen);
      if (known?.delta?.method === method) {
        const bookmark = yield* readDelta(context, known.delta);
        if (bookmark !== 'lost') {
          const { next: delta, extent } = bookmark;
          return yield this.#end(context, extent, { ...known, delta });
        }
        yield { entries: [], restart: true };
        context.notes = new ReadNotes();
        this.#noteChoice(context, chosen);
        // A server's newest change is what it was before the read.
        context.dse = await readRootDse(session, signal);
      }
      // Before the read, so that what changes meanwhile is seen again.
      const wholeMs = this.#now();
      const last = before?.delta ?? null;
      const isOlder = method !== 'syncrepl' && (await lacksKnownChanges(context, last));
      const delta: DeltaBookmark | null = yield* startDelta(context, method);
      if (isBehind(delta, last)) context.notes.incomplete(behind(session.server));
      if (isOlder) context.notes.incomplete(unfilled(session.server));
      yield this.#end(context, 'whole', { wholeMs, delta, ...(before?.filled && { filled: before.filled }) });
    } finally {
      session.close();
    }
  }

  /** One outcome per change, in their order. */
  write(changes: AsyncIterable<DirectoryChange>, signal: AbortSignal): AsyncIterable<WriteOutcome> {
    return writeChanges(this.#options, this.#servers, changes, this.#memory, signal);
  }

  /** What `write` would do, and what the server would refuse of it; nothing is changed. */
  preview(changes: DirectoryChange[], signal: AbortSignal): AsyncIterable<PreviewedChange> {
    return previewChanges(this.#options, this.#servers, changes, signal);
  }

  /** Changes single attributes of entries below the bases; an outcome for each, in their order. Throws DirpostError `directory-failed`. */
  async *amend(amendments: Amendment[], signal: AbortSignal): AsyncGenerator<AmendOutcome> {
    const session = await this.#servers.open(signal);
    try {
      for (const one of amendments) yield await amendEntry({ session, options: this.#options, signal }, one);
    } finally {
      session.close();
    }
  }

  /** What of an entry is written here, by the schema as it is now. Throws DirpostError `directory-failed`. */
  async shaping(signal: AbortSignal): Promise<Shaping> {
    const { target } = this.#options;
    if (target === undefined) throw new TypeError(`${this.name} is not written`);
    const session = await this.#servers.open(signal);
    try {
      const schema = await readSchema(session, await readRootDse(session, signal), signal);
      return (entry) => byServersNames(shapeEntry(entry, target, schema).attributes, schema);
    } finally {
      session.close();
    }
  }

  /**
   * Of attributes, in lower case, those of entries of that kind that have no place here, or are never written. Throws DirpostError
   * `directory-failed`.
   */
  async leftOut(
    names: ReadonlyMap<EntryKind, Iterable<string>>,
    signal: AbortSignal,
  ): Promise<Map<EntryKind, string[]>> {
    const { target } = this.#options;
    if (target === undefined) throw new TypeError(`${this.name} is not written`);
    const session = await this.#servers.open(signal);
    try {
      const schema = await readSchema(session, await readRootDse(session, signal), signal);
      return new Map(
        Array.from(names, ([kind, all]) => {
          const attributes = new Map(Array.from(all, (name) => [name, [Buffer.from('x')]]));
          return [kind, shapeEntry({ dn: 'cn=x', attributes, kind }, target, schema).leftOut];
        }),
      );
    } finally {
      session.close();
    }
  }

  /** `dns`: null for all in the container. Throws DirpostError `directory-failed`. */
  async *places(dns: string[] | null, signal: AbortSignal): AsyncGenerator<Place> {
    const session = await this.#servers.open(signal);
    try {
      const dse = await readRootDse(session, signal);
      const context = { session, options: this.#options, pages: dse.controls.has(PAGED_RESULTS), signal };
      yield* dns === null ? allPlaces(context) : placesOf(context, dns);
    } finally {
      session.close();
    }
  }

  /** The caller closes it. Throws DirpostError `directory-failed`. */
  async finder(signal: AbortSignal): Promise<LdapFinder> {
    const session = await this.#servers.open(signal);
    try {
      const dse = await readRootDse(session, signal);
      return new LdapFinder({ session, options: this.#options, pages: dse.controls.has(PAGED_RESULTS), signal });
    } catch (error) {
      session.close();
      throw error;
    }
  }

  /**
   * Whether that is the password of that user, by a bind as his entry. Throws DirpostError `directory-failed` where no server
   * answers; what is wrong with user or password is a value.
   */
  authenticate(user: string, password: string, signal: AbortSignal): Promise<Login> {
    return this.#authenticator.authenticate(user, password, signal);
  }

  /**
   * What a server is, what this account may do there, also with entries that `questions` ask for, and how changes are found; for
   * `dirpost check`.
   */
  async facts(signal: AbortSignal, questions: EntryQuestion[] = []): Promise<LdapFacts> {
    const session = await this.#servers.open(signal);
    try {
      const context = await this.#context(session, signal);
      const chosen = await chooseMethod(context, this.#options.method);
      const facts = await ldapFacts(context, this.#options, chosen, questions);
      return { ...facts, unusable: await this.#servers.unusable(session, signal) };
    } finally {
      session.close();
    }
  }

  /**
   * Calls `wake` soon after something changed, once for many changes; what changed the next read tells. Resolves to false
   * where the server offers nothing to wait for, to true when the signal ends it. Throws DirpostError `directory-failed`
   * when the line breaks: what changes until the next call wakes nobody.
   */
  async watch(wake: () => void, signal: AbortSignal): Promise<boolean> {
    let session: Session | undefined;
    try {
      session = await this.#servers.open(signal);
      return await watchChanges(await this.#context(session, signal), this.#options.times, wake);
    } catch (error) {
      if (signal.aborted) return true;
      throw error;
    } finally {
      session?.close();
    }
  }

  async #context(session: Session, signal: AbortSignal): Promise<ReadContext> {
    const dse = await readRootDse(session, signal);
    const context: ReadContext = { session, dse, options: this.#options, notes: new ReadNotes(), signal };
    if (this.#options.referrals === 'follow') context.follow = (server) => this.#servers.openOne(server, signal);
    if (dse.kind === 'ad' && this.#options.attributes.includes('member')) {
      context.primaryGroups = new PrimaryGroups(this.#options);
    }
    return context;
  }

  #noteChoice({ notes }: ReadContext, { method, why }: Chosen): void {
    const { method: wanted } = this.#options;
    if (wanted === 'auto' || wanted === method) return;
    notes.remark(`${method} is used, not ${wanted} as configured: ${why}.`);
  }

  /** `read`: with what was known of the bases before. */
  #end({ notes, session }: ReadContext, extent: 'whole' | 'delta', read: Bookmarked): ReadBatch {
    const filled = notes.filled(this.#options.bases, read.filled, extent);
    const bookmark = writeBookmark(this.#options, { ...read, filled });
    return { entries: [], certificate: notes.certificate(session.server, { extent, bookmark }) };
  }

  #stillGood(known: Bookmarked | null): Bookmarked | null {
    if (known === null) return null;
    const ageMs = this.#now() - known.wholeMs;
    // Below 0 the clock went back meanwhile.
    return ageMs >= 0 && ageMs < this.#options.wholeReadEveryMs ? known : null;
  }
}

function behind(server: string): string {
  return `${server} is behind what was read before: a replica that has not caught up yet, or a server that was restored from a backup. Nobody is removed until it has a newer change. If it is right as it is: dirpost sync --whole.`;
}

function unfilled(server: string): string {
  return `${server} does not say by contextCSN that it has what was read before: a replica that is being filled, or that has not caught up; or this account may not read contextCSN any more. Nobody is removed until it does. If it is right as it is: dirpost sync --whole.`;
}
