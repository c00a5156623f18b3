/**
 * Where a postoffice stands, and on the server where every requestor stands: gathered from the store, beside a running
 * agent. `dirpost status` shows it; docs/operating.md, "Status for programs", names every field of its --json.
 */
import {
  type KeptDirectory,
  keptDirectories,
  heldCounts,
  loadOwn,
  type OwnRecord,
  type PostofficeName,
  type StoreTx,
} from '@dirpost/core';
import { loadBounces } from './bounces.ts';
import {
  type Bounced,
  bouncedOf,
  type UncollectedTransport,
  uncollectedFrom,
  type Unsent,
  unsentTo,
} from './carriage-status.ts';
import { loadUncollected } from './collect-failures.ts';
import type { Configuration } from './config/load.ts';
import { type DirectoryState, loadDirectoryState } from './directory-state.ts';
import { type CountedDuplicates, loadCountedDuplicates } from './duplicates.ts';
import { countOpenConflicts } from './both/conflicts.ts';
import { type HeldEdits, heldEdits } from './both/held-edits.ts';
import { type FirstWrite, waitingFirstWrites } from './first-write.ts';
import { describeEnrolment, loadEnrolment } from './joining/enrolment-record.ts';
import { knownRequestors } from './known-requestors.ts';
import type { Postoffice } from './postoffice.ts';
import { type RemovedDirectory, removedDirectories } from './removed-directories.ts';
import { type AttentionCode, gatherServer, type ServerStatus } from './requestor-status.ts';
import { VERSION } from './version.ts';
import { type WaitingMatches, waitingMatches } from './waiting-matches.ts';

/** From so many exchanges on, and after so long a time, it counts that the server does not answer. */
const UNANSWERED = 3;
const UNANSWERED_MS = 3 * 86_400_000;

export interface Status {
  postoffice: PostofficeName;
  role: 'server' | 'requestor';
  version: string;
  /** When this was gathered: ages are seen from here. */
  nowMs: number;
  own: OwnRecord;
  /** What is to be said while joining by an invitation is not finished; null: it is, or was not needed. */
  joining: string | null;
  /** Edits among what is published and in the replica; its counts of entries include them. */
  edits: { published: number; replica: number };
  directories: DirectoryState[];
  /** From here to the server. */
  unsent: Unsent;
  /** Of what went from here to the server. */
  bounced: Bounced | null;
  /** Transports that could not be asked for what has arrived. */
  uncollected: UncollectedTransport[];
  /** Entries with effects that wait for an approval. */
  held: { here: number; atServer: number; atRequestors: number };
  /** Directories here whose first write waits for an approval. */
  firstWrites: FirstWrite[];
  /** Entries that may be what a directory has already. */
  matches: WaitingMatches[];
  /** Edits in directories of both ways that are too many at once. */
  heldEdits: HeldEdits[];
  /** That are no longer in the configuration, and of which nobody has said what becomes of what they published or got. */
  removedDirectories: RemovedDirectory[];
  /** Of which it was said that their entries stay published. */
  keptDirectories: KeptDirectory[];
  /** Conflicts of directories of both ways that wait for an administrator. */
  conflicts: number;
  /** As they were counted last, now and then; null: never yet. */
  duplicates: CountedDuplicates | null;
  server: ServerStatus | null;
  corrupt: number;
  attention: AttentionCode[];
}

