/**
 * T3 at the owner: what others propose for his entries is taken into the directory that they come from, and only then told to be
 * settled, in one change with the new values (core's settle.ts). What is not taken is told to be settled as well, and recorded.
 *
 *   pendingEdits ─▶ directory of both ways? attribute of one's own? policy? ─▶ amend ─▶ settleEdit (+ conflict record)
 *
 * After a crash between directory and store the same is done once more: the directory says that it is so already.
 */
import type { AmendOutcome, Amendment } from '@dirpost/adapters';
import {
  compareBytes,
  decodeEntry,
  DirpostError,
  type Entry,
  keptFrom,
  loadOwn,
  pendingEdits,
  type PendingEdit,
  settleEdit,
  type StoreTx,
  sweepSettled,
} from '@dirpost/core';
import { policyFor } from '../config/both-ways.ts';
import { loadDirectoryState } from '../directory-state.ts';
import { counted } from '../events.ts';
import { describe } from '../explain/find.ts';
import { mayBeWritten } from '../first-write.ts';
import type { Postoffice, PublishingDirectory } from '../postoffice.ts';
import { type Conflict, loadConflicts, type NewConflict, recordConflicts, saveConflict } from './conflicts.ts';
import { type EditsAtOnce, haveGone, holdIfMany, mayBeMany, tellHeld } from './held-edits.ts';
import { recorded } from './values.ts';

/** Edits in one step. */
const MOST_AT_ONCE = 500;

/** One edit, and what is to become of each of its attributes. */
interface Judged {
  pending: PendingEdit;
  entry: Entry;
  directory: string;
  dn: string | null;
  source: PublishingDirectory | undefined;
  /** By network attribute: where it goes, and what has to stand there now (null: whatever does). */
  take: { attribute: string; source: string; before: Uint8Array[] | null }[];
  lost: { attribute: string; because: string }[];
  /** Attributes that wait for an administrator. */
  waiting: string[];
  /** He has spoken. */
  isWanted: boolean;
}

/** How many edits were settled. */
export async function takeEdits(postoffice: Postoffice, signal: AbortSignal): Promise<number> {
  const { store, requestor } = postoffice;
  const counts: Counts = { settled: 0, taken: 0, lost: 0 };
  const held = await holdMany(postoffice);
  // Who waits for an administrator holds up nobody behind him.
  for (let after: number | null = 0; after !== null; )
    after = await takeSome(postoffice, { after, held }, counts, signal);
  await store.transaction((tx) => sweepSettled(tx, requestor));
  if (counts.settled > 0) tell(postoffice, counts);
  return counts.settled;
}

interface Counts {
  settled: number;
  /** Attributes. */
  taken: number;
  lost: number;
}

/** Directories of which others would change so many entries at once that it waits for an approval. */
async function holdMany(postoffice: Postoffice): Promise<Set<string>> {
  const { store } = postoffice;
  const changed = new Map<string, Set<string>>();
  for (const { directory, own } of postoffice.publishing) if (own !== undefined) changed.set(directory.name, new Set());
  const held = new Set<string>();
  if (changed.size === 0) return held;
  for (let after: number | null = 0; after !== null; ) {
    const from: number = after;
    const { judged, next } = await store.read((tx) => judgeSome(tx, postoffice, from));
    for (const one of judged.filter(mayBeHeld)) changed.get(one.directory)?.add(hex(one.entry.id));
    after = next;
  }
  for (const [directory, { size }] of changed) {
    const atOnce = await store.read(async (tx) => {
      const { read } = await loadDirectoryState(tx, directory);
      const edits: EditsAtOnce = { directory, place: 'own', entries: size, of: read?.published ?? 0 };
      return (await mayBeMany(tx, postoffice, edits)) ? edits : null;
    });
    if (atOnce === null) continue;
    const waiting = await store.transaction((tx) => holdIfMany(tx, postoffice, atOnce));
    if (waiting === null) continue;
    held.add(directory);
    tellHeld(postoffice, waiting, 'T3');
  }
  return held;
}

/** Nobody here has looked at what it would write. */
function mayBeHeld({ take, isWanted }: Judged): boolean {
  return take.length > 0 && !isWanted;
}

/** Those behind `after`, but of directories in `held`; where the next begin, null: there are none. Adds to `counts`. */
async function takeSome(
  postoffice: Postoffice,
  { after, held }: { after: number; held: Set<string> },
  counts: Counts,
  signal: AbortSignal,
): Promise<number | null> {
  const { judged: all, next } = await postoffice.store.read((tx) => judgeSome(tx, postoffice, after));
  const judged = all.filter((one) => !(held.has(one.directory) && mayBeHeld(one)));
  for (const source of new Set(judged.map((one) => one.source))) {
    const ofThis = judged.filter((one) => one.source === source);
    const outcomes = await amendAll(postoffice, source, ofThis, signal);
    for (const [i, one] of ofThis.entries()) {
      const came = await settle(postoffice, one, outcomes[i]!);
      if (came === null) continue;
      counts.settled++;
      counts.taken += came.taken;
      counts.lost += came.lost;
    }
  }
  return next;
}

