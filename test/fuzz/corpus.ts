/**
 * Inputs as files. `corpus/TARGET/` holds what once failed: it is part of the repository and runs in `npm test`. What only
 * reached something new lies below `tmp/fuzz/` of the repository, so that the next run goes on from there.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const failuresFolder = fileURLToPath(new URL('corpus/', import.meta.url));
export const foundFolder = fileURLToPath(new URL('../../tmp/fuzz/', import.meta.url));

export interface StoredInput {
  file: string;
  input: Uint8Array;
}

/** In the order of their names; none where there is no such folder. */
export async function readInputs(folder: string, target: string): Promise<StoredInput[]> {
  const names = await readdir(join(folder, target)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const files = names.sort().map((name) => join(folder, target, name));
  return Promise.all(files.map(async (file) => ({ file, input: await readFile(file) })));
}

/** The path of the file. */
export async function storeInput(folder: string, target: string, input: Uint8Array): Promise<string> {
  await mkdir(join(folder, target), { recursive: true });
  const file = join(folder, target, createHash('sha256').update(input).digest('hex').slice(0, 16));
  await writeFile(file, input);
  return file;
}
