/**
 * T0 by the time of the last change, which every server knows: changed entries whole, and of all the others only that they
 * are there, so that the read is a whole one. Times have seconds, and come from the server's clock; the one here only says which are of the future.
 * So that nothing falls between two reads each begins a while before the end of the one before it.
 */
import type { ReadBatch } from '@dirpost/core';
import { hasChangedContainer } from './changed-containers.ts';
import { changedSince, generalized, secondsOf, timeAttributes } from './generalized-time.ts';
import type { LdapBase } from './options.ts';
import { askedAttributes, type ReadContext, readBase, readWhole, searchPages, Seen } from './read-whole.ts';
import { readEntry } from './root-dse.ts';

export interface TimeMark {
  /** As it is reached: another one has another clock. */
  server: string;
  /** Generalized Time (RFC 4517 §3.3.13), in seconds and UTC. */
  time: string;
}

/** Also for changes that come late from other servers, and with their clocks. */
const OVERLAP_S = 300;
/** An entry from farther in the future says nothing of the time: all that changes now would be before it. */
const MAX_AHEAD_S = 24 * 60 * 60;

/** Everything; and where the next delta begins, null where no entry has a time that this account may read. */
export async function* readWholeWithTimes(context: ReadContext): AsyncGenerator<ReadBatch, TimeMark | null> {
  const clock = new ServerClock(context);
  const before = await clock.ask();
  yield* clock.watch(readWhole(clock.context));
  return clock.mark(before);
}

export async function* readModified(
  context: ReadContext,
  since: TimeMark,
): AsyncGenerator<ReadBatch, TimeMark | 'lost'> {
  const { options, session } = context;
  const from = secondsOf(since.time);
  if (since.server !== session.server || from === null) return 'lost';
  const clock = new ServerClock(context);
  const before = await clock.ask();
  // Its clock went back: what changed since then has a time before that of the last read.
  if (before !== null && before < from) return 'lost';
  const earliest = from - OVERLAP_S;
  const condition = changedSince(context.dse, earliest);
  const several = options.bases.length > 1;
  if (await hasChangedContainer(context, condition, from)) return 'lost';
  const known = new Seen(several);
  for (const base of options.bases) yield* whoIsThere(clock.context, clock.attribute, base, earliest, known);
  // One that was moved meanwhile has brought people who were never given.
  if (await hasChangedContainer(context, condition, from)) return 'lost';
  // After the ids: who comes meanwhile is among these.
  const seen = new Seen(several);
  for (const base of options.bases) {
    const filter = `(&${base.filter}${condition})`;
    yield* clock.watch(readBase(clock.context, { ...base, filter }, seen));
  }
  return clock.mark(before) ?? since;
}

/** Everybody in the base who did not change since; the others are given whole. */
async function* whoIsThere(
  context: ReadContext,
  attribute: string,
  base: LdapBase,
  sinceS: number,
  known: Seen,
): AsyncGenerator<ReadBatch> {
  const { options, notes, session } = context;
  const attributes = [options.anchor, attribute];
  const request = { base: base.dn, scope: base.scope, filter: base.filter, attributes };
  const since = generalized(sinceS).slice(0, 14);
  for await (const { items, result } of searchPages(context, request)) {
    const present: Uint8Array[] = [];
    notes.saw(base, items.filter(({ type }) => type === 'entry').length);
    for (const item of items) {
      if (item.type !== 'entry') continue;
      const anchor = item.attributes.get(options.anchor)?.[0];
      // In UTC times are in the order of their digits.
      const isChanged = (item.attributes.get(attribute)?.[0]?.toString('latin1', 0, 14) ?? '') >= since;
      if (anchor === undefined) notes.withoutAnchor();
      else if (!isChanged && known.isNew(anchor)) present.push(Buffer.from(anchor));
    }
    notes.present += present.length;
    if (present.length > 0) yield { entries: [], present };
    if (result !== undefined) notes.ended(base, session.server, result);
  }
}

/** What time it is at the server: it says so, or its newest entry does. */
class ServerClock {
  readonly attribute: string;
  /** With the time among what is asked for. */
  readonly context: ReadContext;
  readonly #given: ReadContext;
  readonly #began = performance.now();
  #newest = -Infinity;

  constructor(context: ReadContext) {
    this.#given = context;
    this.attribute = timeAttributes(context.dse).changed.toLowerCase();
    const { options } = context;
    this.context = { ...context, options: { ...options, attributes: [...options.attributes, this.attribute] } };
  }

  /** null: it does not say. */
  async ask(): Promise<number | null> {
    const { session, dse, signal } = this.#given;
    if (dse.currentTime !== null) return secondsOf(dse.currentTime);
    if (dse.kind !== '389ds') return null;
    const monitor = await readEntry(session, 'cn=monitor', ['currentTime'], { signal });
    return secondsOf(monitor?.attributes.get('currenttime')?.[0]?.toString() ?? '');
  }

  /** The same batches, without the time where nobody asked for it. */
  async *watch(batches: AsyncIterable<ReadBatch>): AsyncGenerator<ReadBatch> {
    const isAsked = askedAttributes(this.#given.options).includes(this.attribute);
    for await (const batch of batches) {
      for (const { attributes } of batch.entries) {
        const time = secondsOf(Buffer.from(attributes.get(this.attribute)?.[0] ?? []).toString());
        const nowS = Date.now() / 1_000;
        // From a clock that is ahead: up to here what changes is before it.
        const passed = time === null || time > nowS + MAX_AHEAD_S ? null : Math.min(time, nowS);
        if (passed !== null) this.#newest = Math.max(this.#newest, passed);
        if (!isAsked) attributes.delete(this.attribute);
      }
      yield batch;
    }
  }

  /** `asked`: by the clock before the read. Else the newest entry, less the time that the read took: it may have changed last. */
  mark(asked: number | null): TimeMark | null {
    const tookS = Math.ceil((performance.now() - this.#began) / 1_000);
    const seconds = asked ?? this.#newest - tookS;
    if (!Number.isFinite(seconds)) return null;
    return { server: this.#given.session.server, time: generalized(seconds) };
  }
}
