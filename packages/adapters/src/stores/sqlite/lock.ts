/**
 * One agent per data folder: an exclusive lock on a second, empty database. The system frees it when the process ends,
 * however it ends. Nothing else may open lock.db in the process that holds the lock: closing any descriptor of a file
 * frees all POSIX locks that the process has on it (fcntl(2)); that is why the pid is in a file of its own.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { DirpostError, isDirpostError } from '@dirpost/core';
import { errnoOf } from '../../durable-file.ts';
import { openError, requireExisting, requireUsable } from './errors.ts';

/** Those that are held: a database that nobody refers to any more would be closed, and its lock free. */
const held = new Set<Database.Database>();

export interface FolderLock {
  /** Repeating it changes nothing. */
  release(): void;
}

/** Throws DirpostError 'locked' when another process, or this one, holds the lock of `folder`. Does not wait. */
export function acquireLock(folder: string): FolderLock {
  requireExisting(folder);
  const pidFile = join(folder, 'lock.pid');
  const db = openLock(folder, pidFile);
  held.add(db);
  try {
    writeFileSync(pidFile, `${process.pid}\n`);
  } catch {
    // Only a hint for people: a full disk must not keep the agent from starting.
  }
  return {
    release() {
      if (!held.delete(db)) return;
      try {
        rmSync(pidFile, { force: true });
      } catch {
        // Only a hint for people: the folder became read-only meanwhile.
      }
      db.close();
    },
  };
}

function openLock(folder: string, pidFile: string): Database.Database {
  const path = join(folder, 'lock.db');
  // A file that may only be read is opened for reading, and BEGIN EXCLUSIVE locks nothing there.
  requireUsable(path);
  let db: Database.Database | undefined;
  try {
    db = new Database(path, { timeout: 0 });
    db.exec('BEGIN EXCLUSIVE');
    return db;
  } catch (error) {
    db?.close();
    const failure = openError(error, path);
    if (isDirpostError(failure, 'locked')) throw locked(folder, pidFile, error);
    throw failure;
  }
}

/**
 * SQLite calls it busy, too, where the file system refuses locks at all (ENOLCK, ETIMEDOUT, EACCES of fcntl(2)): only the pid
 * tells which of both it is.
 */
function locked(folder: string, pidFile: string, cause: unknown): DirpostError {
  const pid = readPid(pidFile);
  const isHeldHere = pid !== undefined && isAlive(pid);
  const details = { retry: 'later' as const, context: { folder, pid: pid ?? null, isHeldHere }, cause };
  if (isHeldHere) {
    return new DirpostError('locked', `The process ${pid} is using the data folder ${folder}.`, {
      ...details,
      hint: 'Only one agent may work in a data folder. Stop it first, or give the command to the running agent.',
    });
  }
  const last =
    pid === undefined ? 'no process is known that uses it' : `the process ${pid}, which had it last, is not there`;
  return new DirpostError('locked', `The data folder ${folder} cannot be locked, and ${last}.`, {
    ...details,
    hint: 'Has a command just started? Then try again. Else: is the data folder on a network file system without locks, or in use from another machine or container? Put it on a local disk, and use it from one.',
  });
}

function readPid(pidFile: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(pidFile, 'utf8'), 10);
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // Of another account.
    return errnoOf(error) === 'EPERM';
  }
}
