/**
 * `dirpost keys roll`, `dirpost keys replace`: other keys take the place of those that are there, and the others are told.
 * The key file is written here, where somebody may be asked for the recovery key; the rest is done where the agent is.
 */
import { resolve } from 'node:path';
import type { Secret } from '@dirpost/adapters';
import { DirpostError } from '@dirpost/core';
import { fingerprint, MAX_OVERLAP_MS, parseRecoveryKey, publicKeys } from '@dirpost/message';
import { announceWhereDue, OVERLAP_MS, unaware } from '../announcing.ts';
import { parseDuration } from '../config/units.ts';
import { requireJoining } from '../joining/enrol.ts';
import { keyFilePath, loadKeys, protectKeys, replaceKeys, rollKeys, wouldBeLost } from '../keys.ts';
import { checkRestored } from '../older-keys.ts';
import { loadPeers } from '../peers.ts';
import { placeOf } from '../sealed-keys.ts';
import { sendOutgoing } from '../send.ts';
import { configurationOf, EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { RECOVERY_KEY_ENV } from './restore.ts';
import { time } from './screen.ts';
import { secretFor } from './typed-secret.ts';

interface RollOptions {
  overlap?: string;
  postQuantum?: boolean;
  /** Also where branches would be lost. */
  force?: boolean;
}

export async function keysRoll(call: Invocation, { overlap, postQuantum, force }: RollOptions): Promise<ExitCode> {
  if (call.running === null) {
    const { postoffice: name, role, server, dataFolder } = await configurationOf(call);
    const before = await loadKeys(dataFolder);
    const { announced } = before;
    const peers = await loadPeers(dataFolder);
    // By the keys before it is let in: only one roll-over at a time can be under way.
    if (role === 'requestor' && announced !== undefined && peers.get(server)?.heard !== announced.serial) {
      throw new DirpostError('wrong-use', `${server} has not said yet that it knows the present keys of ${name}.`, {
        retry: 'later',
        hint: 'Run dirpost sync, and wait for the answer; then roll over again. Nothing was changed.',
      });
    }
    if (role === 'requestor') {
      await withAgent(call, { readOnly: true, quiet: true }, async ({ postoffice }) => checkRestored(postoffice));
    }
    const lost = role === 'server' && force !== true ? wouldBeLost(before, peers.values()) : [];
    if (lost.length > 0) {
      throw new DirpostError(
        'wrong-use',
        `These could not follow a further roll-over of ${name}: ${lost.join(', ')}.`,
        {
          retry: 'later',
          hint: 'They have not heard of the last ones. Let them exchange messages with this server first (dirpost keys shows who knows); or lose them with --force: they have to join anew. Nothing was changed.',
        },
      );
    }
    const hybrid = postQuantum === true ? { hybrid: true } : {};
    await rollKeys(dataFolder, { name, overlapMs: overlapOf(overlap), nowMs: Date.now(), ...hybrid });
  }
  return tellOthers(call, 'roll');
}

interface ReplaceOptions {
  recoveryKeyFile?: string;
  overlap?: string;
}

export async function keysReplace(call: Invocation, { recoveryKeyFile, overlap }: ReplaceOptions): Promise<ExitCode> {
  if (call.running === null) {
    const { postoffice: name, role, dataFolder } = await configurationOf(call);
    if (role !== 'server') {
      throw new DirpostError('wrong-use', 'Only a directory server has a recovery key.', {
        hint: `Lost or stolen keys of a branch: at the server run  dirpost requestor remove ${name} --keep-entries  and  dirpost invite ${name}; then join anew here, in an empty folder.`,
      });
    }
    const hint = `It is on paper, where the server was made. Give it by --recovery-key-file FILE or $${RECOVERY_KEY_ENV}.`;
    const source = { file: recoveryKeyFile, env: RECOVERY_KEY_ENV };
    const typed = await secretFor(call, `the recovery key of ${name}`, source, hint);
    await replaceKeys(dataFolder, parseRecoveryKey(typed), { name, overlapMs: overlapOf(overlap), nowMs: Date.now() });
  }
  return tellOthers(call, 'replace');
}

function overlapOf(text: string | undefined): number {
  if (text === undefined) return OVERLAP_MS;
  const ms = parseDuration(text);
  if (ms !== undefined) return Math.min(ms, MAX_OVERLAP_MS);
  throw new DirpostError('wrong-use', `${JSON.stringify(text.slice(0, 20))} is not a time such as 30d or 12h.`);
}

interface ProtectOptions {
  passphraseFile?: string;
  passphraseCommand?: string;
  passphraseEnv?: string;
  off?: boolean;
}

/** The key file alone is changed; an agent that runs has the keys already. */
export async function keysProtect(call: Invocation, options: ProtectOptions): Promise<ExitCode> {
  const { passphraseFile, passphraseCommand, passphraseEnv, off } = options;
  const ways: Secret[] = [];
  if (passphraseFile !== undefined) ways.push({ file: resolve(call.cwd, passphraseFile) });
  if (passphraseCommand !== undefined) ways.push({ command: passphraseCommand.trim().split(/\s+/) });
  if (passphraseEnv !== undefined) ways.push({ env: passphraseEnv });
  if (ways.length + (off === true ? 1 : 0) !== 1) {
    throw new DirpostError('wrong-use', 'Where shall the passphrase come from? Say one.', {
      hint: '--passphrase-command COMMAND, --passphrase-file FILE (not in the data folder), --passphrase-env NAME; or --off.',
    });
  }
  const { postoffice, dataFolder } = await configurationOf(call);
  const unlock = ways[0] ?? null;
  await protectKeys(dataFolder, unlock);
  const { screen } = call;
  screen.data({ postoffice, protected: unlock !== null, unlock });
  if (unlock === null) screen.line(`The keys of ${postoffice} stand plain in ${keyFilePath(dataFolder)}.`);
  else {
    screen.line(
      `The keys of ${postoffice} are sealed in ${keyFilePath(dataFolder)}; the passphrase comes from ${placeOf(unlock)}.`,
    );
    screen.line('Keep a copy of it elsewhere: backups hold the keys in this form.');
  }
  return EXIT.done;
}

async function tellOthers(call: Invocation, how: 'roll' | 'replace'): Promise<ExitCode> {
  return withAgent(call, {}, async ({ postoffice }) => {
    const joining = requireJoining(postoffice);
    await joining.reloadKeys();
    await announceWhereDue(postoffice);
    const sent = await sendOutgoing(postoffice, call.signal, true);
    const print = fingerprint(await publicKeys(joining.keys));
    const waiting = unaware(postoffice, joining);
    const olderUntilMs = joining.keys.older?.untilMs ?? null;
    const { screen } = call;
    screen.data({ postoffice: postoffice.name, how, fingerprint: print, olderUntilMs, unaware: waiting, sent });
    screen.line(`${postoffice.name} has other keys from now on: fingerprint ${print}`);
    if (how === 'replace') {
      screen.line('Whoever hears of it refuses the keys before, also in messages that are under way.');
    } else if (olderUntilMs !== null) {
      screen.line(`Those before are still used until ${time(olderUntilMs)}, and then destroyed.`);
    }
    if (waiting.length > 0) {
      screen.line(`Not known yet to: ${waiting.join(', ')}. They are told with each message file; see dirpost keys.`);
    }
    screen.line('Backups hold the keys before: make a new one.');
    return EXIT.done;
  });
}
