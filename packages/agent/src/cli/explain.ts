/** `dirpost explain PERSON`: where is my change? What this postoffice knows of one entry, from its directory to theirs. */
import type { Match } from '../explain/find.ts';
import type { HeldStory, OwnerStory } from '../explain/at-owner.ts';
import type { ReceiverStory, WrittenStory } from '../explain/at-receiver.ts';
import type { ListStory, ReceiverStanding, ServerStory } from '../explain/at-server.ts';
import type { SourceEntry, Sources } from '../explain/sources.ts';
import { type Explanation, explainPerson } from '../explain.ts';
import { counted } from '../events.ts';
import type { ByHandStory } from '../explain/changed-by-hand.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { decidedWords } from './conflicts.ts';
import { type Screen, time } from './screen.ts';

export async function explain(call: Invocation, person: string, options: { read?: boolean }): Promise<ExitCode> {
  return withAgent(call, { readOnly: true, quiet: true }, async ({ postoffice }, configuration) => {
    const { screen, signal } = call;
    const told = await explainPerson(postoffice, configuration, person, { read: options.read === true, signal });
    screen.data(told);
    const { matches, sources } = told;
    if (matches.length > 1) return showAmbiguous(screen, matches, told.more);
    const [match] = matches;
    if (match === undefined && (sources?.found.length ?? 0) === 0) return showNobody(screen, told);
    if (match === undefined && sources!.found.length > 1) return showSeveralSources(screen, sources!.found);
    if (match !== undefined) showMatch(screen, match);
    if (told.owner !== null) showOwner(screen, told.owner, configuration.server);
    if (sources !== null) showSources(screen, sources, match?.id ?? null);
    if (told.server !== null) showServer(screen, told.server);
    if (told.receiver !== null) showReceiver(screen, told.receiver);
    if (told.byHand !== null) showByHand(screen, told.byHand, match?.owner ?? '');
    return EXIT.done;
  });
}

function showAmbiguous(screen: Screen, matches: Match[], more: boolean): ExitCode {
  screen.line(`${more ? `More than ${matches.length}` : matches.length} entries are meant. Ask for one by its id:`);
  screen.table(matches, [
    { title: 'entry id', value: (one) => one.id },
    { title: 'owner', value: (one) => one.owner },
    { title: 'kind', value: (one) => one.kind ?? 'removed' },
    { title: 'name', value: (one) => one.name },
    { title: 'mail', value: (one) => one.mail },
  ]);
  return EXIT.failed;
}

function showSeveralSources(screen: Screen, found: SourceEntry[]): ExitCode {
  screen.line('Nobody is published under that name, and the directories have several. Ask for one by its DN:');
  screen.table(found, [
    { title: 'directory', value: (one) => one.directory },
    { title: 'dn', value: (one) => one.dn },
    { title: 'would be', value: outcomeWords },
  ]);
  return EXIT.failed;
}

const TABLES: Record<string, string> = {
  published: 'what this postoffice publishes',
  collected: 'what all owners submitted to this server',
  replica: 'the replica of the others',
};

function showNobody(screen: Screen, { asked, understood, lookedIn, sources }: Explanation): ExitCode {
  screen.line(`Nobody is known here as ${asked} (understood as ${understood}).`);
  screen.line(`  Looked in ${lookedIn.map((table) => TABLES[table]).join(', ')}.`);
  for (const { directory, entries, problem } of sources?.read ?? []) {
    const how = problem === null ? `${entries} entries, completely` : `not completely: ${problem}`;
    screen.line(`  Read the directory ${directory}: ${how}.`);
  }
  screen.line('  Try the DN, the key (such as entryUUID), the entry id, or a filter such as "(sn=Berg*)".');
  screen.line(
    '  Who was removed is known by key or entry id only; others know more: ask at the owner or at the server.',
  );
  return EXIT.failed;
}

function showMatch(screen: Screen, { id, owner, kind, name, mail, dn }: Match): void {
  const who = kind === null ? 'A removed entry' : `${name ?? '(no name)'}${mail === null ? '' : ` <${mail}>`}`;
  screen.line(who);
  screen.facts([
    ['entry id', id],
    ['owner', owner],
    ['kind', kind],
    ['dn at owner', dn],
  ]);
}

