/**
 * The inside of a sealed backup: a tar file (POSIX ustar), so that at the worst `age -d FILE | tar x` brings everything
 * back without dirpost. Its first file is manifest.json: what follows, with sizes and checksums; the store comes last.
 *
 *   manifest.json · dirpost.yaml · keys.json · peers/… · invitations/… · files/… (named in dirpost.yaml) · store.db
 *
 * What is read comes from outside: names are those of the list above, each once, in files of at most the size stated.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { DirpostError, isPostofficeName } from '@dirpost/core';
import { z } from 'zod';

const BLOCK_BYTES = 512;
const MAX_NAME_BYTES = 100;
const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;
const MAX_FILES = 100_000;
/** Of all files but the store, which are held in memory when they are read. */
const MAX_SMALL_BYTES = 256 * 1024 * 1024;
export const MAX_SMALL_FILE_BYTES = 16 * 1024 * 1024;
const NAME_PATTERN = /^(?:dirpost\.yaml|keys\.json|store\.db|(?:peers|invitations)\/[^/]+\.json|files\/.+)$/;

export const MANIFEST_NAME = 'manifest.json';
export const STORE_NAME = 'store.db';

const manifestSchema = z.strictObject({
  dirpost: z.literal('backup'),
  version: z.literal(1),
  postoffice: z.string().refine(isPostofficeName),
  role: z.enum(['server', 'requestor']),
  madeMs: z.int().min(0),
  program: z.string().max(64),
  files: z
    .array(
      z.strictObject({
        name: z.string().refine(isArchiveName),
        bytes: z.int().min(0),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
      }),
    )
    .min(3)
    .max(MAX_FILES),
});

export type Manifest = z.output<typeof manifestSchema>;

/** Whether a file of a backup may be called so: none leads out of the folder that it is put in, or drives a terminal. */
export function isArchiveName(name: string): boolean {
  const parts = name.split('/');
  const isPlain = parts.every((part) => part !== '' && part !== '.' && part !== '..' && !/[\\:\p{Cc}]/u.test(part));
  return isPlain && NAME_PATTERN.test(name) && Buffer.byteLength(name) <= MAX_NAME_BYTES;
}