function tell(postoffice: Postoffice, counts: Counts): void {
  const words = [
    counts.taken > 0 ? `${counted(counts.taken, 'attribute')} taken` : '',
    counts.lost > 0 ? `${counted(counts.lost, 'attribute')} not taken (dirpost conflicts)` : '',
  ];
  const text = `${counted(counts.settled, 'edit')} of own entries by others settled: ${words.filter((one) => one !== '').join(', ') || 'nothing to be changed'}`;
  postoffice.tell({ time: 'T3', level: counts.lost > 0 ? 'warning' : 'info', text, details: { ...counts } });
}

async function judgeSome(
  tx: StoreTx,
  postoffice: Postoffice,
  after: number,
): Promise<{ judged: Judged[]; next: number | null }> {
  // An older copy of this postoffice knows nothing of what is published.
  if ((await loadOwn(tx)).stopped !== null) return { judged: [], next: null };
  const pending = await pendingEdits(tx, MOST_AT_ONCE, undefined, after);
  const next = pending.length < MOST_AT_ONCE ? null : pending.at(-1)!.number;
  if (pending.length === 0) return { judged: [], next };
  const wanted = (await loadConflicts(tx)).filter((one) => one.about === 'own' && one.wanted !== undefined);
  const rows = await tx.entriesById(
    'published',
    pending.map(({ edit }) => edit.target),
  );
  const judged: Judged[] = [];
  for (const [i, one] of pending.entries()) {
    const row = rows[i];
    if (row?.bytes == null) continue;
    const kept = keptFrom(row.note);
    const directory = kept ?? row.note ?? '';
    const [association] = await tx.associationsById(directory, [row.id]);
    // One that is configured by that name may have nothing to do with what is kept.
    const source =
      kept === null ? postoffice.publishing.find((known) => known.directory.name === directory) : undefined;
    if (source?.own !== undefined && !(await isApproved(tx, postoffice, directory))) continue;
    const about = { pending: one, entry: decodeEntry(row.bytes), directory, dn: association?.dn ?? null, source };
    judged.push({ ...about, ...judge(one, about, wanted) });
  }
  return { judged, next };
}

/** As the first write: whoever named the wrong directory shall lose nothing. */
async function isApproved(tx: StoreTx, { subscribing }: Postoffice, name: string): Promise<boolean> {
  const target = subscribing.find(({ directory }) => directory.name === name);
  return target === undefined || mayBeWritten(tx, target, await loadDirectoryState(tx, name));
}

/** By configuration and policies; the directory has not been asked yet. */
function judge(
  { verdict, hash, present, take, lost }: PendingEdit,
  { directory, dn, source }: Pick<Judged, 'directory' | 'dn' | 'source'>,
  wanted: Conflict[],
): Pick<Judged, 'take' | 'lost' | 'waiting' | 'isWanted'> {
  const ofThis = wanted.filter((one) => one.edit === hex(hash));
  const judged: ReturnType<typeof judge> = { take: [], lost: [], waiting: [], isWanted: ofThis.length > 0 };
  if (verdict === 'already') return judged;
  const refuse = (attribute: string, because: string) => void judged.lost.push({ attribute, because });
  for (const attribute of [...take, ...lost]) {
    const own = source?.own;
    if (own === undefined || dn === null) {
      refuse(attribute, notWritten(directory, source));
      continue;
    }
    const place = own.sourceOf(attribute);
    if ('reason' in place) {
      refuse(attribute, place.reason);
      continue;
    }
    const settled = ofThis.find((one) => one.attribute === attribute)?.wanted;
    const policy = settled === undefined ? policyFor(own.takes, attribute) : wantedPolicy[settled];
    if (policy === 'never') {
      refuse(attribute, `takes: never, of ${directory}`);
      continue;
    }
    const before = present.get(attribute) ?? [];
    const asBefore = { attribute, source: place.attribute, before };
    if (verdict === 'take') {
      judged.take.push(asBefore);
      continue;
    }
    if (policy === 'editor-wins') judged.take.push({ ...asBefore, before: null });
    else if (policy === 'owner-wins') refuse(attribute, settled === undefined ? 'owner-wins' : 'an administrator');
    else judged.waiting.push(attribute);
  }
  // One answer for the whole edit.
  if (judged.waiting.length > 0) judged.take = [];
  return judged;
}

function notWritten(directory: string, source: PublishingDirectory | undefined): string {
  if (source === undefined)
    return `${directory || 'its directory'} is no longer read here; the entry stays published as it was`;
  if (source.own === undefined) return `${directory} is only published from; direction: both would take it`;
  return `it is not known where the entry stands in ${directory}`;
}

const wantedPolicy = { directory: 'owner-wins', network: 'editor-wins' } as const;

