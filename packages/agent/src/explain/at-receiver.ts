/** A receiver's part of the story: whether the replica has the entry, and where it stands in the directories here. */
import {
  attributeValues,
  decodeEntry,
  kindOf,
  loadOwn,
  mayPassByItself,
  MEMBER_ATTRIBUTE,
  shownBytes,
  shownToDirectories,
  type StoreTx,
} from '@dirpost/core';
import { askedAgainMs, loadDirectoryState } from '../directory-state.ts';
import { mayBeWritten } from '../first-write.ts';
import type { Postoffice, SubscribingDirectory } from '../postoffice.ts';
import { type HeldStory, heldStory } from './at-owner.ts';
import { describe } from './find.ts';
import { hex } from './query.ts';

const BATCH = 2_000;
const MOST_GROUPS = 100;

export interface ReceiverStory {
  inReplica: boolean;
  /** Effects of its last change that wait here for an approval: the directories stay as they were. */
  held: HeldStory | null;
  /** As the server names it. */
  serverNumber: number | null;
  /** The list that this postoffice follows, up to which seq of the server, and when it told the server so. */
  list: string | null;
  cursorSeq: number;
  verifiedMs: number | null;
  directories: WrittenStory[];
  /** Of the replica, whose members include it. */
  groups: { id: string; name: string | null; owner: string }[];
}

/**
 * `written`: with the last write. `refused`: the directory did not take it. `waiting`: comes with the next write.
 * `waiting-approval`: the first write into the directory does. `failed`: the last write did not succeed as a whole. `gone`: is not in the replica any more, and not in the directory.
 */
export type WrittenState =
  | 'written'
  | 'refused'
  | 'waiting'
  | 'waiting-approval'
  | 'failed'
  | 'gone'
  | 'waiting-removal';

export interface WrittenStory {
  directory: string;
  state: WrittenState;
  dn: string | null;
  writtenMs: number | null;
  code: string | null;
  reason: string | null;
  /** With `refused`, of a directory that is written entry by entry: when it is asked again by itself, ms since 1970. */
  againMs: number | null;
  /** With each write before that, too. */
  mayPass: boolean;
}

export async function explainAtReceiver(tx: StoreTx, postoffice: Postoffice, id: string): Promise<ReceiverStory> {
  const octets = Buffer.from(id, 'hex');
  const own = await loadOwn(tx);
  const [row] = await tx.entriesById('replica', [octets]);
  const directories: WrittenStory[] = [];
  for (const target of postoffice.subscribing) {
    const { digest } = await shownToDirectories(tx, own);
    directories.push(await written(tx, target, id, row !== undefined, digest));
  }
  return {
    inReplica: row !== undefined && !row.deleted,
    held: row === undefined ? null : heldStory(row),
    serverNumber: row?.peerNumber ?? null,
    list: own.cursor?.list ?? null,
    cursorSeq: own.cursor?.seq ?? 0,
    verifiedMs: own.verifiedMs,
    directories,
    groups: row === undefined ? [] : await groupsOf(tx, octets),
  };
}

async function written(
  tx: StoreTx,
  target: SubscribingDirectory,
  id: string,
  shown: boolean,
  digest: string,
): Promise<WrittenStory> {
  const directory = target.directory.name;
  const known = await loadDirectoryState(tx, directory);
  const { write } = known;
  const [association] = await tx.associationsById(directory, [Buffer.from(id, 'hex')]);
  const about = {
    directory,
    dn: association?.dn ?? null,
    writtenMs: write?.writtenMs ?? null,
    code: null,
    againMs: null,
    mayPass: false,
  };
  const refused = write?.refused.find((one) => one.id === id);
  const upToDate = write !== null && write.digest === digest && write.problem === null;
  if (!shown) {
    const gone = upToDate || association === undefined;
    return { ...about, state: gone ? 'gone' : 'waiting-removal', reason: write?.problem ?? null };
  }
  if (!(await mayBeWritten(tx, target, known))) return { ...about, state: 'waiting-approval', reason: null };
  if (refused !== undefined) {
    const { code, reason } = refused;
    if (target.directory.writes === 'whole') return { ...about, state: 'refused', code, reason };
    const againMs = askedAgainMs(refused, write);
    return { ...about, state: 'refused', code, reason, againMs, mayPass: mayPassByItself(code) };
  }
  if (write?.problem != null) return { ...about, state: 'failed', reason: write.problem };
  if (!upToDate || association === undefined) return { ...about, state: 'waiting', reason: null };
  const unnamed = write.refusedCount > write.refused.length;
  const reason = unnamed
    ? `refused ${write.refusedCount}, of which only ${write.refused.length} are known by name`
    : null;
  return { ...about, state: 'written', reason };
}

async function groupsOf(tx: StoreTx, id: Uint8Array): Promise<ReceiverStory['groups']> {
  const groups: ReceiverStory['groups'] = [];
  for (let after = 0; ; ) {
    const rows = await tx.scanEntries('replica', after, BATCH);
    if (rows.length === 0) return groups;
    for (const row of rows) {
      const bytes = shownBytes(row);
      if (bytes === null || kindOf(bytes) !== 'group') continue;
      if (!attributeValues(bytes, MEMBER_ATTRIBUTE).some((member) => Buffer.compare(member, id) === 0)) continue;
      groups.push({ id: hex(row.id), name: describe(decodeEntry(bytes)).name, owner: row.owner });
      if (groups.length === MOST_GROUPS) return groups;
    }
    after = rows.at(-1)!.number;
  }
}
