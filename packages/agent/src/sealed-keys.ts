/**
 * A key file that a passphrase opens (`dirpost keys protect`). Beside what is sealed stands where the passphrase comes from: a
 * file, a variable of the environment, or a program, such as one that asks a key store of the machine. So whoever gets only
 * the data folder, or a copy of its disk, does not have the keys.
 *
 *   { "dirpost": "sealed keys", "version": 1, "unlock": { "command": ["pass", "show", "dirpost"] }, "sealed": base64 of an age file }
 */
import { readSecret, type Secret } from '@dirpost/adapters';
import { DirpostError } from '@dirpost/core';
import { formatPrivateKeys, openAge, type PrivateKeys, sealAge } from '@dirpost/message';
import { z } from 'zod';

const schema = z.strictObject({
  dirpost: z.literal('sealed keys'),
  version: z.literal(1),
  unlock: z.union([
    z.strictObject({ file: z.string() }),
    z.strictObject({ env: z.string() }),
    z.strictObject({ command: z.array(z.string()).min(1) }),
  ]),
  sealed: z.base64(),
});

export type SealedKeys = z.output<typeof schema>;

const WHAT = 'the passphrase of the keys';
const MIN_PASSPHRASE_LENGTH = 10;

/** null: a plain key file, or something else. */
export function readSealedKeys(text: string): SealedKeys | null {
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    // What is no JSON is told by who reads the plain form.
    return null;
  }
}

/** The text of the sealed file. Throws as the passphrase is read; DirpostError `wrong-use` for a short one. */
export async function sealKeys(keys: PrivateKeys, unlock: Secret): Promise<string> {
  const passphrase = await readSecret(unlock, WHAT);
  if (passphrase.length < MIN_PASSPHRASE_LENGTH) {
    throw new DirpostError('wrong-use', `The passphrase is shorter than ${MIN_PASSPHRASE_LENGTH} characters.`, {
      hint: 'Whoever gets the file may try as many as he likes: take five words or more. Nothing was changed.',
    });
  }
  const sealed = await all(sealAge(one(Buffer.from(formatPrivateKeys(keys))), { passphrase }));
  const file = { dirpost: 'sealed keys', version: 1, unlock, sealed: sealed.toString('base64') };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/** The text of the plain file. Throws DirpostError `config-invalid`, and as the passphrase is read. */
export async function openKeys({ unlock, sealed }: SealedKeys, path: string): Promise<string> {
  const passphrase = await readSecret(unlock, WHAT);
  try {
    return (await all(openAge(one(Buffer.from(sealed, 'base64')), { passphrase }))).toString('utf8');
  } catch (cause) {
    throw new DirpostError('config-invalid', `${path} is not opened by its passphrase.`, {
      retry: 'operator',
      hint: `It comes from ${placeOf(unlock)}: is that the right one? Or the file is damaged: restore a backup of it.`,
      cause,
    });
  }
}

export function placeOf(unlock: Secret): string {
  if ('file' in unlock) return `the file ${unlock.file}`;
  return 'env' in unlock ? `the environment variable ${unlock.env}` : `the program ${unlock.command[0] ?? ''}`;
}

async function* one(octets: Uint8Array): AsyncGenerator<Uint8Array> {
  yield octets;
}

async function all(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces);
}
