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

/** A key in quotation marks, with `?`, an anchor, a directive, braces: there may be more ways than one to say it. */
const UNUSUAL = /^[^\sA-Za-z#-]/m;
const DATA_ANYWHERE = /\bdata["']?[ \t]*:/g;
/** A plain word, or one in quotation marks without escapes, that does not go on in the next line. */
const DATA_LINE =
  /^data:[ \t]+(?:"([^"\\\r\n]+)"|'([^'\r\n]+)'|([\w./\\~][^\s"'{}[\],&*]*))[ \t]*(?:[ \t]#.*)?$(?!\s*?^[ \t]+[^\s#])/gm;

/**
 * The data folder that a configuration seems to name; null where only YAML could tell. Whoever listens there has to confirm
 * the source: what follows from a look is no reason to trust anybody. `folder`: of the file.
 */
export function dataFolderIn(text: string, folder: string): string | null {
  const named = [...text.matchAll(DATA_LINE)];
  if (UNUSUAL.test(text)) return null;
  if (text.match(DATA_ANYWHERE)?.length !== (named.length === 0 ? undefined : 1)) return null;
  const [, double, single, plain] = named[0] ?? [];
  return resolve(folder, double ?? single ?? plain ?? '.');
}
