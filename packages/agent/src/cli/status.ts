/** `dirpost status`: where this postoffice stands, and on the server where every requestor stands. */
import {
  allRequestors,
  listFor,
  loadOwn,
  loadServer,
  type OwnRecord,
  type RequestorRecord,
  type ServerContext,
  type StoreTx,
} from '@dirpost/core';
import { type DirectoryState, loadDirectoryState } from '../directory-state.ts';
import type { Postoffice } from '../postoffice.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { counted } from '../events.ts';
import { type Screen, time } from './screen.ts';

interface RequestorStatus {
  name: string;
  list: string | null;
  incarnation: string | null;
  lastHeardMs: number;
  lastVerifiedMs: number | null;
  acceptedSeq: number;
  ownerDigest: string;
  published: number;
  verifiedSeq: number | null;
  /** Changes of the server that it has not verified. */
  behind: number;
  writtenUpTo: number;
  /** Kept from the lists by the server; refused by the requestor's own directory. */
  flagged: RequestorRecord['flagged'];
  flaggedCount: number;
  refused: RequestorRecord['report']['refused'];
  refusedCount: number;
  counts: RequestorRecord['counts'];
  version: string;
}

interface Status {
  postoffice: string;
  role: 'server' | 'requestor';
  own: OwnRecord;
  directories: DirectoryState[];
  server: { incarnation: string; seq: number; lives: number; requestors: RequestorStatus[] } | null;
  corrupt: number;
}

export async function status(call: Invocation): Promise<ExitCode> {
  return withAgent(call, { readOnly: true, quiet: true }, async ({ postoffice }) => {
    const gathered = await gather(postoffice);
    call.screen.data(gathered);
    showOwn(call.screen, postoffice, gathered);
    showDirectories(call.screen, gathered.directories);
    if (gathered.server !== null) showServer(call.screen, gathered.server);
    showRefused(call.screen, gathered);
    return EXIT.done;
  });
}

async function gather(postoffice: Postoffice): Promise<Status> {
  const corrupt = (await postoffice.spool.list('corrupt')).length;
  return postoffice.store.read(async (tx) => {
    const names = [...postoffice.publishing, ...postoffice.subscribing].map(({ directory }) => directory.name);
    const directories: DirectoryState[] = [];
    for (const name of names) directories.push(await loadDirectoryState(tx, name));
    return {
      postoffice: postoffice.name,
      role: postoffice.server === null ? 'requestor' : 'server',
      own: await loadOwn(tx),
      directories,
      server: postoffice.server === null ? null : await gatherServer(tx, postoffice.server),
      corrupt,
    };
  });
}

async function gatherServer(tx: StoreTx, context: ServerContext): Promise<Status['server']> {
  const server = await loadServer(tx);
  const requestors = (await allRequestors(tx)).map((record): RequestorStatus => {
    const { name, incarnation, lastHeardMs, lastVerifiedMs, accepted, live, verified, report, flagged, flaggedCount } =
      record;
    return {
      name,
      list: listFor(context.lists, name)?.definition.name ?? null,
      incarnation,
      lastHeardMs,
      lastVerifiedMs,
      acceptedSeq: accepted.seq,
      ownerDigest: accepted.digest,
      published: live,
      verifiedSeq: verified?.seq ?? null,
      behind: server.seq - (verified?.seq ?? 0),
      writtenUpTo: report.writtenUpTo,
      flagged,
      flaggedCount,
      refused: report.refused,
      refusedCount: report.refusedCount,
      counts: record.counts,
      version: record.version,
    };
  });
  return { incarnation: server.incarnation, seq: server.seq, lives: server.lives, requestors };
}

function showOwn(screen: Screen, postoffice: Postoffice, { own, role, corrupt }: Status): void {
  screen.line(
    `${postoffice.name}: ${role === 'server' ? 'directory server' : `requestor of ${postoffice.requestor.server}`}`,
  );
  const answered = own.answeredMs === null ? 'never' : time(own.answeredMs);
  screen.facts([
    ['published', `${own.live} entries, seq ${own.seq}, digest ${own.digest}`],
    ['accepted by server', `up to seq ${own.accepted}${own.sendFull ? '; it wants everything again' : ''}`],
    ['replica', `${own.replica.live} entries, seq ${own.cursor?.seq ?? 0}, digest ${own.replica.digest}`],
    ['last exchange', `${own.number}, ${time(own.exchangeMs)}; answered ${answered}`],
    ['last verification', time(own.verifiedMs)],
    ['incarnation', own.incarnation],
  ]);
  if (own.unanswered > 0) screen.line(`  Without an answer so far: ${counted(own.unanswered, 'exchange')}.`);
  if (own.request !== 'changes') screen.line('  The replica differs from the server; the next sync repairs it.');
  if (own.stopped !== null) {
    screen.line(`  STOPPED: ${own.stopped}. If no other copy of this postoffice runs: dirpost recover --only-copy`);
  }
  if (corrupt > 0) screen.line(`  ${counted(corrupt, 'message file')} could not be taken; see: dirpost queue`);
}

