/** A server that has moved to another machine (`dirpost move --answer`): its old data folder is no postoffice any more. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DirpostError } from '@dirpost/core';

export const MOVED_AWAY_FILE = 'moved-away';

/** Commands that only read show there what was, until it left. */
export function hasMovedAway(dataFolder: string): boolean {
  return existsSync(join(dataFolder, MOVED_AWAY_FILE));
}

/** Throws DirpostError `stopped`: two copies of a server would undo each other's work. */
export function requireHere(dataFolder: string): void {
  if (!hasMovedAway(dataFolder)) return;
  throw new DirpostError(
    'stopped',
    `This postoffice has moved to another machine; ${dataFolder} is what it left behind.`,
    {
      retry: 'operator',
      hint: 'To answer branches that still call here: dirpost move --answer. If it lives here after all: dirpost move --back',
    },
  );
}
