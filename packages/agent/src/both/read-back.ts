/**
 * T0, and again before a write (T3): the container of a directory of both ways is read, and compared with what was written
 * there and what the network says (decide.ts). Only what changed there since the last look, where the server can tell.
 *
 *   container.read ─▶ entries ─ by anchor ─▶ what they should be ─▶ decide ─┬─ agrees ─▶ remembered at once
 *                                                                          └─ by hand ─▶ when the read is complete: by-hand.ts
 */
import {
  decodeEntry,
  type DirectoryEntry,
  DirpostError,
  foldedRows,
  isEditable,
  isWithin,
  loadOwn,
  normalizeDn,
  type Placed,
  type ReadCertificate,
  type StoreTx,
  type Watched,
} from '@dirpost/core';
import type { Shaping } from '@dirpost/adapters';
import { policyFor } from '../config/both-ways.ts';
import { counted, type CycleTime } from '../events.ts';
import type { BothTarget, Postoffice, SubscribingDirectory } from '../postoffice.ts';
import { applyByHand, type ByHand } from './by-hand.ts';
import { closeConflicts } from './conflicts.ts';
import { type NetworkValues, networkValues } from './container-values.ts';
import { decide } from './decide.ts';
import { type EditsAtOnce, haveGone, holdIfMany, tellHeld } from './held-edits.ts';
import { fromBase64, valuesText } from './values.ts';

const BATCH = 500;
/** Changes by hand in one look; of more the others come with the next. */
const MOST_AT_ONCE = 10_000;

export interface LookedBack {
  proposed: number;
  conflicts: number;
  /** So much would be proposed at once that it waits for an approval; nothing was done. */
  isHeld: boolean;
  /** null: the read was complete. */
  problem: string | null;
}

const NOTHING: LookedBack = { proposed: 0, conflicts: 0, isHeld: false, problem: null };

export interface LookBackOptions {
  /** At which it is told. */
  time: CycleTime;
  signal: AbortSignal;
  /** Everything is looked at, not only what changed. */
  whole?: boolean;
}

interface Mark {
  configuration: string;
  incarnation: string;
  bookmark: string | null;
}

const markDocument = (directory: string) => `by hand/${directory}`;

export async function forgetLookBack(tx: StoreTx, directory: string): Promise<void> {
  await tx.removeDocument(markDocument(directory));
}

/** Does nothing where nothing has been written yet. Throws DirpostError where the directory fails. */
export async function lookBack(
  postoffice: Postoffice,
  target: SubscribingDirectory & { both: BothTarget },
  { time, signal, whole = false }: LookBackOptions,
): Promise<LookedBack> {
  const { store } = postoffice;
  const { name } = target.directory;
  const { watched } = target.both.ways;
  if (watched.length === 0) return NOTHING;
  const configuration = JSON.stringify([watched, target.options.container, target.both.anchor, target.shape]);
  const { placed, incarnation, mark } = await store.read(async (tx) => ({
    placed: (await tx.countPlaced(name)).placed,
    incarnation: (await loadOwn(tx)).incarnation,
    mark: await tx.getDocument<Mark>(markDocument(name)),
  }));
  if (placed === 0) return NOTHING;
  const isGood = !whole && mark?.configuration === configuration && mark.incarnation === incarnation;
  const look = new Look(postoffice, target, signal);
  const certificate = await look.read(isGood ? mark.bookmark : null);
  if (certificate?.complete !== true) {
    return {
      ...NOTHING,
      problem: certificate?.remarks.join(' ') ?? `The read of ${name} ended without a certificate.`,
    };
  }
  const bookmark = look.isCut ? null : certificate.bookmark;
  const atOnce: EditsAtOnce = { directory: name, place: 'container', entries: look.proposing, of: placed };
  const applied = await store.transaction(async (tx) => {
    const held = await holdIfMany(tx, postoffice, atOnce);
    if (held !== null) return { held };
    await haveGone(tx, atOnce, look.proposingFound);
    await tx.putDocument(markDocument(name), { configuration, incarnation, bookmark } satisfies Mark);
    return applyByHand(tx, postoffice, target, look.found);
  });
  if ('held' in applied) {
    tellHeld(postoffice, applied.held, time);
    return { ...NOTHING, isHeld: true };
  }
  tell(postoffice, name, { time, ...applied });
  return { ...NOTHING, ...applied };
}

