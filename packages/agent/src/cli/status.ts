/** `dirpost status`: where this postoffice stands, and on the server where every requestor stands. Gathered in status.ts. */
import { conflictWords } from '../both/conflicts.ts';
import { heldEditsWords } from '../both/held-edits.ts';
import { said } from '../bounce-words.ts';
import { clashWords, duplicateWords } from '../duplicates.ts';
import { counted } from '../events.ts';
import { askedAgainMs, type DirectoryState } from '../directory-state.ts';
import { firstWriteWords } from '../held.ts';
import { waitingWords } from '../waiting-matches.ts';
import { hasMovedAway } from '../moved-away.ts';
import type { Postoffice } from '../postoffice.ts';
import { keptLine, removedLines } from '../removed-directories.ts';
import type { AttentionCode, RequestorStatus, ServerStatus } from '../requestor-status.ts';
import { directoryProblem, gatherStatus, type Status } from '../status.ts';
import { tellAlert } from './alert.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { ago, elapsed } from './elapsed.ts';
import { type Column, type Screen, time } from './screen.ts';

/** Requestors named in a line that sums up. */
const MOST_NAMED = 8;

const MOVED_AWAY =
  'MOVED AWAY to another machine: what follows is as it was then. If it lives here after all: dirpost move --back';

export async function status(call: Invocation, { alert = false }: { alert?: boolean }): Promise<ExitCode> {
  return withAgent(call, { readOnly: true, quiet: true }, async ({ postoffice }, configuration) => {
    const gathered = await gatherStatus(postoffice, configuration);
    const { screen } = call;
    screen.data(gathered);
    if (alert) return tellAlert(screen, gathered);
    if (hasMovedAway(configuration.dataFolder)) screen.line(MOVED_AWAY);
    showOwn(screen, postoffice, gathered);
    showDirectories(screen, gathered.directories);
    showRemoved(screen, gathered);
    if (gathered.server !== null) showServer(screen, gathered.server, gathered.nowMs);
    showRefused(screen, gathered);
    const { here, atServer, atRequestors } = gathered.held;
    const waiting = gathered.firstWrites.length + gathered.matches.length + gathered.heldEdits.length;
    return here + atServer + atRequestors + waiting > 0 ? EXIT.held : EXIT.done;
  });
}

function entriesAndEdits(all: number, edits: number): string {
  return edits === 0 ? counted(all, 'entry') : `${counted(all - edits, 'entry')}, ${counted(edits, 'edit')}`;
}

