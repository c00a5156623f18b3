/**
 * A configuration as the bytes of a file, not understood: enough to find the agent that was started with it, without what
 * reads it (load.ts). Nothing large is imported here.
 */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { VERSION } from '../version.ts';

export const MAX_CONFIGURATION_BYTES = 4 * 1024 * 1024;

/**
 * The same only for the same bytes in the same file, read by the same version: where an agent runs with them they have no
 * fault, and mean what they mean there. `file`: absolute.
 */
export function sourceOf(file: string, bytes: Uint8Array): string {
  return createHash('sha256').update(`${VERSION}\0${file}\0`).update(bytes).digest('hex');
}

const DATA_ANYWHERE = /\bdata["']?[ \t]*:/g;
/** A plain word, or one in quotation marks without escapes. */
const DATA_LINE = /^data:[ \t]+(?:"([^"\\\r\n]+)"|'([^'\r\n]+)'|([\w./\\~][^\s#"'{}[\],&*]*))[ \t]*(?:[ \t]#.*)?$/gm;

/**
 * The data folder that a configuration seems to name; null where only YAML could tell. Whoever listens there has to confirm
 * the source: the folder may be a wrong one. `folder`: of the file.
 */
export function dataFolderIn(text: string, folder: string): string | null {
  const named = [...text.matchAll(DATA_LINE)];
  if (text.match(DATA_ANYWHERE)?.length !== (named.length === 0 ? undefined : 1)) return null;
  const [, double, single, plain] = named[0] ?? [];
  return resolve(folder, double ?? single ?? plain ?? '.');
}
