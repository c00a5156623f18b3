/**
 * The private keys of this postoffice on disk: `<data>/keys.json`, for the own account only. They are made by `dirpost
 * init`, and never leave this folder; a backup of it is a backup of the postoffice's identity. Others take their place:
 *
 *   roll     ─▶ new keys, signed for by those before; those before are used for the overlap, then destroyed
 *   replace  ─▶ new keys of a server, signed for by its recovery key; those before are lost or stolen, and count no more
 *
 * What the others have to be told of it stands in the same file (`announced`), so that it is durable with the keys;
 * announcing.ts tells them.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fileError, readBounded, type Secret, writeDurably } from '@dirpost/adapters';
import { DirpostError, isDirpostError, type PostofficeName } from '@dirpost/core';
import {
  type AnnouncedKeys,
  derivedSecret,
  formatPrivateKeys,
  generateKeys,
  isHybrid,
  MAX_STATEMENTS,
  parsePrivateKeys,
  type PrivateKeys,
  publicSigningKey,
  recoveredStatement,
  type RecoveryKey,
  rolledStatement,
  statementSerial,
} from '@dirpost/message';
import { keptAsideIn } from './replacement.ts';
import { openKeys, readSealedKeys, sealKeys } from './sealed-keys.ts';

const KEY_FILE_NAME = 'keys.json';
const MAX_KEY_FILE_BYTES = 64 * 1024;

export function keyFilePath(dataFolder: string): string {
  return join(dataFolder, KEY_FILE_NAME);
}

/**
 * Makes and keeps them, durably. The data folder is there. `recovery`: of a server, the public half of its recovery key.
 * Throws DirpostError `already-initialized`: keys are never replaced.
 */
export async function createKeys(dataFolder: string, recovery?: string, { hybrid = false } = {}): Promise<PrivateKeys> {
  const path = keyFilePath(dataFolder);
  if ((await modeOf(path)) !== undefined) {
    throw new DirpostError('already-initialized', `There are keys in ${path} already.`, {
      retry: 'operator',
      hint: 'Use another data folder, or go on with this one: keys are never replaced, the others know them.',
    });
  }
  const keys: PrivateKeys = { ...(await generateKeys({ hybrid })), ...(recovery === undefined ? {} : { recovery }) };
  await saveKeys(dataFolder, keys);
  return keys;
}

/** Sealed where the file that is there is. Durable when it resolves. */
async function saveKeys(dataFolder: string, keys: PrivateKeys, unlock?: Secret | null): Promise<void> {
  const how = unlock === undefined ? await unlockOf(dataFolder) : unlock;
  const text = how === null ? formatPrivateKeys(keys) : await sealKeys(keys, how);
  if (Buffer.byteLength(text) > MAX_KEY_FILE_BYTES) {
    throw new DirpostError(
      'limit-exceeded',
      `The key file would be larger than ${MAX_KEY_FILE_BYTES} octets, and could not be read again. Nothing was changed.`,
      { retry: 'operator' },
    );
  }
  await writeDurably(dataFolder, KEY_FILE_NAME, Buffer.from(text), { mode: 0o600 });
}

/** How the key file is opened; null: it is plain, or not there. */
export async function unlockOf(dataFolder: string): Promise<Secret | null> {
  if (!(await haveKeys(dataFolder))) return null;
  return (
    readSealedKeys((await readBounded(keyFilePath(dataFolder), MAX_KEY_FILE_BYTES)).toString('utf8'))?.unlock ?? null
  );
}

/** Seals the key file by what `unlock` gives; null: it is plain from now on. Durable when it resolves. */
export async function protectKeys(dataFolder: string, unlock: Secret | null): Promise<void> {
  await saveKeys(dataFolder, await loadKeys(dataFolder), unlock);
}

export interface NewKeys {
  name: PostofficeName;
  overlapMs: number;
  nowMs: number;
  /** Post-quantum ones; absent: of the sort of those before. */
  hybrid?: boolean;
}

/** What was derived of the first signing key, and would make cursors unreadable. */
const DERIVED = ['dirpost cookie secret', 'dirpost mail tag secret'];

/** Durable when it resolves. */
export async function rollKeys(dataFolder: string, { name, overlapMs, nowMs, hybrid }: NewKeys): Promise<PrivateKeys> {
  const before = await loadKeys(dataFolder);
  const made = await generateKeys({ hybrid: hybrid ?? isHybrid(before.identities[0]!) });
  const serial = nextSerial(before, nowMs);
  const statement = rolledStatement({ serial, name, signing: publicSigningKey(made.signing) }, before);
  const statements = [...(before.announced?.statements ?? []), statement.toString('base64')];
  const keys: PrivateKeys = {
    ...before,
    signing: made.signing,
    identities: [...made.identities, ...before.identities],
    older: { signing: before.signing, identities: before.identities, untilMs: nowMs + overlapMs },
    announced: { ...before.announced, serial, statements: statements.slice(-MAX_STATEMENTS), overlapMs },
    secrets: Object.fromEntries(DERIVED.map((one) => [one, derivedSecret(before, one).toString('base64')])),
  };
  await saveKeys(dataFolder, keys);
  return keys;
}

/**
 * Those of `peers` that could not follow a further roll-over, by name: a header has no more room, and they have not said to
 * know the statement that would be left out. Where it has room all stay, also those that everybody knows: somebody may be
 * restored from before.
 */
export function wouldBeLost(
  { announced }: PrivateKeys,
  peers: Iterable<{ name: PostofficeName; heard?: number }>,
): PostofficeName[] {
  const statements = announced?.statements ?? [];
  const leftOut = statements[statements.length - MAX_STATEMENTS];
  if (leftOut === undefined) return [];
  const serial = statementSerial(Buffer.from(leftOut, 'base64'));
  const lost = [...peers].filter(({ heard = 0 }) => heard < serial);
  return lost.map(({ name }) => name).sort();
}

