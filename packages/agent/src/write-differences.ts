/**
 * T3, last step, for directories that are written entry by entry (LDAP): what of the replica differs from what was last
 * written there goes to the directory, and what it said is recorded batch by batch, so that a cut line costs one batch.
 *
 *   plannedDifferences ─▶ directory.write ─▶ outcomes ─▶ recordOutcomes        at the end: anchors of those who are new
 */
import {
  type Directory,
  DirpostError,
  normalizeDn,
  type Placed,
  type Place,
  plannedDifferences,
  type PlannedChange,
  recordOutcomes,
  type Store,
  type StoreTx,
  type WriteOutcome,
} from '@dirpost/core';
import type { WriteState } from './directory-state.ts';
import type { Progress } from './events.ts';
import type { Postoffice, SubscribingDirectory } from './postoffice.ts';

/** Outcomes in one transaction. */
const RECORDED = 500;
/** As many new entries are looked up one by one; for more the whole container is searched. */
const LOOKED_UP = 500;

export interface WriteDifferences {
  signal: AbortSignal;
  progress?: (progress: Progress) => void;
  /** Also what was refused before. */
  again: boolean;
}

export interface Differences extends Pick<WriteState, 'refusedCount' | 'refused'> {
  /** Changes that the directory took. */
  written: number;
}

/** Throws DirpostError where the directory fails; what it had said until then is recorded. */
export async function writeDifferences(
  { store, limits, tell }: Postoffice,
  { directory, options, shape = '' }: SubscribingDirectory,
  { signal, progress, again }: WriteDifferences,
): Promise<Differences> {
  const { name } = directory;
  const asked = new Map<number, PlannedChange>();
  const record = new Recording(store, name);
  const changes = async function* () {
    let count = 0;
    for await (const change of plannedDifferences(store, { ...options, shape, again })) {
      asked.set(count++, change);
      yield change;
    }
  };
  let done = 0;
  try {
    for await (const outcome of directory.write(changes(), signal)) {
      const change = asked.get(done)!;
      // At once: a first write is as large as the network.
      asked.delete(done++);
      await record.take(change, outcome);
      if (done % 1_000 === 0) progress?.({ what: `writing ${name}`, done });
    }
  } finally {
    await record.flush();
  }
  try {
    await learnAnchors(store, directory, record.created, signal);
  } catch (error) {
    if (!(error instanceof DirpostError) || signal.aborted) throw error;
    // Nothing is lost: until then these entries are known by their DNs.
    const text = `${name}: what was written could not be looked up, and will be with the next write: ${error.message}`;
    tell({ time: 'T3', level: 'warning', text, details: { directory: name } });
  }
  return { written: record.written, ...(await store.read((tx) => refusedIn(tx, name, limits.maxRefusedNamed))) };
}

/** Outcomes, written down in batches together with what they are about. */
class Recording {
  written = 0;
  /** DNs of new entries whose anchors are open; null: too many, or some of an earlier write. */
  created: string[] | null = [];
  #changes: PlannedChange[] = [];
  #outcomes: WriteOutcome[] = [];

  constructor(
    private readonly store: Store,
    private readonly directory: string,
  ) {}

  async take(change: PlannedChange, outcome: WriteOutcome): Promise<void> {
    this.#changes.push(change);
    this.#outcomes.push(outcome);
    if (outcome.result === 'written') this.written++;
    if (this.#changes.length >= RECORDED) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#changes.length === 0) return;
    const [changes, outcomes] = [this.#changes, this.#outcomes];
    [this.#changes, this.#outcomes] = [[], []];
    const open = outcomes.filter(({ place }, i) => place?.anchor === '' && changes[i]!.kind !== 'container');
    await this.store.transaction(async (tx) => {
      await recordOutcomes(tx, this.directory, changes, outcomes);
      if (open.length === 0) return;
      // Left by a write that broke off: whose they are is not known any more.
      if (this.created?.length === 0 && (await areOpen(tx, this.directory))) this.created = null;
      await tx.putDocument(openDocument(this.directory), true);
    });
    this.created?.push(...open.map(({ place }) => place!.dn));
    if ((this.created?.length ?? 0) > LOOKED_UP) this.created = null;
  }
}

const openDocument = (directory: string) => `open anchors/${directory}`;

async function areOpen(tx: StoreTx, directory: string): Promise<boolean> {
  return (await tx.getDocument(openDocument(directory))) !== undefined;
}

/** By its anchor an entry is found again wherever an administrator moves it. */
async function learnAnchors(
  store: Store,
  directory: Directory,
  created: string[] | null,
  signal: AbortSignal,
): Promise<void> {
  const { name } = directory;
  if (directory.places === undefined || !(await store.read((tx) => areOpen(tx, name)))) return;
  const dns = created?.length === 0 ? null : created;
  let batch: Place[] = [];
  const flush = async () => {
    const places = batch;
    batch = [];
    await store.transaction((tx) => putAnchors(tx, name, places));
  };
  for await (const place of directory.places(dns, signal)) {
    batch.push(place);
    if (batch.length >= RECORDED) await flush();
  }
  await flush();
  await store.transaction((tx) => tx.removeDocument(openDocument(name)));
}

async function putAnchors(tx: StoreTx, directory: string, places: Place[]): Promise<void> {
  const holders = await tx.associationsByDn(
    directory,
    places.map(({ dn }) => normalizeDn(dn)),
  );
  const known = holders.flatMap((holder, i) => (holder === undefined ? [] : [{ id: holder.id, place: places[i]! }]));
  const placed = await tx.placedById(
    directory,
    known.map(({ id }) => id),
  );
  const learnt: Placed[] = [];
  for (const [i, { place }] of known.entries()) {
    const one = placed[i];
    if (one?.place?.anchor === '' && place.anchor !== '') learnt.push({ ...one, place });
  }
  await tx.putPlaced(directory, learnt);
}

async function refusedIn(tx: StoreTx, directory: string, most: number): Promise<Omit<Differences, 'written'>> {
  const { refused: refusedCount } = await tx.countPlaced(directory);
  const named = await tx.refusedPlaced(directory, most);
  const refused = named.map(({ id, refused: why }) => ({
    id: Buffer.from(id).toString('hex'),
    code: why?.code ?? 'refused',
    reason: why?.reason ?? '',
  }));
  return { refusedCount, refused };
}