/** The octets of the archive. The files are in `folder`, as the manifest names them; they do not change meanwhile. */
export async function* writeArchive(manifest: Manifest, folder: string): AsyncGenerator<Uint8Array> {
  const text = Buffer.from(manifestText(manifest));
  yield header(MANIFEST_NAME, text.length, manifest.madeMs);
  yield text;
  yield padding(text.length);
  for (const { name, bytes } of manifest.files) {
    yield header(name, bytes, manifest.madeMs);
    for await (const chunk of createReadStream(join(folder, name), { highWaterMark: 1024 * 1024 })) {
      yield chunk as Buffer;
    }
    yield padding(bytes);
  }
  // Two empty blocks end a tar file.
  yield Buffer.alloc(2 * BLOCK_BYTES);
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** IEEE Std 1003.1, "ustar Interchange Format". */
function header(name: string, bytes: number, madeMs: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write(name, 0, MAX_NAME_BYTES);
  block.write('0000600\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  writeSize(block, bytes);
  block.write(
    `${Math.floor(madeMs / 1_000)
      .toString(8)
      .padStart(11, '0')}\0`,
    136,
  );
  block.write('0', 156);
  block.write('ustar\x0000', 257, 'latin1');
  block.fill(' ', 148, 156);
  block.write(`${checksumOf(block).toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** Octal in 11 digits; what is larger (8 GiB) in base 256, which GNU tar and others read. */
function writeSize(block: Buffer, bytes: number): void {
  if (bytes < 8 ** 11) block.write(`${bytes.toString(8).padStart(11, '0')}\0`, 124);
  else {
    block[124] = 0x80;
    block.writeUIntBE(bytes, 130, 6);
  }
}

function sizeIn(block: Buffer): number {
  if (block[124] === 0x80) return block.readUIntBE(130, 6);
  const digits = /^[0-7]{11}/.exec(block.toString('latin1', 124, 136))?.[0];
  if (digits === undefined) throw damaged('a file in it states no size');
  return Number.parseInt(digits, 8);
}

/** Sum of the octets, those of the checksum itself as spaces. */
function checksumOf(block: Buffer): number {
  let sum = 0;
  for (const [at, octet] of block.entries()) sum += at >= 148 && at < 156 ? 32 : octet;
  return sum;
}

function padding(bytes: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES);
}

export interface ArchivedFile {
  name: string;
  bytes: number;
  sha256: string;
  /** To be read to its end. Throws at the end where the content is not that of the manifest. */
  content: AsyncIterable<Buffer>;
}

/**
 * Hands the files to `take`, one after the other. Throws DirpostError `store-damaged` for an archive that is cut, altered,
 * or not one of a backup; what was handed out before is then not to be used.
 */
export async function readArchive(
  source: AsyncIterable<Uint8Array>,
  begin: (manifest: Manifest) => Promise<void>,
  take: (file: ArchivedFile) => Promise<void>,
): Promise<Manifest> {
  const reader = new BlockReader(source);
  const first = await reader.header();
  if (first?.name !== MANIFEST_NAME || first.bytes > MAX_MANIFEST_BYTES) throw damaged('it does not begin as one');
  const pieces: Buffer[] = [];
  for await (const piece of reader.content(first.bytes)) pieces.push(piece);
  const manifest = parseManifest(Buffer.concat(pieces).toString('utf8'));
  await begin(manifest);
  for (const { name, bytes, sha256 } of manifest.files) {
    const found = await reader.header();
    if (found?.name !== name || found.bytes !== bytes) throw damaged(`${name} is missing in it`);
    await take({ name, bytes, sha256, content: checked(reader.content(bytes), name, sha256) });
  }
  if ((await reader.header()) !== null) throw damaged('there is more in it than it says');
  await reader.end();
  return manifest;
}

function parseManifest(text: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged('its list of files cannot be read');
  }
  const version = (value as { version?: unknown } | null)?.version;
  if (typeof version === 'number' && version > 1) {
    throw new DirpostError('store-newer', 'The backup was made by a newer dirpost than this one.', {
      retry: 'operator',
      hint: 'Install the version that made it, then restore again.',
    });
  }
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) throw damaged('its list of files is not one');
  const fault = faultIn(parsed.data);
  if (fault !== null) throw damaged(fault);
  return parsed.data;
}

function faultIn({ files }: Manifest): string | null {
  const names = files.map(({ name }) => name);
  const missing = ['dirpost.yaml', 'keys.json', STORE_NAME].find((name) => !names.includes(name));
  if (missing !== undefined) return `${missing} is not among its files`;
  if (names.at(-1) !== STORE_NAME || new Set(names).size < names.length) return 'its list of files is not one';
  const small = files.slice(0, -1);
  const large = small.find(({ bytes }) => bytes > MAX_SMALL_FILE_BYTES);
  if (large !== undefined) return `${large.name} is far too large`;
  return small.reduce((sum, { bytes }) => sum + bytes, 0) > MAX_SMALL_BYTES ? 'its small files are too many' : null;
}

/** Throws DirpostError `wrong-use` for what readArchive would refuse: nothing is sealed that cannot be opened again. */
export function requireReadable(manifest: Manifest): void {
  const parsed = manifestSchema.safeParse(manifest);
  const at = parsed.error?.issues[0]?.path.join('.');
  const isTooLong = Buffer.byteLength(manifestText(manifest)) > MAX_MANIFEST_BYTES;
  const fault = at ?? (isTooLong ? 'its list of files is too long' : faultIn(manifest));
  if (fault === null) return;
  throw new DirpostError('wrong-use', `The backup could not be restored again: ${fault}.`, {
    retry: 'operator',
    hint: 'No backup was made. Make the folders peers and invitations, and what the configuration names, hold only what belongs there.',
  });
}

function manifestText(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

async function* checked(content: AsyncIterable<Buffer>, name: string, sha256: string): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  for await (const piece of content) {
    hash.update(piece);
    yield piece;
  }
  if (hash.digest('hex') !== sha256) throw damaged(`${name} is not what was backed up`);
}

class BlockReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** null: the end. */
  async header(): Promise<{ name: string; bytes: number } | null> {
    const block = await this.#exactly(BLOCK_BYTES);
    if (block.every((octet) => octet === 0)) return null;
    const sum = Number.parseInt(block.toString('latin1', 148, 154), 8);
    if (sum !== checksumOf(block) || block[156] !== 0x30) throw damaged('something in it is no file');
    return { name: block.toString('utf8', 0, MAX_NAME_BYTES).replace(/\0.*$/s, ''), bytes: sizeIn(block) };
  }

  /** The octets of one file, and what fills up its last block. */
  async *content(bytes: number): AsyncGenerator<Buffer> {
    for (let left = bytes; left > 0; ) {
      if (this.#held.length === 0) await this.#more();
      const piece = this.#held.subarray(0, left);
      this.#held = this.#held.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
    await this.#exactly(padding(bytes).length);
  }

  /** Reads what is left: only at its end an age file is known to be whole. */
  async end(): Promise<void> {
    for (let next = await this.#source.next(); next.done !== true; next = await this.#source.next());
  }

  async #exactly(bytes: number): Promise<Buffer> {
    while (this.#held.length < bytes) await this.#more();
    const octets = this.#held.subarray(0, bytes);
    this.#held = this.#held.subarray(bytes);
    return octets;
  }

  async #more(): Promise<void> {
    const next = await this.#source.next();
    if (next.done === true) throw damaged('it ends early');
    this.#held = Buffer.concat([this.#held, next.value]);
  }
}

export function damaged(why: string, cause?: unknown): DirpostError {
  return new DirpostError('store-damaged', `The backup is damaged, or is none: ${why}.`, {
    retry: 'operator',
    hint: 'Nothing was changed here. Copy the file again from where it is kept, or take an older backup.',
    ...(cause === undefined ? {} : { cause }),
  });
}