function showDirectories(screen: Screen, directories: DirectoryState[]): void {
  if (directories.length === 0) return;
  screen.line();
  screen.table(directories, [
    { title: 'directory', value: (state) => state.name },
    { title: 'last read', value: (state) => time(state.lastReadMs) },
    { title: 'entries', value: (state) => state.write?.entries ?? state.read?.published, align: 'right' },
    { title: 'last written', value: (state) => time(state.write?.writtenMs) },
    { title: 'refused', value: (state) => state.write?.refusedCount ?? state.read?.refusedCount ?? 0, align: 'right' },
    { title: 'problem', value: (state) => (problemOf(state) === null ? 'none' : 'see below') },
  ]);
  for (const state of directories) {
    const problem = problemOf(state);
    if (problem !== null) screen.line(`  ${state.name}: ${problem}`);
  }
}

function problemOf({ readProblem, write }: DirectoryState): string | null {
  return readProblem ?? write?.problem ?? null;
}

function showServer(screen: Screen, server: NonNullable<Status['server']>): void {
  screen.line();
  const restored = server.lives === 0 ? '' : `, restored ${counted(server.lives, 'time')}`;
  screen.line(`Requestors (server seq ${server.seq}, incarnation ${server.incarnation}${restored})`);
  screen.table(server.requestors, [
    { title: 'name', value: (one) => one.name },
    { title: 'list', value: (one) => one.list },
    { title: 'published', value: (one) => one.published, align: 'right' },
    { title: 'accepted', value: (one) => one.acceptedSeq, align: 'right' },
    { title: 'verified', value: (one) => one.verifiedSeq, align: 'right' },
    { title: 'behind', value: (one) => one.behind, align: 'right' },
    { title: 'refused', value: (one) => one.flaggedCount + one.refusedCount, align: 'right' },
    { title: 'last heard', value: (one) => time(one.lastHeardMs) },
    { title: 'last verification', value: (one) => time(one.lastVerifiedMs) },
  ]);
  if (server.requestors.length === 0) screen.line('  none was heard of yet');
  else
    screen.table(server.requestors, [
      { title: 'name', value: (one) => one.name },
      { title: 'owner digest', value: (one) => one.ownerDigest },
      { title: 'deltas', value: (one) => one.counts.deltas, align: 'right' },
      { title: 'repairs', value: (one) => one.counts.repairs, align: 'right' },
      { title: 'full', value: (one) => one.counts.fulls, align: 'right' },
      { title: 'rolled back', value: (one) => one.counts.rollbacks, align: 'right' },
      { title: 'superseded', value: (one) => one.counts.superseded, align: 'right' },
    ]);
}

interface RefusedLine {
  where: string;
  entry: string;
  code: string;
  reason: string;
}

/** One list of everything that somebody refused, and who. */
function showRefused(screen: Screen, { own, directories, server }: Status): void {
  const lines: RefusedLine[] = [];
  for (const { name, read, write } of directories) {
    for (const { dn, code, reason } of read?.refused ?? [])
      lines.push({ where: `read of ${name}`, entry: dn, code, reason });
    for (const { id, code, reason } of write?.refused ?? [])
      lines.push({ where: `write of ${name}`, entry: id, code, reason });
  }
  for (const { id, code, reason } of own.refused.entries) lines.push({ where: 'server', entry: id, code, reason });
  for (const one of server?.requestors ?? []) {
    for (const { id, code, reason } of one.flagged)
      lines.push({ where: `server, of ${one.name}`, entry: id, code, reason });
    for (const { id, code, reason } of one.refused)
      lines.push({ where: `directory of ${one.name}`, entry: id, code, reason });
  }
  if (lines.length === 0) return;
  screen.line();
  screen.line('Refused entries');
  screen.table(lines, [
    { title: 'by', value: (line) => line.where },
    { title: 'entry', value: (line) => line.entry },
    { title: 'code', value: (line) => line.code },
    { title: 'because', value: (line) => line.reason },
  ]);
}