function tell(
  postoffice: Postoffice,
  name: string,
  { time, proposed, conflicts }: Pick<LookedBack, 'proposed' | 'conflicts'> & { time: CycleTime },
): void {
  if (proposed + conflicts === 0) return;
  const words = [
    proposed > 0 ? `${counted(proposed, 'attribute')} proposed to the owners` : '',
    conflicts > 0 ? `${counted(conflicts, 'conflict')} recorded (dirpost conflicts)` : '',
  ];
  const text = `${name}: changed by hand in its container; ${words.filter((one) => one !== '').join(', ')}`;
  postoffice.tell({ time, level: 'warning', text, details: { directory: name, proposed, conflicts } });
}

class Look {
  found: ByHand[] = [];
  /** There was more than is taken at once. */
  isCut = false;
  /** Entries of which something would be proposed to the owners; and those of them that are in `found`. */
  proposing = 0;
  proposingFound = 0;
  #shaping: Shaping | null = null;

  constructor(
    private readonly postoffice: Postoffice,
    private readonly target: SubscribingDirectory & { both: BothTarget },
    private readonly signal: AbortSignal,
  ) {}

  async read(bookmark: string | null): Promise<ReadCertificate | undefined> {
    let certificate: ReadCertificate | undefined;
    for await (const batch of this.target.both.container.read(bookmark, this.signal)) {
      if (batch.restart === true) [this.found, this.proposing, this.proposingFound] = [[], 0, 0];
      for (let from = 0; from < batch.entries.length; from += BATCH) {
        await this.#take(batch.entries.slice(from, from + BATCH));
      }
      certificate = batch.certificate;
    }
    return certificate;
  }

  /** What agrees is remembered whether or not the read comes to an end: it was seen. */
  async #take(entries: DirectoryEntry[]): Promise<void> {
    const { store } = this.postoffice;
    // Most reads give nothing.
    const shaping = (this.#shaping ??= await this.target.both.shaping(this.signal));
    const looked = await store.read((tx) => this.#lookAt(tx, entries, shaping));
    const taken = looked.byHand.slice(0, Math.max(0, MOST_AT_ONCE - this.found.length));
    for (const one of taken) this.found.push(one);
    if (taken.length < looked.byHand.length) this.isCut = true;
    this.proposing += entriesProposed(looked.byHand);
    this.proposingFound += entriesProposed(taken);
    if (looked.agreed.length === 0) return;
    const { name } = this.target.directory;
    await store.transaction(async (tx) => {
      await tx.putWatched(name, looked.agreed);
      await closeConflicts(tx, name, looked.closed);
    });
  }

  async #lookAt(tx: StoreTx, entries: DirectoryEntry[], shaping: Shaping): Promise<Looked> {
    const { directory } = this.target;
    const looked: Looked = { byHand: [], agreed: [], closed: [] };
    const standing = await this.#identify(tx, entries);
    const ids = standing.map(({ placed }) => placed.id);
    const rows = await tx.entriesById('replica', ids);
    const watched = await tx.watchedById(directory.name, ids);
    const live = standing
      .map((one, i) => ({ ...one, row: rows[i], known: watched[i] }))
      .filter(({ row }) => row !== undefined);
    const shown = await foldedRows(
      tx,
      live.map(({ row }) => row!),
    );
    const { watched: attributes } = this.target.both.ways;
    for (const [i, { placed, entry, known }] of live.entries()) {
      // What was never written, as far as anybody knows, is not compared.
      if (shown[i] === null || (placed.hash === null && known === undefined)) continue;
      this.#compare(
        looked,
        { placed, entry, known },
        networkValues(decodeEntry(shown[i]!), entry.dn, attributes, shaping),
      );
    }
    return looked;
  }

  /** Those that dirpost wrote. By the anchor, or by the DN where that is not known yet. */
  async #identify(tx: StoreTx, entries: DirectoryEntry[]): Promise<{ placed: Placed; entry: DirectoryEntry }[]> {
    const { directory, both } = this.target;
    const anchorOf = (entry: DirectoryEntry) => {
      const [anchor] = entry.attributes.get(both.anchor) ?? [];
      return anchor === undefined ? '' : Buffer.from(anchor).toString('hex');
    };
    const byAnchor = await tx.placedByAnchor(directory.name, entries.map(anchorOf));
    const holders = await tx.associationsByDn(
      directory.name,
      entries.map(({ dn }) => normalizeDn(dn)),
    );
    const byDn = await tx.placedById(
      directory.name,
      holders.map((holder) => holder?.id ?? NOBODY),
    );
    return entries.flatMap((entry, i) => {
      const open = byDn[i]?.place?.anchor === '' ? byDn[i] : undefined;
      const placed = byAnchor[i] ?? open;
      return placed === undefined ? [] : [{ placed, entry }];
    });
  }

  #compare(
    { byHand, agreed, closed }: Looked,
    { placed, entry, known }: { placed: Placed; entry: DirectoryEntry; known: Watched | undefined },
    network: Map<string, NetworkValues>,
  ): void {
    const { ways } = this.target.both;
    const before: Watched = known ?? { id: placed.id, written: {}, kept: {} };
    const learnt: Watched = { id: placed.id, written: { ...before.written }, kept: { ...before.kept } };
    const isAdopted = !isWithin(entry.dn, this.target.options.container);
    let isNew = false;
    for (const [attribute, { written, isPlain }] of network) {
      // Of an entry that was there before dirpost: what the network does not name is not the network's.
      if (isAdopted && written.length === 0) continue;
      const values = entry.attributes.get(attribute) ?? [];
      const here = valuesText(values);
      const kept = before.kept[attribute];
      const decision = decide(
        {
          here,
          written: before.written[attribute] ?? null,
          network: valuesText(written),
          kept: kept === undefined ? null : valuesText(fromBase64(kept)),
        },
        { policy: policyFor(ways.conflicts, attribute), isProposed: isPlain && ways.edits.includes(attribute) },
      );
      if (decision === 'agrees') {
        if (before.written[attribute] === here && kept === undefined) continue;
        isNew = true;
        learnt.written[attribute] = here;
        delete learnt.kept[attribute];
        if (kept !== undefined) closed.push({ entry: Buffer.from(placed.id).toString('hex'), attribute });
      } else if (decision !== 'stays' && decision !== 'unchanged') {
        byHand.push({ id: placed.id, attribute, decision, here: values, network: written });
      }
    }
    if (isNew) agreed.push(learnt);
  }
}

