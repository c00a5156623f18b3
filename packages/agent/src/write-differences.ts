/**
 * T3, last step, for directories that are written entry by entry (LDAP): what of the replica differs from what was last
 * written there goes to the directory, and what it said is recorded batch by batch, so that a cut line costs one batch.
 *
 *   plannedDifferences ─▶ directory.write ─▶ outcomes ─▶ recordOutcomes        when all is sent: anchors of those who are new
 */
import {
  type Attributes,
  carriedOut,
  type Directory,
  DirpostError,
  MEMBERS_MISSING,
  type Place,
  placedAt,
  plannedDifferences,
  type PlannedChange,
  recordOutcomes,
  type Store,
  type StoreTx,
  type WriteOutcome,
} from '@dirpost/core';
import type { WriteState } from './directory-state.ts';
import type { Progress } from './events.ts';
import { matchTarget } from './match-target.ts';
import type { Postoffice, SubscribingDirectory } from './postoffice.ts';

/** Outcomes in one transaction. */
const RECORDED = 4_000;
/** Above this a transaction is taken off the main thread. */
const LARGE = 500;
const NO_ATTRIBUTES: Attributes = new Map();
/** As many new entries are looked up one by one; for more the whole container is searched. */
const LOOKED_UP = 500;

export interface WriteDifferences {
  signal: AbortSignal;
  progress?: (progress: Progress) => void;
  /** Also what was refused before; with `dueBy` only what is due by then, ms since 1970. */
  again: boolean;
  dueBy?: number | undefined;
}

export interface Differences extends Pick<WriteState, 'refusedCount' | 'refused'> {
  /** When the first of what it refused is due, ms since 1970; null: nothing is. */
  dueMs: number | null;
  /** Changes that the directory took. */
  written: number;
}

/** Throws DirpostError where the directory fails; what it had said until then is recorded. */
export async function writeDifferences(
  postoffice: Postoffice,
  target: SubscribingDirectory,
  given: WriteDifferences,
): Promise<Differences> {
  const { store, limits } = postoffice;
  const { directory } = target;
  await matchTarget(postoffice, target, given.again, given.signal);
  const { name } = directory;
  const first = await writePlan(postoffice, target, given);
  // Members who were made or renamed after their groups: these are written once more.
  const second =
    first.moved && first.lackMembers ? await writePlan(postoffice, target, { ...given, again: false }) : null;
  const written = first.written + (second?.written ?? 0);
  return { written, ...(await store.read((tx) => refusedIn(tx, name, limits.maxRefusedNamed))) };
}

/** One plan, carried out. */
async function writePlan(
  { store, clock, tell }: Postoffice,
  { directory, options, shape = '' }: SubscribingDirectory,
  { signal, progress, again, dueBy }: WriteDifferences,
): Promise<Recording> {
  const { name } = directory;
  const asked = new Map<number, PlannedChange>();
  const record = new Recording(store, name, () => clock.now());
  const changes = async function* () {
    let count = 0;
    for await (const change of plannedDifferences(store, { ...options, shape, again, dueBy })) {
      asked.set(count++, change);
      yield change;
    }
  };
  let done = 0;
  let isCarriedOut = false;
  try {
    for await (const outcome of directory.write(changes(), signal)) {
      const change = asked.get(done)!;
      // At once: a first write is as large as the network.
      asked.delete(done++);
      await record.take(change, outcome);
      if (done % 1_000 === 0) progress?.({ what: `writing ${name}`, done });
    }
    isCarriedOut = true;
  } finally {
    await record.end(isCarriedOut);
  }
  // Else it would be lost among all those who belong below it.
  for (const { dn, code = 'refused', reason = '' } of record.refusedContainers) {
    const text = `${name}: ${dn} could not be made (${code}${reason && `: ${reason}`}); what belongs below it waits until it is`;
    tell({ time: 'T3', level: 'warning', text, details: { directory: name, code } });
  }
  return record;
}

/** Outcomes, written down in batches together with what they are about; while one is written down the next comes. */
class Recording {
  written = 0;
  /** Something stands where it did not before. */
  moved = false;
  /** A group was written without members who are not there. */
  lackMembers = false;
  refusedContainers: { dn: string; code?: string; reason?: string }[] = [];
  #changes: PlannedChange[] = [];
  #outcomes: WriteOutcome[] = [];
  #recording: Promise<void> = Promise.resolve();

  constructor(
    private readonly store: Store,
    private readonly directory: string,
    private readonly now: () => number,
  ) {}

