/** Who else can get at a file with a password or a key: one rule for mail and LDAP. */
import { stat } from 'node:fs/promises';
import { fileError } from './durable-file.ts';

/** Others may read it, and have the secret; or write it, and put another in its place. That it may be executed says nothing. */
const OTHERS_MODE = 0o006;

/**
 * Whether every account of this machine can read or replace it. Its group may: that is how a service account is let at a file
 * of root's. False where that cannot be told: Windows keeps rights elsewhere. Throws DirpostError as fileError says.
 */
export async function isOpenToOthers(path: string): Promise<boolean> {
  if (process.platform === 'win32') return false;
  try {
    return ((await stat(path)).mode & OTHERS_MODE) !== 0;
  } catch (error) {
    throw fileError(error, `look at ${path}`);
  }
}