function showOwn(screen: Screen, postoffice: Postoffice, status: Status): void {
  const { own, joining, edits, role, corrupt, held, firstWrites, unsent, bounced, uncollected } = status;
  screen.line(
    `${postoffice.name}: ${role === 'server' ? 'directory server' : `requestor of ${postoffice.requestor.server}`}`,
  );
  const answered = own.answeredMs === null ? 'never' : time(own.answeredMs);
  screen.facts([
    ['published', `${entriesAndEdits(own.live, edits.published)}, seq ${own.seq}, digest ${own.digest}`],
    ['accepted by server', `up to seq ${own.accepted}${own.sendFull ? '; it wants everything again' : ''}`],
    [
      'replica',
      `${entriesAndEdits(own.replica.live, edits.replica)}, seq ${own.cursor?.seq ?? 0}, digest ${own.replica.digest}`,
    ],
    ['last exchange', `${own.number}, ${time(own.exchangeMs)}; answered ${answered}`],
    ['last verification', time(own.verifiedMs)],
    ['incarnation', own.incarnation],
  ]);
  if (joining !== null) screen.line(`  ${joining}`);
  if (own.unanswered > 0) screen.line(`  Without an answer so far: ${counted(own.unanswered, 'exchange')}.`);
  if (own.request !== 'changes') screen.line('  The replica differs from the server; the next sync repairs it.');
  if (own.stopped !== null) {
    screen.line(`  STOPPED: ${own.stopped}. If no other copy of this postoffice runs: dirpost recover --only-copy`);
  }
  if (unsent.lastError !== null) {
    const next = `${unsent.attempts} failed, the next try is due ${time(unsent.nextAttemptMs)}`;
    screen.line(`  ${counted(unsent.messages, 'message file')} could not be sent (${next}): ${unsent.lastError}`);
  }
  for (const { transport, sinceMs, problem, hint } of uncollected) {
    const what = `nothing could be collected since ${time(sinceMs)}: ${problem}`;
    screen.line(`  ${transport}: ${what} ${hint ?? 'Look closer: dirpost check'}`);
  }
  if (bounced !== null) {
    const happened = bounced.isRefused === true ? 'refused by the own mail server' : 'came back';
    const what = `${counted(bounced.messages, 'mail')} to ${postoffice.requestor.server} ${happened}, the last one ${time(bounced.lastMs)}`;
    screen.line(`  ${what}: ${said(bounced)} What to do: dirpost queue`);
  }
  if (held.here > 0) screen.line(`  HELD: ${counted(held.here, 'entry')}. Look, and approve or not: dirpost held`);
  for (const one of firstWrites) screen.line(`  HELD: ${firstWriteWords(one)}`);
  for (const line of status.matches.flatMap(waitingWords)) screen.line(`  HELD: ${line}`);
  for (const one of status.heldEdits) screen.line(`  HELD: ${heldEditsWords(one)}`);
  if (held.atServer > 0) {
    const { server } = postoffice.requestor;
    screen.line(`  HELD at the server: ${counted(held.atServer, 'entry')}. Look there, at ${server}: dirpost held`);
  }
  if (status.conflicts > 0) screen.line(`  ${conflictWords(status.conflicts)}`);
  showDuplicates(screen, status);
  if (corrupt > 0) screen.line(`  ${counted(corrupt, 'message file')} could not be taken; see: dirpost queue`);
}

function showDuplicates(screen: Screen, { own, duplicates }: Status): void {
  const clashes = clashWords(own.clashes);
  if (clashes !== '') screen.line(`  Values that must be unique, on the lists: ${clashes}. Which: dirpost duplicates`);
  const { atMs, counts } = duplicates ?? { atMs: null, counts: [] };
  const here = duplicateWords(counts, 'here');
  const network = duplicateWords(counts, 'network');
  const told = [here === '' ? '' : `here ${here}`, network === '' ? '' : `across the network ${network}`];
  const both = told.filter((one) => one !== '').join('; ');
  if (both !== '') screen.line(`  Duplicates, as of ${time(atMs)}: ${both}. Which: dirpost duplicates`);
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
    { title: 'problem', value: (state) => (directoryProblem(state) === null ? 'none' : 'see below') },
  ]);
  for (const state of directories) {
    const problem = directoryProblem(state);
    if (problem !== null) screen.line(`  ${state.name}: ${problem}${sinceWhen(state)}`);
  }
}

function showRemoved(screen: Screen, { removedDirectories, keptDirectories }: Status): void {
  for (const one of removedDirectories) for (const line of removedLines(one)) screen.line(`  ${line}`);
  for (const one of keptDirectories) screen.line(`  ${keptLine(one)}`);
}

function sinceWhen({ readProblem, readProblemSinceMs, write }: DirectoryState): string {
  if (readProblem !== null) {
    return readProblemSinceMs == null ? '' : ` (since ${time(readProblemSinceMs)}; what was read before stays in use)`;
  }
  return write?.problemSinceMs == null ? '' : ` (since ${time(write.problemSinceMs)})`;
}