  async take(change: PlannedChange, outcome: WriteOutcome): Promise<void> {
    // Thousands wait: what was written of them is not needed any more.
    this.#changes.push({ ...change, attributes: NO_ATTRIBUTES });
    this.#outcomes.push(outcome);
    if (outcome.result === 'written') this.written++;
    if (change.kind === 'container' && outcome.result === 'refused') {
      const { code, reason } = outcome;
      this.refusedContainers.push({ dn: change.dn, ...(code && { code }), ...(reason && { reason }) });
    }
    this.lackMembers ||= outcome.code === MEMBERS_MISSING;
    this.moved ||= outcome.place !== undefined && !isSamePlace(outcome.place, change.place);
    if (this.#changes.length >= RECORDED) await this.#flush();
  }

  /** `isCarriedOut`: nothing of the plan is left. */
  async end(isCarriedOut: boolean): Promise<void> {
    await this.#flush(isCarriedOut);
    await this.#recording;
  }

  async #flush(isCarriedOut = false): Promise<void> {
    await this.#recording;
    if (this.#changes.length === 0 && !isCarriedOut) return;
    const [changes, outcomes] = [this.#changes, this.#outcomes];
    [this.#changes, this.#outcomes] = [[], []];
    const open = outcomes.filter(({ place }, i) => place?.anchor === '' && changes[i]!.kind !== 'container');
    const record = async (tx: StoreTx) => {
      await recordOutcomes(tx, this.directory, changes, outcomes, this.now());
      const dns = open.map(({ place }) => place!.dn);
      if (dns.length > 0) await noteOpen(tx, this.directory, dns);
      if (isCarriedOut) await carriedOut(tx, this.directory);
    };
    this.#recording = this.store.transaction(record, { large: changes.length > LARGE });
    // It is told when it is waited for.
    this.#recording.catch(() => {});
  }
}

/** Another anchor: it was removed by hand, and is made anew. */
function isSamePlace({ dn, anchor }: Place, before: Place | undefined): boolean {
  return before !== undefined && before.dn === dn && before.anchor === anchor;
}

/** The DNs of new entries whose anchors are open; true: of too many. */
type OpenAnchors = string[] | true;

const openDocument = (directory: string) => `open anchors/${directory}`;

async function noteOpen(tx: StoreTx, directory: string, dns: string[]): Promise<void> {
  const before = (await tx.getDocument<OpenAnchors>(openDocument(directory))) ?? [];
  const isMany = before === true || before.length + dns.length > LOOKED_UP;
  await tx.putDocument(openDocument(directory), isMany ? true : [...before, ...dns]);
}

export async function forgetOpenAnchors(tx: StoreTx, directory: string): Promise<void> {
  await tx.removeDocument(openDocument(directory));
}

/** By its anchor an entry is found again wherever an administrator moves it; until it is learnt, by its DN. Nobody waits for it. */
export async function learnAnchors({ store, subscribing, tell }: Postoffice, signal: AbortSignal): Promise<void> {
  for (const { directory } of subscribing) {
    const { name } = directory;
    if (directory.places === undefined) continue;
    const open = await store.read((tx) => tx.getDocument<OpenAnchors>(openDocument(name)));
    if (open === undefined) continue;
    try {
      await learnAnchorsOf(store, directory, open === true ? null : open, signal);
    } catch (error) {
      if (!(error instanceof DirpostError) || signal.aborted) throw error;
      const text = `${name}: what was written could not be looked up, and will be later: ${error.message}`;
      tell({ time: 'T3', level: 'warning', text, details: { directory: name } });
    }
  }
}

async function learnAnchorsOf(
  store: Store,
  directory: Directory,
  dns: string[] | null,
  signal: AbortSignal,
): Promise<void> {
  const { name } = directory;
  let batch: Place[] = [];
  const flush = async () => {
    const places = batch;
    batch = [];
    await store.transaction((tx) => putAnchors(tx, name, places), { large: places.length > LARGE });
  };
  try {
    for await (const place of directory.places!(dns, signal)) {
      batch.push(place);
      if (batch.length >= RECORDED) await flush();
    }
  } finally {
    // Also where the rest is cut off.
    await flush();
  }
  await store.transaction((tx) => tx.removeDocument(openDocument(name)));
}

async function putAnchors(tx: StoreTx, directory: string, places: Place[]): Promise<void> {
  const found = await placedAt(tx, directory, places);
  const open = found.filter(({ place, placed }) => placed.place?.anchor === '' && place.anchor !== '');
  const learnt = open.map(({ place, placed }) => ({ ...placed, place }));
  await tx.putPlaced(directory, learnt);
}

async function refusedIn(tx: StoreTx, directory: string, most: number): Promise<Omit<Differences, 'written'>> {
  const named = await tx.refusedPlaced(directory, most);
  // Counting passes over all that stands there.
  const refusedCount = named.length < most ? named.length : (await tx.countPlaced(directory)).refused;
  const refused = named.map(({ id, refused: why }) => ({
    id: Buffer.from(id).toString('hex'),
    code: why?.code ?? 'refused',
    reason: why?.reason ?? '',
    againMs: why?.dueMs ?? null,
  }));
  return { refusedCount, refused, dueMs: await tx.refusedDueMs(directory) };
}