function showOwner(screen: Screen, owner: OwnerStory, server: string): void {
  screen.line();
  screen.line('At its owner, here');
  screen.facts([
    ['directory', owner.kept ? `${owner.directory}, not configured any more; its entries are kept` : owner.directory],
    ['dn', owner.dn],
    ['kind', owner.kindFilter === null ? owner.kind : `${owner.kind}, by ${owner.kindFilter}`],
    ['last read', time(owner.lastReadMs)],
    [owner.removed ? 'removed' : 'published', `with seq ${owner.seq}, first with ${owner.introducedSeq}`],
    ['submitted', submissionWords(owner, server)],
  ]);
  showHeld(screen, owner.held, 'what is published stays as it was');
  if (owner.refusedAtRead !== null) {
    screen.line(`  REFUSED because ${owner.refusedAtRead.reason}; what is published stays as it was.`);
  }
  if (owner.refused !== null) {
    screen.line(`  REFUSED by the server (${owner.refused.code}): ${owner.refused.reason}. It is on no list.`);
  }
  for (const { code, reason } of owner.refusedElsewhere) screen.line(`  REFUSED (${code}): ${reason}.`);
  if (owner.maybeRefused) screen.line('  The server refuses more entries than it names: this may be one. Ask there.');
  if (owner.heldAtServer > 0) {
    screen.line(
      `  The server holds ${counted(owner.heldAtServer, 'entry')} of this postoffice; this may be one: dirpost held, there`,
    );
  }
}

const EFFECT_WORDS: Record<HeldStory['effects'][number], string> = {
  removals: 'its removal',
  clearedValues: 'values that were cleared',
  lostMembers: 'members that were lost',
  renames: 'its new DN',
};

function showHeld(screen: Screen, held: HeldStory | null, meanwhile: string): void {
  if (held === null) return;
  const what = held.effects.map((effect) => EFFECT_WORDS[effect]).join(', ');
  const next = held.approved
    ? 'approved, and takes effect with the next complete read'
    : 'dirpost held, dirpost approve';
  screen.line(`  HELD here since ${time(held.sinceMs)}: ${what}; ${meanwhile}. (${next})`);
}

function submissionWords(owner: OwnerStory, server: string): string {
  switch (owner.state) {
    case 'accepted':
      return `accepted by ${server} up to seq ${owner.acceptedSeq}; last receipt ${time(owner.answeredMs)}`;
    case 'waiting': {
      const failed = owner.lastError === null ? '' : `; ${owner.attempts} tries failed: ${owner.lastError}`;
      return `waits here in ${owner.file}, exchange ${owner.exchange!.number}, not yet taken by a transport${failed}`;
    }
    case 'sent':
      return `sent in exchange ${owner.exchange!.number}, ${time(owner.exchange!.composedMs)}; no receipt yet`;
    case 'next-exchange':
      return 'not yet: it goes with the next exchange (dirpost sync)';
  }
}

function outcomeWords({ outcome }: SourceEntry): string {
  return outcome === 'publish' ? 'published' : outcome === 'refuse' ? 'refused' : 'left out';
}

function showSources(screen: Screen, { read, found }: Sources, id: string | null): void {
  screen.line();
  screen.line('In the directories, as they are now');
  for (const one of found) {
    screen.facts([
      ['directory', one.directory],
      ['dn', one.dn],
      ['kind', one.kind === null ? 'none' : `${one.kind}, by ${one.kindFilter}`],
    ]);
    if (one.outcome === 'publish') screen.line('  Would be published by the next sync as it is.');
    else screen.line(`  ${one.outcome === 'refuse' ? 'REFUSED' : 'Left out'} because ${one.reasons[0]}`);
    for (const reason of one.reasons.slice(1)) screen.line(`    ${reason}`);
  }
  for (const { directory, problem } of read) {
    if (problem !== null) screen.line(`  ${directory} could not be read completely: ${problem}`);
    else if (id !== null && !found.some((one) => one.directory === directory)) screen.line(`  Not in ${directory}.`);
  }
}

function showServer(screen: Screen, story: ServerStory): void {
  screen.line();
  screen.line('At the server, here');
  const heard = story.ownerExchange;
  screen.facts([
    [story.removed ? 'removed' : 'collected', `with seq ${story.seq}, as number ${story.number}`],
    ['processed', story.processedMs === null ? 'not recorded' : `by about ${time(story.processedMs)}`],
    ['owner', heard === null ? story.owner : `${story.owner}, exchange ${heard.number}, heard ${time(heard.heardMs)}`],
    ['rules', story.refused === null ? 'may be published' : `REFUSED (${story.refused.code}): ${story.refused.reason}`],
  ]);
  showHeld(screen, story.held, 'the lists stay as they were');
  for (const { reason } of story.clashes) screen.line(`  ${reason}. Which: dirpost duplicates`);
  for (const list of story.lists) showList(screen, list);
  for (const { postoffice, code, reason } of story.refusals) {
    screen.line(`  REFUSED by a directory of ${postoffice} (${code}): ${reason}`);
  }
}

