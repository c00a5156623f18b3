/**
 * Directory type `ldap`: OpenLDAP, 389-DS, Active Directory and others. T0 reads what changed since the bookmark, or
 * everything where that cannot be known; T3 writes what changed in the replica.
 *
 *   bookmark ─▶ same scope, young enough, method works ─▶ delta ─┐
 *          └──▶ else ───────────────────────────────────▶ whole ─┴─▶ batches, at last the certificate with the new bookmark
 */
import type { Bookmark, Directory, DirectoryChange, ReadBatch, WriteOutcome } from '@dirpost/core';
import { type Bookmarked, type DeltaBookmark, readBookmark, writeBookmark } from './bookmark.ts';
import { ReadNotes } from './certificate.ts';
import { chooseMethod } from './choose-method.ts';
import type { LdapOptions } from './options.ts';
import { readDelta, startDelta } from './read-delta.ts';
import type { ReadContext } from './read-whole.ts';
import { readRootDse } from './root-dse.ts';
import { LdapServers } from './servers.ts';
import { writeChanges } from './write.ts';

export class LdapDirectory implements Directory {
  readonly name: string;
  readonly writes = 'changes';
  readonly #options: LdapOptions;
  readonly #servers: LdapServers;
  readonly #now: () => number;

  constructor(options: LdapOptions, now: () => number = () => Date.now()) {
    this.name = options.name;
    this.#options = options;
    this.#servers = new LdapServers(options);
    this.#now = now;
  }

  /** Throws DirpostError `directory-failed` where no server answers, or one stops in the middle. */
  async *read(since: Bookmark | null, signal: AbortSignal): AsyncGenerator<ReadBatch> {
    const session = await this.#servers.open(signal);
    try {
      const dse = await readRootDse(session, signal);
      const context: ReadContext = { session, dse, options: this.#options, notes: new ReadNotes(), signal };
      const known = this.#stillGood(readBookmark(this.#options, since));
      const { method } = await chooseMethod(context, this.#options.method);
      if (known?.delta?.method === method) {
        const bookmark = yield* readDelta(context, known.delta);
        if (bookmark !== 'lost') {
          const delta = writeBookmark(this.#options, { wholeMs: known.wholeMs, delta: bookmark.next });
          return yield this.#end(context, bookmark.extent, delta);
        }
        context.notes = new ReadNotes();
      }
      // Before the read, so that what changes meanwhile is seen again.
      const wholeMs = this.#now();
      const delta: DeltaBookmark | null = yield* startDelta(context, method);
      yield this.#end(context, 'whole', writeBookmark(this.#options, { wholeMs, delta }));
    } finally {
      session.close();
    }
  }

  /** One outcome per change, in their order. */
  write(changes: AsyncIterable<DirectoryChange>, signal: AbortSignal): AsyncIterable<WriteOutcome> {
    return writeChanges(this.#options, this.#servers, changes, signal);
  }

  #end({ notes, session }: ReadContext, extent: 'whole' | 'delta', bookmark: Bookmark): ReadBatch {
    return { entries: [], certificate: notes.certificate(session.server, { extent, bookmark }) };
  }

  #stillGood(known: Bookmarked | null): Bookmarked | null {
    if (known === null) return null;
    const ageMs = this.#now() - known.wholeMs;
    // Below 0 the clock went back meanwhile.
    return ageMs >= 0 && ageMs < this.#options.wholeReadEveryMs ? known : null;
  }
}