function showServer(screen: Screen, server: ServerStatus, nowMs: number): void {
  const { requestors } = server;
  screen.line();
  const restored = server.lives === 0 ? '' : `, restored ${counted(server.lives, 'time')}`;
  screen.line(`Requestors (server seq ${server.seq}, incarnation ${server.incarnation}${restored})`);
  if (requestors.length === 0) return screen.line('  none is known yet: add their keys with `dirpost peer add`');
  screen.table(requestors, [
    { title: 'name', value: (one) => one.name },
    { title: 'list', value: (one) => (one.removed ? 'removed' : one.list) },
    { title: 'published', value: (one) => one.published, align: 'right' },
    { title: 'accepted', value: (one) => one.acceptedSeq, align: 'right' },
    { title: 'verified', value: (one) => one.verifiedSeq, align: 'right' },
    { title: 'lacks', value: lacks, align: 'right' },
    { title: 'refused', value: (one) => one.flaggedCount + one.refusedCount, align: 'right' },
    { title: 'last heard', value: (one) => ago(one.lastHeardMs, nowMs) },
    { title: 'last applied', value: (one) => ago(one.lastVerifiedMs, nowMs) },
  ]);
  screen.line();
  screen.table(requestors, [
    { title: 'name', value: (one) => one.name },
    {
      title: 'behind for',
      value: (one) => (one.lackingSinceMs === null ? null : elapsed(nowMs - one.lackingSinceMs)),
    },
    { title: 'written', value: written },
    { title: 'next contact', value: (one) => nextContact(one, nowMs) },
    { title: 'version', value: (one) => (one.olderVersion ? `${one.version} (old)` : one.version) },
    { title: 'held here', value: (one) => one.heldHere, align: 'right' },
    { title: 'there', value: (one) => one.heldThere, align: 'right' },
    { title: 'refused here', value: (one) => one.flaggedCount, align: 'right' },
    { title: 'there', value: (one) => one.refusedCount, align: 'right' },
  ]);
  showAttention(screen, requestors, nowMs);
  screen.line();
  screen.table(
    requestors.filter(({ counts }) => counts !== null),
    [
      { title: 'name', value: (one) => one.name },
      { title: 'owner digest', value: (one) => one.ownerDigest },
      { title: 'deltas', value: (one) => one.counts?.deltas, align: 'right' },
      { title: 'repairs', value: (one) => one.counts?.repairs, align: 'right' },
      { title: 'full', value: (one) => one.counts?.fulls, align: 'right' },
      { title: 'rolled back', value: (one) => one.counts?.rollbacks, align: 'right' },
      { title: 'superseded', value: (one) => one.counts?.superseded, align: 'right' },
    ],
  );
}

function lacks({ heard, lacking, lackingMore }: RequestorStatus): string | number | null {
  if (!heard) return null;
  return lackingMore ? `> ${new Intl.NumberFormat('en').format(lacking)}` : lacking;
}

function written({ heard, written: all, writtenUpTo }: RequestorStatus): string | null {
  if (!heard) return null;
  if (all) return 'all';
  return writtenUpTo === 0 ? 'not yet' : `to seq ${writtenUpTo}`;
}

function nextContact({ nextContactMs, lastHeardMs, overdueMs }: RequestorStatus, nowMs: number): string | null {
  if (overdueMs !== null) return `overdue ${elapsed(overdueMs)}`;
  if (nextContactMs === null || nextContactMs <= (lastHeardMs ?? 0)) return null;
  return nextContactMs > nowMs ? `in ${elapsed(nextContactMs - nowMs)}` : 'due now';
}

/** What helps, in the order of what is worst. */
const ADVICE: [AttentionCode, words: string, advice: string][] = [
  ['held', 'held', 'look here or there, as the table says: dirpost held'],
  ['suspended', 'suspended', 'nothing of it is taken until: dirpost requestor resume NAME'],
  ['overdue', 'overdue', 'look there: dirpost status; is anything of it here? dirpost queue'],
  ['stale', 'silent beyond the retention', 'gets everything anew when it is back: dirpost sync, there'],
  ['never-heard', 'never heard of', 'there: dirpost check, dirpost sync; then here: dirpost dispatch'],
  ['no-keys', 'no keys of it here', 'let it join: dirpost invite NAME; or take its public file: dirpost peer add FILE'],
  [
    'older-keys',
    'uses keys that it has replaced',
    'they end when the overlap is over; let it join anew: dirpost requestor remove NAME --keep-entries, dirpost invite NAME',
  ],
  [
    'older-copy',
    'an older copy of it still sends',
    'find it and switch it off; where it is the one to keep, there: dirpost recover --only-copy',
  ],
  ['no-list', 'follows no list', 'name it under receivers of a list in the configuration'],
  ['unsent', 'cannot be sent to', 'the transport says why: dirpost queue'],
  ['bounced', 'mails to it came back', 'what the other side said, and what to do: dirpost queue'],
  ['refused', 'entries refused', 'listed below; the whole story of one: dirpost explain ID'],
  ['duplicates', 'values that others have, too', 'who has them, and who keeps them on the lists: dirpost duplicates'],
];

