/** A copy of a store file as it stands at one moment, taken while others read and write it. */
import { open } from 'node:fs/promises';
import Database from 'better-sqlite3';
import { DirpostError } from '@dirpost/core';
import { openError, requireExisting } from './errors.ts';

/** Pages of 4,096 bytes between two words of progress. */
const STEP_PAGES = 2_000;
const BUSY_TIMEOUT_MS = 10_000;

export interface BackupOptions {
  /** Pages copied so far, and how many there are. What it throws ends the copying. */
  progress?: (donePages: number, totalPages: number) => void;
}

/**
 * Copies the store at `path` to the new file `target` (mode 0600), whatever version it has, and checks the copy. When it
 * resolves the copy is durable; where it throws the caller removes what there is of it. Throws DirpostError
 * `file-missing`, `store-damaged`, `disk-full` and what else SQLite and the system report.
 */
export async function backUpStore(path: string, target: string, { progress }: BackupOptions = {}): Promise<void> {
  requireExisting(path);
  try {
    // Made before SQLite opens it, which would let others read it.
    await (await open(target, 'wx', 0o600)).close();
    await copy(path, target, progress);
    check(target, path);
  } catch (error) {
    throw openError(error, path);
  }
}

async function copy(path: string, target: string, progress: BackupOptions['progress']): Promise<void> {
  const db = new Database(path, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
  try {
    // The copying keeps to this snapshot. Without it, it would begin anew with each commit of another process.
    db.exec('BEGIN');
    db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get();
    await db.backup(target, {
      progress({ totalPages, remainingPages }) {
        // It is asked once before the first step, when nothing is counted yet.
        if (totalPages > 0) progress?.(totalPages - remainingPages, totalPages);
        return STEP_PAGES;
      },
    });
  } finally {
    db.close();
  }
}

/**
 * Reads the whole file and all its indexes (`PRAGMA integrity_check`): minutes for a large store. What is wrong, at most 20
 * lines; empty for a store that is whole. An agent may be running. Throws as backUpStore does.
 */
export function checkStoreFile(path: string): string[] {
  requireExisting(path);
  try {
    const db = new Database(path, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
    try {
      const lines = db.pragma('integrity_check(20)') as { integrity_check: string }[];
      const found = lines.map(({ integrity_check: line }) => line);
      return found.length === 1 && found[0] === 'ok' ? [] : found;
    } finally {
      db.close();
    }
  } catch (error) {
    const failure = openError(error, path);
    if (failure instanceof DirpostError && failure.code === 'store-damaged') return [failure.message];
    throw failure;
  }
}

/** A backup is of use only if it can be read; and what is wrong in the copy is wrong in the store. */
function check(target: string, path: string): void {
  const db = new Database(target, { fileMustExist: true });
  try {
    const found = db.pragma('quick_check(1)', { simple: true });
    if (found === 'ok') return;
    throw new DirpostError('store-damaged', `The store ${path} is damaged (${String(found)}).`, {
      retry: 'operator',
      hint: 'Keep a copy of the data folder, check the disk, and restore an older backup: dirpost then catches up by itself.',
    });
  } finally {
    db.close();
  }
}
