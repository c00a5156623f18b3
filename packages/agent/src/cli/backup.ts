/** `dirpost backup`: what cannot be had back from the others, sealed in a new file; an agent may be running. */
import { dirname, relative, resolve } from 'node:path';
import { DirpostError } from '@dirpost/core';
import { type AgeLock, ParsedKeys, recoveryFingerprint, recoveryRecipient } from '@dirpost/message';
import { type BackedUpFile, backUpPlainly, backUpSealed } from '../backup.ts';
import type { Configuration } from '../config/load.ts';
import { counted } from '../events.ts';
import { loadKeys } from '../keys.ts';
import { loadPeers } from '../peers.ts';
import { configurationOf, EXIT, type ExitCode, type Invocation } from './command.ts';
import { bytes } from './screen.ts';
import { givenSecret, secretFor } from './typed-secret.ts';

export const PASSPHRASE_ENV = 'DIRPOST_BACKUP_PASSPHRASE';
const MIN_PASSPHRASE_LENGTH = 10;

interface BackupCommandOptions {
  passphrase?: boolean;
  passphraseFile?: string;
  passphraseCommand?: string;
  recipient?: string[];
  plain?: boolean;
}

export async function backup(call: Invocation, target: string, options: BackupCommandOptions): Promise<ExitCode> {
  const { screen, configFile, signal, cwd } = call;
  const configuration = await configurationOf(call);
  const path = resolve(cwd, target);
  const source = { configuration, configFile };
  const how = {
    signal,
    progress: (doneBytes: number) => screen.progress({ what: 'backing up, kB', done: Math.round(doneBytes / 1_000) }),
  };
  const { postoffice } = configuration;
  if (options.plain === true) {
    const { files, leftOut } = await backUpPlainly(source, path, how);
    screen.data({ postoffice, folder: path, sealedFor: null, bytes: sum(files), files, leftOut });
    screen.line(`${postoffice} is backed up in ${path}: ${counted(files.length, 'file')}, ${bytes(sum(files))}.`);
    screen.facts(contents(files));
    screen.line('It holds private keys, and is not sealed: keep it where nobody but you can read it.');
    for (const file of leftOut) screen.line(`Not in it: ${file}, which is no file of dirpost.`);
    return EXIT.done;
  }
  const { lock, sealedFor, opener } = await lockFor(call, configuration, options);
  const made = await backUpSealed(source, path, lock, how);
  screen.data({ postoffice, file: path, sealedFor, ...made });
  screen.line(
    `${postoffice} is backed up in ${path}: ${counted(made.files.length, 'file')}, ${bytes(made.bytes)}, sealed.`,
  );
  screen.facts(contents(made.files));
  screen.line(`To open it takes ${opener}. Without that nobody can, dirpost neither.`);
  for (const file of made.leftOut) screen.line(`Not in it: ${file}, ${whyLeftOut(configuration, file)}.`);
  return EXIT.done;
}

interface Locked {
  lock: AgeLock;
  /** For programs: `passphrase`, the fingerprint of a recovery key, or recipients. */
  sealedFor: string;
  opener: string;
}

async function lockFor(call: Invocation, configuration: Configuration, options: BackupCommandOptions): Promise<Locked> {
  const { recipient, passphrase, passphraseFile: file, passphraseCommand: command } = options;
  const source = { file, command, env: PASSPHRASE_ENV };
  const what = 'the passphrase of the backup';
  if (recipient !== undefined) return lockForRecipients(recipient);
  const given = passphrase === true ? await askTwice(call, what, source) : await givenSecret(call, what, source);
  if (given !== undefined) {
    if (given.length < MIN_PASSPHRASE_LENGTH) {
      throw new DirpostError('wrong-use', `The passphrase is shorter than ${MIN_PASSPHRASE_LENGTH} characters.`, {
        hint: 'Whoever gets the file may try as many as he likes: take five words or more.',
      });
    }
    return { lock: { passphrase: given }, sealedFor: 'passphrase', opener: 'the passphrase' };
  }
  const { publicKey, server } = await recoveryKeyOf(configuration);
  const print = recoveryFingerprint(publicKey);
  const opener = `the recovery key of ${server} (fingerprint ${print}), which is on paper`;
  return { lock: { recipients: [recoveryRecipient(publicKey)] }, sealedFor: print, opener };
}

async function askTwice(call: Invocation, what: string, source: Parameters<typeof secretFor>[2]): Promise<string> {
  const hint = `Give it by --passphrase-file, --passphrase-command or $${PASSPHRASE_ENV}.`;
  const first = (await givenSecret(call, what, source)) ?? (await secretFor(call, what, source, hint));
  if ((await givenSecret(call, what, source)) !== undefined) return first;
  if ((await secretFor(call, `${what} again`, source, hint)) === first) return first;
  throw new DirpostError('wrong-use', 'The two are not the same. Nothing was backed up.');
}

function lockForRecipients(texts: string[]): Locked {
  const recipients = new ParsedKeys().recipients(texts);
  if (recipients === null) {
    throw new DirpostError(
      'wrong-use',
      'A recipient of a backup is an age X25519 one: age1… and 58 letters or digits.',
      {
        hint: 'Make one with the program age-keygen; it is opened with: dirpost restore FILE --identity KEYFILE',
      },
    );
  }
  return { lock: { recipients }, sealedFor: texts.join(', '), opener: 'the age identity of that recipient' };
}

/** The own one of a server; at a requestor that of its server, which joining has pinned. */
async function recoveryKeyOf({ role, server, dataFolder }: Configuration) {
  const own = await loadKeys(dataFolder);
  const publicKey = role === 'server' ? own.recovery : (await loadPeers(dataFolder)).get(server)?.recoveryKey;
  if (publicKey !== undefined) return { publicKey, server };
  throw new DirpostError(
    'wrong-use',
    `No recovery key of ${server} is known here, for which the backup could be sealed.`,
    {
      hint: 'Seal it by a passphrase: --passphrase, --passphrase-file FILE or --passphrase-command COMMAND.',
    },
  );
}

function whyLeftOut({ dataFolder }: Configuration, file: string): string {
  const isOurs = ['peers', 'invitations'].includes(relative(dataFolder, dirname(file)));
  return isOurs ? 'which is no file of dirpost' : 'which the configuration names elsewhere';
}

/** Folders in one line each. */
function contents(files: BackedUpFile[]): [string, string][] {
  const names = [...new Set(files.map(({ name }) => name.split('/')[0]!))];
  return names.map((name) => {
    const inside = files.filter((file) => file.name === name || file.name.startsWith(`${name}/`));
    const count = inside[0]!.name === name ? '' : `${counted(inside.length, 'file')}, `;
    return [name, count + bytes(sum(inside))];
  });
}

function sum(files: BackedUpFile[]): number {
  return files.reduce((total, file) => total + file.bytes, 0);
}
