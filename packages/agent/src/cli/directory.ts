/**
 * `dirpost directory remove`: what becomes of what a directory published, or of what was written into it, once it leaves the
 * configuration. Nothing happens by itself; without an option it asks, where somebody is there to answer.
 */
import { DirpostError, keptDirectories, type StoreTx } from '@dirpost/core';
import { counted } from '../events.ts';
import type { Postoffice, SubscribingDirectory } from '../postoffice.ts';
import {
  type RemovedDirectory,
  removedDirectories,
  removedDirectory,
  removedLines,
  settleRemoved,
  type Settled,
  withdrawWritten,
} from '../removed-directories.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { answerTo } from './prompt.ts';

interface RemoveOptions {
  keep?: boolean;
  withdraw?: boolean;
}

type How = 'keep' | 'withdraw';

const CHOICES =
  '--keep leaves what it published as it is (and what was written into it); --withdraw takes it from the network.';

export async function directoryRemove(call: Invocation, name: string, options: RemoveOptions): Promise<ExitCode> {
  const { keep = false, withdraw = false } = options;
  if (keep && withdraw) throw new DirpostError('wrong-use', 'Only one of the two.', { hint: CHOICES });
  if (keep || withdraw) return remove(call, name, keep ? 'keep' : 'withdraw');
  const how = await ask(call, name);
  // As if it had been typed: where an agent runs it is told what was typed.
  const at = call.argv.indexOf('--');
  const argv = at < 0 ? [...call.argv, `--${how}`] : call.argv.toSpliced(at, 0, `--${how}`);
  return remove({ ...call, argv }, name, how);
}

/** Throws DirpostError `wrong-use` where nobody can answer. */
async function ask(call: Invocation, name: string): Promise<How> {
  const removed = await withAgent(call, { readOnly: true, quiet: true }, async ({ postoffice }) =>
    postoffice.store.read((tx) => removedDirectory(tx, postoffice, name)),
  );
  for (const line of removed === null ? [] : removedLines(removed)) call.screen.line(line);
  if (process.stdin.isTTY !== true || call.running !== null || call.screen.json) {
    const what = `What shall happen to what ${name} published, or to what was written into it? Say one of the two.`;
    throw new DirpostError('wrong-use', what, { hint: CHOICES });
  }
  const answer = await answerTo(call, 'Type keep or withdraw; anything else leaves it undecided: ');
  const word = answer.toLowerCase();
  if (word === 'keep' || word === 'withdraw') return word;
  throw new DirpostError('wrong-use', `Nothing was done about ${name}.`);
}

async function remove(call: Invocation, name: string, how: How): Promise<ExitCode> {
  return withAgent(call, {}, async ({ postoffice }) => {
    const removed = await postoffice.store.read((tx) => findRemoved(tx, postoffice, name));
    if (removed === null) return removeConfigured(call, postoffice, name, how);
    if (how === 'withdraw' && removed.published === null && removed.kept === 0) throw needsConnection(name);
    const settled = await settleRemoved(postoffice, removed, how);
    call.screen.data({ directory: name, ...settled });
    tell(call, name, removed, settled);
    return EXIT.done;
  });
}

/** What was kept of one may still be withdrawn, also when it is back in the configuration. */
async function findRemoved(tx: StoreTx, postoffice: Postoffice, name: string): Promise<RemovedDirectory | null> {
  const removed = await removedDirectory(tx, postoffice, name);
  if (removed !== null) return removed;
  const kept = (await keptDirectories(tx)).find((one) => one.name === name);
  return kept === undefined ? null : { name, published: null, written: null, kept: kept.entries };
}

function tell({ screen }: Invocation, name: string, { written }: RemovedDirectory, settled: Settled): void {
  const { kept, withdrawn, left } = settled;
  if (withdrawn > 0) {
    screen.line(`${counted(withdrawn, 'entry')} of ${name} ${withdrawn === 1 ? 'is' : 'are'} published no more.`);
    screen.line(
      '  The others hear of it with the next exchange: dirpost sync. The server and each of them have limits of',
    );
    screen.line('  their own: where that is more than may vanish at once, it waits there for an administrator.');
  } else if (kept > 0) {
    const stays = `${kept === 1 ? 'stays' : 'stay'} published as ${kept === 1 ? 'it is' : 'they are'}`;
    screen.line(`${counted(kept, 'entry')} of ${name} ${stays}.`);
    screen.line(`  To take them out later: dirpost directory remove ${name} --withdraw`);
  }
  if (written !== null) {
    screen.line(`${counted(left, 'entry')} of the network ${left === 1 ? 'stays' : 'stay'} where ${name} wrote them.`);
  }
  screen.line(`What was remembered of the directory ${name} is gone.`);
}

/** Only what was written into it can be removed while it is configured; what it publishes the next read would publish again. */
async function removeConfigured(call: Invocation, postoffice: Postoffice, name: string, how: How): Promise<ExitCode> {
  const target = postoffice.subscribing.find(({ directory }) => directory.name === name);
  const isRead = postoffice.publishing.some(({ directory }) => directory.name === name);
  if (target === undefined && !isRead) throw await unknown(postoffice, name);
  if (target === undefined || how === 'keep') {
    throw new DirpostError('wrong-use', `${name} is still in the configuration; nothing was done.`, {
      hint: 'Take it out first, and restart the agent if one runs. Until then nothing changes for anybody.',
    });
  }
  return withdraw(call, postoffice, target);
}

async function withdraw(call: Invocation, postoffice: Postoffice, target: SubscribingDirectory): Promise<ExitCode> {
  const { screen, signal } = call;
  const { name } = target.directory;
  const progress = screen.progress.bind(screen);
  const { removed, refusedCount, refused } = await withdrawWritten(postoffice, target, { signal, progress });
  screen.data({ directory: name, removed, refusedCount, refused });
  screen.line(`${counted(removed, 'entry')} of the network ${removed === 1 ? 'was' : 'were'} removed from ${name}.`);
  if (refusedCount > 0) {
    screen.line(`${counted(refusedCount, 'entry')} could not be removed. When the reason is mended, run this again:`);
    screen.table(refused, [
      { title: 'entry', value: ({ id }) => id },
      { title: 'code', value: ({ code }) => code },
      { title: 'because', value: ({ reason }) => reason, wraps: true },
    ]);
  }
  screen.line(
    'Nothing more is written there. Now take it out of the configuration, and restart the agent if one runs.',
  );
  screen.line(`  If it shall be written again after all: dirpost approve ${name}`);
  return refusedCount > 0 ? EXIT.failed : EXIT.done;
}

function needsConnection(name: string): DirpostError {
  return new DirpostError(
    'wrong-use',
    `${name} is not in the configuration any more, so what was written into it cannot be removed from here.`,
    {
      hint: `Put it back, run this again, and take it out then; or leave it there: dirpost directory remove ${name} --keep`,
    },
  );
}

async function unknown(postoffice: Postoffice, name: string): Promise<DirpostError> {
  const waiting = await postoffice.store.read(async (tx) => [
    ...(await removedDirectories(tx, postoffice)),
    ...(await keptDirectories(tx)),
  ]);
  const names = [...new Set(waiting.map((one) => one.name))];
  const hint = names.length === 0 ? 'None waits for it.' : `There are: ${names.join(', ')}`;
  const asked = JSON.stringify(name.slice(0, 80));
  return new DirpostError('wrong-use', `There is no directory ${asked} that was taken out of the configuration.`, {
    hint,
  });
}
