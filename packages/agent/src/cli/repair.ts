/**
 * `dirpost repair`: what this postoffice has of the others comes anew, and what it has itself is submitted anew. With
 * `--new-store` also where its store is damaged: a new one takes its place, and everything that the network or a directory
 * holds comes back into it.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { acquireLock, fileError, openSqliteStore } from '@dirpost/adapters';
import { askForEverything, beginNewLife, createRequestor, createServer, DirpostError } from '@dirpost/core';
import type { Configuration } from '../config/load.ts';
import { loadKeys } from '../keys.ts';
import { configurationOf, EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';

const STORE_FILES = ['store.db', 'store.db-wal', 'store.db-shm'];

export async function repair(call: Invocation, { newStore }: { newStore?: boolean }): Promise<ExitCode> {
  if (newStore === true) return makeStore(call, await configurationOf(call));
  return withAgent(call, {}, async ({ postoffice }) => {
    const { name, store, server } = postoffice;
    await store.transaction((tx) => askForEverything(tx));
    call.screen.data({ postoffice: name, newStore: null });
    call.screen.line(
      `${name} asks for everything anew with its next exchange, and submits everything. Next: dirpost sync`,
    );
    if (server !== null) {
      call.screen.line('What it has of its branches, as their server, each of them compares with every exchange.');
    }
    return EXIT.done;
  });
}

async function makeStore({ screen, running }: Invocation, configuration: Configuration): Promise<ExitCode> {
  const { dataFolder, postoffice, role } = configuration;
  if (running !== null) throw new DirpostError('wrong-use', 'An agent is running here. Stop it first.');
  await loadKeys(dataFolder);
  const lock = acquireLock(dataFolder);
  try {
    const aside = await setAside(dataFolder);
    const store = await openSqliteStore({ path: join(dataFolder, 'store.db') });
    try {
      const isServer = role === 'server';
      const life = await store.transaction(async (tx) => {
        await createRequestor(tx, randomBytes);
        if (isServer) await createServer(tx, randomBytes);
        return beginNewLife(tx, randomBytes, isServer);
      });
      screen.data({ postoffice, newStore: { aside, incarnation: life.own, serverIncarnation: life.server } });
    } finally {
      await store.close();
    }
    screen.line(
      `${postoffice} has a new store${aside === null ? '' : `; the old one is kept in ${aside}`}. Next: dirpost sync`,
    );
    screen.line(
      'Its people come back from the directories, those of the others from the server, with the ids that they had.',
    );
    screen.line(
      'What only the store knew is gone: what was held or approved. First writes wait for dirpost approve again.',
    );
    return EXIT.done;
  } finally {
    lock.release();
  }
}

async function setAside(dataFolder: string): Promise<string | null> {
  const there = STORE_FILES.filter((name) => existsSync(join(dataFolder, name)));
  if (there.length === 0) return null;
  const aside = join(dataFolder, `replaced-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}`);
  try {
    await mkdir(aside, { mode: 0o700 });
    for (const name of there) await rename(join(dataFolder, name), join(aside, name));
  } catch (error) {
    throw fileError(error, `set the store aside in ${aside}`);
  }
  return aside;
}