interface Looked {
  byHand: ByHand[];
  agreed: Watched[];
  closed: { entry: string; attribute: string }[];
}

function entriesProposed(found: ByHand[]): number {
  const proposed = found.filter(({ attribute, decision }) => decision === 'propose' && isEditable(attribute));
  return new Set(proposed.map(({ id }) => Buffer.from(id).toString('hex'))).size;
}

const NOBODY = Buffer.alloc(0);

/** T0: a directory that cannot be read now is read another time; what was changed by hand stays until then. */
export async function lookBackSafely(
  postoffice: Postoffice,
  target: SubscribingDirectory & { both: BothTarget },
  options: LookBackOptions,
): Promise<void> {
  let problem: string | null;
  try {
    ({ problem } = await lookBack(postoffice, target, options));
  } catch (error) {
    if (!(error instanceof DirpostError) || error.code !== 'directory-failed' || options.signal.aborted) throw error;
    problem = error.message;
  }
  if (problem === null) return;
  const { name } = target.directory;
  const text = `${name}: its container was not read completely; what was changed by hand there is seen another time. ${problem}`;
  postoffice.tell({ time: options.time, level: 'warning', text, details: { directory: name } });
}

/**
 * T3: what nobody has looked at is not written over. false: changes by hand wait for an approval, and so does the write. Throws
 * DirpostError `directory-failed` where the look is not complete.
 */
export async function lookBeforeWrite(
  postoffice: Postoffice,
  target: SubscribingDirectory & { both: BothTarget },
  signal: AbortSignal,
): Promise<boolean> {
  let looked: LookedBack;
  try {
    looked = await lookBack(postoffice, target, { time: 'T3', signal });
  } catch (error) {
    if (!(error instanceof DirpostError) || error.code !== 'directory-failed' || signal.aborted) throw error;
    throw unseen(error.message, error);
  }
  if (looked.problem !== null) throw unseen(looked.problem);
  return !looked.isHeld;
}

function unseen(why: string, cause?: DirpostError): DirpostError {
  const hint = 'Nothing is written there before that, so that no change by hand is lost. Look closer: dirpost check';
  return new DirpostError('directory-failed', `its container has to be read first, and could not be: ${why}`, {
    retry: cause?.retry ?? 'later',
    hint: cause?.hint === undefined ? hint : `${cause.hint} ${hint}`,
    cause,
  });
}