export async function gatherStatus(postoffice: Postoffice, configuration: Configuration): Promise<Status> {
  const corrupt = (await postoffice.spool.list('corrupt')).length;
  const known = postoffice.server === null ? null : await knownRequestors(postoffice.server, configuration);
  const nowMs = postoffice.clock.now();
  return postoffice.store.read(async (tx) => {
    // One of both ways is in both.
    const names = new Set([...postoffice.publishing, ...postoffice.subscribing].map(({ directory }) => directory.name));
    const directories: DirectoryState[] = [];
    for (const name of names) directories.push(await loadDirectoryState(tx, name));
    const own = await loadOwn(tx);
    const waiting = await tx.outgoing({ undelivered: true });
    const bounces = await loadBounces(tx);
    const server =
      postoffice.server === null
        ? null
        : await gatherServer(tx, postoffice.server, known!, { waiting, bounces }, nowMs);
    const others = (server?.requestors ?? []).filter(({ name }) => name !== postoffice.name);
    const held = {
      here: await heldHere(tx),
      // The server's own requestor would tell it twice.
      atServer: server === null ? own.heldAtServer : 0,
      atRequestors: others.reduce((total, one) => total + one.heldThere, 0),
    };
    const firstWrites = await waitingFirstWrites(tx, postoffice);
    const matches = await waitingMatches(tx, postoffice);
    const edits = await heldEdits(tx, postoffice);
    const duplicates = await loadCountedDuplicates(tx);
    const conflicts = await countOpenConflicts(tx);
    const removed = await removedDirectories(tx, postoffice);
    const unsent = unsentTo(waiting, postoffice.requestor.server);
    const bounced = bouncedOf(bounces.get(postoffice.requestor.server));
    const uncollected = uncollectedFrom(postoffice.inbound, await loadUncollected(tx));
    const carriage = { unsent, bounced, uncollected };
    const enrolment = await loadEnrolment(tx);
    return {
      postoffice: postoffice.name,
      role: server === null ? 'requestor' : 'server',
      version: VERSION,
      nowMs,
      own,
      joining: describeEnrolment(enrolment),
      edits: { published: await tx.countEdits('published'), replica: await tx.countEdits('replica') },
      directories,
      ...carriage,
      held,
      firstWrites,
      matches,
      heldEdits: edits,
      removedDirectories: removed,
      keptDirectories: await keptDirectories(tx),
      duplicates,
      conflicts,
      server,
      corrupt,
      attention: ownAttention(
        own,
        held.here + held.atServer + firstWrites.length + matches.length + edits.length,
        carriage,
        directories,
        {
          removed,
          conflicts,
          isRefused: enrolment?.state === 'refused',
          nowMs,
        },
      ),
    };
  });
}

/** Entries with effects that wait here for `dirpost approve`. */
async function heldHere(tx: StoreTx): Promise<number> {
  const { published, replica, collected } = await heldCounts(tx);
  return published.entries + replica.entries + collected.entries;
}

interface OtherReasons {
  removed: RemovedDirectory[];
  conflicts: number;
  /** The invitation. */
  isRefused: boolean;
  nowMs: number;
}

function ownAttention(
  own: OwnRecord,
  held: number,
  { unsent, bounced, uncollected }: Pick<Status, 'unsent' | 'bounced' | 'uncollected'>,
  directories: DirectoryState[],
  { removed, conflicts, isRefused, nowMs }: OtherReasons,
): AttentionCode[] {
  const refused =
    own.refused.count +
    own.refusedElsewhere.length +
    directories.reduce((sum, { read, write }) => sum + (read?.refusedCount ?? 0) + (write?.refusedCount ?? 0), 0);
  const codes: [AttentionCode, boolean][] = [
    ['stopped', own.stopped !== null],
    ['not-joined', isRefused],
    ['held', held > 0],
    ['directory', directories.some((one) => directoryProblem(one) !== null)],
    ['unanswered', isUnanswered(own, nowMs)],
    ['unsent', unsent.attempts > 0],
    ['uncollected', uncollected.length > 0],
    ['bounced', bounced !== null],
    ['refused', refused > 0],
    ['duplicates', own.clashes.left + own.clashes.kept > 0],
    ['removed-directory', removed.length > 0],
    ['conflicts', conflicts > 0],
  ];
  return codes.filter(([, applies]) => applies).map(([code]) => code);
}

/** Why it could not be read or written the last time; null: it could. */
export function directoryProblem({ readProblem, write }: DirectoryState): string | null {
  return readProblem ?? write?.problem ?? null;
}

/** A mail may take long, and a server may be off over a weekend. */
function isUnanswered({ unanswered, answeredMs }: OwnRecord, nowMs: number): boolean {
  if (answeredMs === null) return unanswered >= UNANSWERED;
  return unanswered > 1 && nowMs - answeredMs > UNANSWERED_MS;
}