/**
 * Also where the keys before are gone. What was sealed for them is opened for the overlap, where they are there. Throws
 * DirpostError `wrong-use` for a recovery key that is not that of this server. Durable when it resolves.
 */
export async function replaceKeys(
  dataFolder: string,
  recovery: RecoveryKey,
  { name, overlapMs, nowMs }: NewKeys,
): Promise<PrivateKeys> {
  const before = (await haveKeys(dataFolder)) ? await loadKeys(dataFolder) : null;
  if (before?.recovery !== undefined && before.recovery !== recovery.publicKey) {
    throw new DirpostError('wrong-use', `This is not the recovery key of ${name}.`, {
      retry: 'operator',
      hint: 'Compare its fingerprint with that of `dirpost keys`: is the paper that of another server? Nothing was changed.',
    });
  }
  const identities = before?.identities ?? [];
  const made = await generateKeys({ hybrid: identities[0] !== undefined && isHybrid(identities[0]) });
  const serial = nextSerial(before, nowMs);
  const statement = recoveredStatement({ serial, name, signing: publicSigningKey(made.signing) }, recovery);
  const { addresses, hybrid } = before?.announced ?? {};
  const keys: PrivateKeys = {
    signing: made.signing,
    identities: [...made.identities, ...identities],
    recovery: recovery.publicKey,
    ...(identities.length > 0 && { older: { signing: null, identities, untilMs: nowMs + overlapMs } }),
    announced: {
      serial,
      statements: [statement.toString('base64')],
      overlapMs: 0,
      ...(addresses && { addresses }),
      ...(hybrid && { hybrid }),
    },
    // Whoever has the keys before could make cursors of ours.
    secrets: Object.fromEntries(DERIVED.map((one) => [one, randomBytes(32).toString('base64')])),
  };
  await saveKeys(dataFolder, keys);
  return keys;
}

/** Tells the others something new, with the keys that are there; by a serial over `above`. Durable when it resolves. */
export async function announceAnew(
  dataFolder: string,
  change: Partial<Pick<AnnouncedKeys, 'addresses' | 'hybrid'>>,
  nowMs: number,
  above = 0,
): Promise<PrivateKeys> {
  const before = await loadKeys(dataFolder);
  const serial = Math.max(nextSerial(before, nowMs), above + 1);
  const { statements = [], overlapMs = 0 } = before.announced ?? {};
  const announced = { ...before.announced, statements, overlapMs, ...change, serial };
  const keys: PrivateKeys = { ...before, announced };
  await saveKeys(dataFolder, keys);
  return keys;
}

/** Destroys what a roll-over has left. Durable when it resolves; whether there was anything. */
export async function forgetOlderKeys(dataFolder: string): Promise<boolean> {
  const { older, ...keys } = await loadKeys(dataFolder);
  if (older === undefined) return false;
  await saveKeys(dataFolder, { ...keys, identities: keys.identities.filter((one) => !older.identities.includes(one)) });
  return true;
}

/** Grows, whatever the clock does; also above what a backup of these keys has announced since. */
function nextSerial(before: PrivateKeys | null, nowMs: number): number {
  return Math.max((before?.announced?.serial ?? 0) + 1, nowMs);
}

/** One object for ever, which sealers and transports hold; with other content from now on. */
export function takeInPlace(held: PrivateKeys, keys: PrivateKeys): void {
  for (const name of Object.keys(held) as (keyof PrivateKeys)[]) delete held[name];
  Object.assign(held, keys);
}

const KEYS_LOST =
  'Restore a backup. Without one: a server takes new keys by its recovery key (dirpost keys replace), a branch is invited again.';

/**
 * Throws DirpostError `not-initialized`, `file-denied` where others could read them, `config-invalid` where they are damaged
 * or not opened by their passphrase, and as the passphrase is read.
 */
export async function loadKeys(dataFolder: string): Promise<PrivateKeys> {
  const path = keyFilePath(dataFolder);
  const mode = await modeOf(path);
  if (mode === undefined) {
    const [aside] = await keptAsideIn(dataFolder);
    const other = existsSync(join(dataFolder, 'store.db'))
      ? KEYS_LOST
      : 'Make them with `dirpost init`; or is `data` in the configuration another folder?';
    throw new DirpostError('not-initialized', `There are no keys in ${path}.`, {
      retry: 'operator',
      hint:
        aside === undefined
          ? other
          : `Was a restore broken off? Then restore again, or move what is in ${aside} back into ${dataFolder}.`,
    });
  }
  // Windows keeps rights elsewhere, and reports 0666 for every file.
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new DirpostError('file-denied', `${path} can be used by others (mode ${(mode & 0o777).toString(8)}).`, {
      retry: 'operator',
      hint: `chmod 600 ${path}; if others may have read it, this postoffice needs new keys.`,
    });
  }
  const text = (await readBounded(path, MAX_KEY_FILE_BYTES)).toString('utf8');
  const sealed = readSealedKeys(text);
  const plain = sealed === null ? text : await openKeys(sealed, path);
  try {
    return parsePrivateKeys(plain);
  } catch (cause) {
    if (!isDirpostError(cause, 'config-invalid')) throw cause;
    throw new DirpostError('config-invalid', `${path} is damaged. ${cause.message}`, {
      retry: 'operator',
      hint: KEYS_LOST,
      cause,
    });
  }
}

export async function haveKeys(dataFolder: string): Promise<boolean> {
  return (await modeOf(keyFilePath(dataFolder))) !== undefined;
}

async function modeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mode;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw fileError(error, `read ${path}`);
  }
}