function showAttention(screen: Screen, requestors: RequestorStatus[], nowMs: number): void {
  const found = ADVICE.map(([code, words, advice]) => ({
    words,
    advice,
    who: requestors.filter(({ attention }) => attention.includes(code)).map((one) => named(one, code, nowMs)),
  })).filter(({ who }) => who.length > 0);
  screen.line();
  if (found.length === 0) return screen.line('No requestor needs an administrator.');
  screen.line('Needs an administrator:');
  for (const { words, advice, who } of found) {
    const more = who.length > MOST_NAMED ? ` and ${who.length - MOST_NAMED} more` : '';
    screen.line(`  ${words}: ${who.slice(0, MOST_NAMED).join(', ')}${more} – ${advice}`);
  }
}

function named(one: RequestorStatus, code: AttentionCode, nowMs: number): string {
  if (code === 'overdue') return `${one.name} (${elapsed(one.overdueMs!)})`;
  if (code === 'stale') return `${one.name} (${elapsed(nowMs - one.lastHeardMs!)})`;
  if (code === 'older-copy') return `${one.name} (last ${elapsed(nowMs - one.olderCopyMs!)} ago)`;
  if (code === 'held') return `${one.name} (${one.heldHere + one.heldThere})`;
  if (code === 'duplicates') return `${one.name} (${one.clashes.left + one.clashes.kept})`;
  if (code === 'refused') return `${one.name} (${one.flaggedCount + one.refusedCount})`;
  return one.name;
}

interface RefusedLine {
  where: string;
  entry: string;
  code: string;
  reason: string;
  /** Of a directory here that is written entry by entry. */
  againMs?: number | null;
}

const nextTry: Column<RefusedLine> = {
  title: 'next try',
  value: ({ againMs = null }) => (againMs === null ? '' : time(againMs)),
};

/** One list of everything that somebody refused, and who. */
function showRefused(screen: Screen, { own, directories, server }: Status): void {
  const lines: RefusedLine[] = [];
  for (const { name, read, write } of directories) {
    for (const { dn, code, reason } of read?.refused ?? [])
      lines.push({ where: `read of ${name}`, entry: dn, code, reason });
    for (const one of write?.refused ?? []) {
      const { id, code, reason } = one;
      lines.push({ where: `write of ${name}`, entry: id, code, reason, againMs: askedAgainMs(one, write) });
    }
  }
  for (const { id, code, reason } of own.refused.entries) lines.push({ where: 'server', entry: id, code, reason });
  for (const { id, code, reason } of own.clashes.entries) lines.push({ where: 'server', entry: id, code, reason });
  for (const { id, code, reason } of own.refusedElsewhere) lines.push({ where: 'others', entry: id, code, reason });
  for (const one of server?.requestors ?? []) {
    for (const { id, code, reason } of one.flagged)
      lines.push({ where: `server, of ${one.name}`, entry: id, code, reason });
    for (const { id, code, reason } of one.refused)
      lines.push({ where: `directory of ${one.name}`, entry: id, code, reason });
  }
  if (lines.length === 0) return;
  screen.line();
  screen.line('Refused entries, and values that others have, too');
  screen.table(lines, [
    { title: 'by', value: (line) => line.where },
    { title: 'entry', value: (line) => line.entry },
    { title: 'code', value: (line) => line.code },
    { title: 'because', value: (line) => line.reason, wraps: true },
    ...(lines.some(({ againMs = null }) => againMs !== null) ? [nextTry] : []),
  ]);
  if (!lines.some(({ where }) => where.startsWith('write of '))) return;
  screen.line(
    'Who one is, and where it stands: dirpost explain ID. It is tried again later and later, up to once a day; what may pass',
  );
  screen.line('by itself also with each write. At once, when it is mended: dirpost dispatch --again');
}