function showList(screen: Screen, list: ListStory): void {
  const entered = `on it since seq ${list.enteredSeq}, last changed with ${list.seq}`;
  const place = list.on ? entered : list.left ? `left it with seq ${list.seq}` : 'not on it';
  screen.line(`  List ${list.list}: ${place}`);
  for (const reason of list.reasons) screen.line(`    because ${reason}`);
  if (list.on) screen.line(`    released: ${list.released.join(', ')}`);
  if (list.withheld.length > 0) screen.line(`    withheld: ${list.withheld.join(', ')}`);
  screen.table(list.requestors, [
    { title: '    receiver', value: (one) => `    ${one.postoffice}` },
    { title: list.on ? 'has it' : 'is it gone there', value: (one) => deliveryWords(one, list) },
    { title: 'sent to', value: (one) => one.sentSeq, align: 'right' },
    { title: 'verified', value: (one) => one.verifiedSeq, align: 'right' },
    { title: 'in its directory', value: (one) => writtenWords(one) },
  ]);
  for (const { postoffice, file, attempts, lastError } of list.requestors) {
    if (lastError !== null) screen.line(`    ${postoffice}: ${file}, ${attempts} tries failed: ${lastError}`);
  }
}

function deliveryWords({ state, file, lastVerifiedMs }: ReceiverStanding, { on }: ListStory): string {
  switch (state) {
    case 'owner':
      return 'is its owner';
    case 'has-it':
      return `yes${on ? '' : ', or never had it'}; verified ${time(lastVerifiedMs)}`;
    case 'sent':
      return 'sent, not yet verified';
    case 'waiting':
      return `not yet: waits in ${file}`;
    case 'next-update':
      return 'not yet: with the answer to its next exchange';
    case 'never-heard':
      return 'never heard of';
  }
}

function writtenWords({ state, refused, written }: ReceiverStanding): string | null {
  if (refused !== null) return 'refused';
  if (state !== 'has-it') return null;
  return written ? 'written' : 'not as far as it has said';
}

function showReceiver(screen: Screen, story: ReceiverStory): void {
  screen.line();
  screen.line('As a receiver, here');
  screen.facts([
    ['replica', story.inReplica ? `has it, as number ${story.serverNumber ?? '–'} of the server` : 'does not have it'],
    ['list', story.list === null ? 'none was received yet' : `${story.list}, up to seq ${story.cursorSeq}`],
    ['verified', time(story.verifiedMs)],
  ]);
  showHeld(screen, story.held, 'the directories here stay as they were');
  for (const one of story.directories) screen.line(`  ${one.directory}: ${receivedWords(one)}`);
  if (!story.inReplica && story.held === null) {
    screen.line(
      '  Whether it is on the list of this postoffice, and why not, is known at the server: dirpost explain, there',
    );
  }
  if (story.groups.length > 0) {
    screen.line(`  Member of ${story.groups.map(({ name, owner }) => `${name ?? '(no name)'} (${owner})`).join(', ')}`);
  }
}

function showByHand(screen: Screen, { proposed, conflicts }: ByHandStory, owner: string): void {
  if (proposed === null && conflicts.length === 0) return;
  screen.line();
  screen.line('Changed by hand, or by others');
  if (proposed !== null) {
    const where = proposed.submitted
      ? `the server has it, and ${owner} has not answered`
      : 'it goes with the next sync';
    screen.line(`  ${proposed.attributes.join(', ')}: proposed to ${owner}; ${where}`);
  }
  for (const one of conflicts) {
    screen.line(`  ${one.attribute}: ${decidedWords(one)}, ${time(one.atMs)} (dirpost conflicts ${one.number})`);
  }
}

function againWords({ againMs, mayPass, code }: WrittenStory): string {
  if (againMs === null) return '';
  const when = mayPass ? `${time(againMs)} at the latest, with each write before` : time(againMs);
  const right = code === 'insufficientAccessRights' ? ' (which right is lacking: dirpost check)' : '';
  return `. It is asked again ${when}, or at once by: dirpost dispatch --again${right}`;
}

function receivedWords(story: WrittenStory): string {
  const { directory, state, dn, writtenMs, code, reason } = story;
  const because = reason === null ? '' : `: ${reason}`;
  switch (state) {
    case 'written':
      return `written ${time(writtenMs)} as ${dn}${because}`;
    case 'refused':
      return `REFUSED (${code})${because}${againWords(story)}`;
    case 'waiting':
      return 'comes with the next write (dirpost dispatch)';
    case 'waiting-approval':
      return `waits for approval of the first write: dirpost approve ${directory}`;
    case 'failed':
      return `the last write failed, and will be tried again${because}`;
    case 'gone':
      return 'not in it';
    case 'waiting-removal':
      return `still in it as ${dn}; goes with the next write${because}`;
  }
}
