/** The one table from SQLite's result codes (https://www.sqlite.org/rescode.html) to the codes of dirpost. */
import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import { DirpostError, type ErrorCode, type Retry } from '@dirpost/core';

interface Meaning {
  code: ErrorCode;
  retry: Retry;
  says: string;
  hint?: string;
}

const diskFull: Meaning = {
  code: 'disk-full',
  retry: 'later',
  says: 'There is no room left on the disk for the store.',
  hint: 'Make room on the disk of the data folder. Nothing was lost: what could not be stored is done again.',
};
const damaged: Meaning = {
  code: 'store-damaged',
  retry: 'operator',
  says: 'The store is damaged.',
  hint: 'Keep a copy of the data folder, check the disk, and restore a backup: dirpost then catches up by itself. Without one: dirpost repair --new-store',
};
const denied: Meaning = {
  code: 'file-denied',
  retry: 'operator',
  says: 'The store may not be written.',
  hint: 'Give the user that runs dirpost read and write permission for the data folder and all files in it.',
};
const busy: Meaning = {
  code: 'locked',
  retry: 'later',
  says: 'Another process is using the store.',
  hint: 'Wait until the other command has ended.',
};

/** Extended codes first, else the primary code counts. */
const meanings: Record<string, Meaning> = {
  SQLITE_FULL: diskFull,
  // SQLite reports a full disk so when it extends the shared memory file of the write-ahead log.
  SQLITE_IOERR_SHMSIZE: diskFull,
  SQLITE_CORRUPT: damaged,
  SQLITE_NOTADB: damaged,
  SQLITE_IOERR_CORRUPTFS: damaged,
  SQLITE_READONLY: denied,
  SQLITE_PERM: denied,
  SQLITE_BUSY: busy,
  SQLITE_LOCKED: busy,
  SQLITE_CANTOPEN: {
    code: 'file-failed',
    retry: 'operator',
    says: 'The store cannot be opened.',
    hint: 'Check that the data folder exists and that the user that runs dirpost may write in it.',
  },
  SQLITE_IOERR: {
    code: 'store-failed',
    retry: 'later',
    says: 'The disk reported an error while the store was read or written.',
    hint: "Check the disk and the system's log.",
  },
  SQLITE_NOMEM: { code: 'store-failed', retry: 'later', says: 'There was not enough memory for the store.' },
  SQLITE_INTERRUPT: { code: 'store-failed', retry: 'later', says: 'The work on the store was interrupted.' },
};

const unknown: Meaning = { code: 'store-failed', retry: 'never', says: 'The store refused an operation.' };

/** What is not an error of SQLite comes back as it is. */
export function storeError(error: unknown): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  const primary = error.code.split('_').slice(0, 2).join('_');
  const { code, retry, says, hint } = meanings[error.code] ?? meanings[primary] ?? unknown;
  return new DirpostError(code, `${says} (${error.message})`, {
    retry,
    ...(hint !== undefined && { hint }),
    context: { sqlite: error.code },
    cause: error,
  });
}

/** SQLite says only "unable to open" when a folder or a file that must exist does not. */
export function requireExisting(path: string): void {
  if (existsSync(path)) return;
  throw new DirpostError('file-missing', `${path} does not exist.`, {
    retry: 'operator',
    hint: 'Check the data folder in the configuration, or set it up with: dirpost init',
    context: { path },
  });
}
