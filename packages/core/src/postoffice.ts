/**
 * Names of postoffices. A name comes from configurations, peer files and message headers and becomes part of paths and
 * screens, so it is checked wherever it enters: nothing that fails here may ever be used.
 */
import type { PostofficeName } from './change.ts';
import { DirpostError } from './errors.ts';

export const POSTOFFICE_NAME_PATTERN = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** Device names of Windows: a folder cannot have them there, and a network may hold one Windows postoffice. */
const RESERVED = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])$/;

export function isPostofficeName(name: string): boolean {
  return POSTOFFICE_NAME_PATTERN.test(name) && !RESERVED.test(name);
}

/** The name itself. Throws DirpostError `wrong-use`. */
export function checkPostofficeName(name: string): PostofficeName {
  if (isPostofficeName(name)) return name;
  throw new DirpostError('wrong-use', `${JSON.stringify(name.slice(0, 80))} is not a name of a postoffice.`, {
    hint: 'Use 1 to 63 small letters, digits and hyphens, beginning with a letter or digit; not a device name like "con".',
  });
}
