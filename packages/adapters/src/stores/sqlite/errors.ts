/** The one table from SQLite's result codes (https://www.sqlite.org/rescode.html) to the codes of dirpost. */
import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { DirpostError, type ErrorCode, type Retry } from '@dirpost/core';
import { errnoOf } from '../../durable-file.ts';

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
  hint: 'Wait until the other command has ended. If there is none: a network file system without locks is no place for the data folder; put it on a local disk.',
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

/** What opening the file at `path` has reported, with the file or folder that may not be used, which SQLite does not name. */
export function openError(error: unknown, path: string): unknown {
  const failure = storeError(error);
  if (!(failure instanceof DirpostError) || !UNUSABLE.has(failure.code)) return failure;
  return whyUnusable(path, failure) ?? failure;
}

/** Throws DirpostError `file-denied` where the file, what lies beside it, or its folder may not be read and written. */
export function requireUsable(path: string): void {
  const why = whyUnusable(path);
  if (why !== null) throw why;
}

function whyUnusable(path: string, cause?: DirpostError): DirpostError | null {
  // The folder counts too: SQLite makes the log and the shared memory in it, to read alone as well.
  const folder = dirname(path);
  for (const place of [folder, path, `${path}-wal`, `${path}-shm`]) {
    const errno = refusalOf(place, place === folder);
    if (errno !== null) return unusable(place, errno, cause);
  }
  return null;
}

const UNUSABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['file-denied', 'file-failed']);

function refusalOf(place: string, isFolder: boolean): string | null {
  try {
    accessSync(place, constants.R_OK | constants.W_OK | (isFolder ? constants.X_OK : 0));
    return null;
  } catch (error) {
    const errno = errnoOf(error) ?? '';
    return ['EROFS', 'EACCES', 'EPERM'].includes(errno) ? errno : null;
  }
}

function unusable(place: string, errno: string, cause?: DirpostError): DirpostError {
  const isReadOnly = errno === 'EROFS';
  const account = process.getuid === undefined ? 'this account' : `this account (uid ${process.getuid()})`;
  const says = isReadOnly
    ? `${place} cannot be written: its file system is mounted read-only.`
    : `${place} may not be read and written by ${account}.`;
  const hint = isReadOnly
    ? 'Look into the log of the system: a disk with faults is mounted so. Mount it for writing, or restore a backup elsewhere. Nothing was changed; dirpost goes on from where it was.'
    : 'Is this the account that runs dirpost? Give it the whole data folder (chown -R). Nothing was changed; dirpost goes on from where it was.';
  return new DirpostError('file-denied', says, {
    retry: 'operator',
    hint,
    context: { ...cause?.context, path: place, errno },
    cause,
  });
}

/** SQLite says only "unable to open" when a folder or a file that must exist does not. */
export function requireExisting(path: string): void {
  if (existsSync(path)) return;
  throw new DirpostError('file-missing', `${path} does not exist.`, {
    retry: 'operator',
    hint: 'Is `data` in the configuration the right folder? Where the store was lost restore a backup, or without one: dirpost repair --new-store',
    context: { path },
  });
}