/** null: nothing was asked. An outcome for each, in their order. */
async function amendAll(
  postoffice: Postoffice,
  source: PublishingDirectory | undefined,
  judged: Judged[],
  signal: AbortSignal,
): Promise<(AmendOutcome | null)[]> {
  const outcomes: (AmendOutcome | null)[] = judged.map(() => null);
  const asked = judged.flatMap((one, i) => (one.take.length > 0 ? [{ one, i }] : []));
  if (source?.own === undefined || asked.length === 0) return outcomes;
  const { name } = source.directory;
  const ids = asked.map(({ one }) => one.entry.id);
  const aliases = await postoffice.store.read((tx) => tx.aliasesById(name, ids));
  const amendments = asked.map(({ one }, i): Amendment => {
    const key = aliases[i]?.key ?? one.entry.id;
    const isEntry = (anchor: Uint8Array) => compareBytes(source.mapping.idOfAnchor(anchor), key) === 0;
    const changes = one.take.map(({ attribute, source: to, before }) => {
      return { attribute: to, before, after: one.pending.edit.values.get(attribute) ?? [] };
    });
    return { dn: one.dn ?? '', isEntry, changes };
  });
  let next = 0;
  try {
    for await (const outcome of source.own.amend(amendments, signal)) outcomes[asked[next++]!.i] = outcome;
  } catch (error) {
    if (!(error instanceof DirpostError) || error.code !== 'directory-failed' || signal.aborted) throw error;
    const text = `${name}: edits by others could not be taken, and will be tried again: ${error.message}`;
    postoffice.tell({ time: 'T3', level: 'warning', text, details: { directory: name } });
  }
  // Of those nothing is known; they are tried again.
  for (; next < asked.length; next++) outcomes[asked[next]!.i] = { result: 'later', code: 'unavailable' };
  return outcomes;
}

/** null: it waits. */
async function settle(
  postoffice: Postoffice,
  judged: Judged,
  outcome: AmendOutcome | null,
): Promise<{ taken: number; lost: number } | null> {
  const { store, requestor, limits, clock } = postoffice;
  return store.transaction(async (tx) => {
    const about = { limits, nowMs: clock.now() };
    if (judged.waiting.length > 0) {
      const open = judged.waiting.map((attribute) => conflictOf(judged, attribute, null, 'no-change'));
      await recordConflicts(tx, open, about);
      return null;
    }
    if (outcome?.result === 'later') return null;
    if (outcome?.result === 'differs' && (await mayBeReadStill(tx, judged))) return null;
    const isTaken = outcome?.result === 'written' || outcome?.result === 'already';
    const because = isTaken || outcome === null ? '' : reasonOf(outcome);
    const lost = isTaken
      ? judged.lost
      : [...judged.lost, ...judged.take.map(({ attribute }) => ({ attribute, because }))];
    const take = isTaken ? judged.take.map(({ attribute }) => attribute) : [];
    const { pending } = judged;
    if (mayBeHeld(judged)) await haveGone(tx, { directory: judged.directory, place: 'own' }, 1);
    await settleEdit(tx, requestor, { target: pending.edit.target, hash: pending.hash, take });
    await tx.removeDocument(differsDocument(judged));
    const overruled = judged.take.filter(({ before }) => before === null && isTaken);
    await recordConflicts(
      tx,
      [
        ...lost.map((one) => conflictOf(judged, one.attribute, 'directory', one.because)),
        ...overruled.map(({ attribute }) => conflictOf(judged, attribute, 'network', 'editor-wins')),
      ],
      about,
    );
    if (judged.isWanted) await closeWanted(tx, judged);
    return { taken: take.length, lost: lost.length };
  });
}

function reasonOf(outcome: AmendOutcome): string {
  if (outcome.result === 'refused') return `${outcome.code}: ${outcome.reason}`;
  return 'what stands in the directory is not what is published of it';
}

const differsDocument = ({ pending }: Judged) => `edit differs/${hex(pending.hash)}`;

/**
 * The directory has another value than is published: the next complete read publishes it, and then the edit is a conflict. If
 * one has not, nothing will.
 */
async function mayBeReadStill(tx: StoreTx, judged: Judged): Promise<boolean> {
  const { lastCompleteMs } = await loadDirectoryState(tx, judged.directory);
  const since = await tx.getDocument<number>(differsDocument(judged));
  if (since === undefined) await tx.putDocument(differsDocument(judged), lastCompleteMs ?? 0);
  return since === undefined || since === (lastCompleteMs ?? 0);
}

function conflictOf(
  { pending, entry, directory }: Judged,
  attribute: string,
  decided: 'directory' | 'network' | null,
  because: string,
): NewConflict {
  return {
    about: 'own',
    directory,
    entry: hex(entry.id),
    name: describe(entry).name,
    owner: entry.owner,
    editor: pending.editor,
    attribute,
    here: recorded(pending.present.get(attribute) ?? []),
    network: recorded(pending.edit.values.get(attribute) ?? []),
    decided,
    because,
    edit: hex(pending.hash),
  };
}

/** What an administrator has settled is done. */
async function closeWanted(tx: StoreTx, { pending }: Judged): Promise<void> {
  for (const { wanted, ...one } of await loadConflicts(tx)) {
    if (wanted === undefined || one.edit !== hex(pending.hash)) continue;
    await saveConflict(tx, { ...one, decided: wanted, because: 'an administrator' });
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
