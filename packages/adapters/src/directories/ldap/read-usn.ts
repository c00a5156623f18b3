/**
 * T0 by update sequence numbers (MS-ADTS 3.1.1.1.9): each domain controller numbers its own changes. What changed since a
 * number is asked for four times, because a search within the scope does not show who left it:
 *
 *   containers ─ moved? ─▶ everything is read
 *   ids of all that changed in the naming context ─┐
 *   changed entries within the scope ──────────────┴─▶ who is there only is gone
 *   deleted objects ───────────────────────────────────▶ gone
 */
import type { ReadBatch } from '@dirpost/core';
import { deletedSince, guidOf, invocationIdOf, namingContextsOf, wasContainerMoved } from './domain-controller.ts';
import { type ReadContext, readBase, searchPages, Seen } from './read-whole.ts';
import { NO_SUCH_OBJECT, SUCCESS } from './results.ts';

export interface UsnMark {
  /** invocationId. */
  server: string;
  usn: number;
}

/** With more than these everything is read: their ids are kept in memory meanwhile. */
const MAX_CHANGED = 200_000;
const MAX_GONE_AT_ONCE = 1_000;

/** As it was when the root DSE was read, that is before anything else. null: the server or this account has none. */
export async function usnMark(context: ReadContext): Promise<UsnMark | null> {
  const usn = context.dse.highestCommittedUsn;
  const server = await invocationIdOf(context);
  return usn === null || server === null ? null : { server, usn };
}

export async function* readUsn(context: ReadContext, since: UsnMark): AsyncGenerator<ReadBatch, UsnMark | 'lost'> {
  const { dse, options } = context;
  const now = await usnMark(context);
  const namingContexts = namingContextsOf(dse, options.bases);
  if (now === null || namingContexts === null || now.server !== since.server) return 'lost';
  if (now.usn < since.usn) {
    noteBehind(context, since.usn);
    return since;
  }
  if (now.usn === since.usn) return now;
  const from = since.usn + 1;
  const changed = new Set<string>();
  for (const namingContext of namingContexts) {
    if (await wasContainerMoved(context, namingContext, from)) return 'lost';
    if (!(await collectChanged(context, namingContext, from, changed))) return 'lost';
  }
  const seen = new Seen(options.bases.length > 1);
  // After the ids: what changes in between is in here, and not taken for gone.
  for (const base of options.bases) {
    const filter = `(&${base.filter}(uSNChanged>=${from}))`;
    for await (const batch of readBase(context, { ...base, filter }, seen)) {
      for (const { attributes } of batch.entries) changed.delete(keyOf(attributes.get('objectguid')?.[0]));
      yield batch;
    }
  }
  yield* inBatches(changed);
  for (const namingContext of namingContexts) {
    for await (const gone of deletedSince(context, namingContext, from)) yield { entries: [], gone };
  }
  return now;
}

/** A domain controller with its old identity and an older content. */
export function noteBehind({ notes, session, dse }: ReadContext, usn: number): void {
  notes.incomplete(
    `${session.server} is at change ${dse.highestCommittedUsn} and was at ${usn} when it was last read: it was put back to an older state, as by a snapshot of its machine. Restore domain controllers from backups only. It is read again once it is beyond that, or at the next whole read.`,
  );
}

/** false: too many to remember. */
async function collectChanged(
  context: ReadContext,
  namingContext: string,
  usn: number,
  changed: Set<string>,
): Promise<boolean> {
  const base = { dn: namingContext, scope: 'sub', filter: `(uSNChanged>=${usn})` } as const;
  const request = { base: base.dn, scope: base.scope, filter: base.filter, attributes: ['objectGUID'] };
  for await (const { items, result } of searchPages(context, request)) {
    for (const item of items) {
      if (item.type === 'entry') for (const guid of guidOf(item)) changed.add(keyOf(guid));
    }
    if (changed.size > MAX_CHANGED) return false;
    if (result !== undefined && result.code !== SUCCESS && result.code !== NO_SUCH_OBJECT) {
      context.notes.ended(base, context.session.server, result);
    }
  }
  return true;
}

/** objectGUIDs as keys. */
export function keyOf(guid: Uint8Array | undefined): string {
  return guid === undefined ? '' : Buffer.from(guid).toString('latin1');
}

/** Who left the base or the filter; or was never in it: nobody knows those. */
export function* inBatches(keys: Set<string>): Generator<ReadBatch> {
  let gone: Uint8Array[] = [];
  for (const key of keys) {
    gone.push(Buffer.from(key, 'latin1'));
    if (gone.length < MAX_GONE_AT_ONCE) continue;
    yield { entries: [], gone };
    gone = [];
  }
  if (gone.length > 0) yield { entries: [], gone };
}
