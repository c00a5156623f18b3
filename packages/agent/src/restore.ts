/**
 * `dirpost restore`: a sealed backup becomes a postoffice again. Everything is checked in a folder of its own first; then a
 * new life begins in that store (core's restored.ts), before anything can be sent; then it is put in its place, the keys
 * last, so that what was broken off in between is no postoffice.
 *
 *   open ─▶ manifest ─▶ small files ─▶ <data>/.restore.tmp/store.db ─▶ checksums, integrity ─▶ new incarnation ─▶ in place
 */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  acquireLock,
  checkStoreFile,
  errnoOf,
  fileError,
  openSqliteStore,
  readBounded,
  writeDurably,
} from '@dirpost/adapters';
import { beginNewLife, DirpostError, isDirpostError, type NewLife } from '@dirpost/core';
import { type AgeKey, asksForPassphrase, fingerprint, openAge, parsePrivateKeys, publicKeys } from '@dirpost/message';
import { type ArchivedFile, damaged, type Manifest, readArchive, STORE_NAME } from './backup-archive.ts';
import { type Configuration, parseConfiguration } from './config/load.ts';
import { MAX_CONFIGURATION_BYTES } from './config/source.ts';
import { isTaken, Replacement } from './replacement.ts';
import { keepSuspensions, openInvitations, type RestoredPeer } from './restored-trust.ts';
import { readSealedKeys } from './sealed-keys.ts';

const WORK_FOLDER_NAME = '.restore.tmp';
/** In that one: all files but the store, as they are called in the backup. */
const SMALL_FOLDER_NAME = 'small';
const KEY_FILE_NAME = 'keys.json';
/** What belongs to one life of a postoffice, and must not be mixed with another. */
const OF_ONE_LIFE = [
  KEY_FILE_NAME,
  STORE_NAME,
  'store.db-wal',
  'store.db-shm',
  'peers',
  'invitations',
  'spool',
  'http',
  'mail',
];

export interface RestoreOptions {
  configFile: string;
  /** What is in the data folder is kept aside there. */
  replace: boolean;
  signal: AbortSignal;
  progress?: (doneBytes: number) => void;
}

export interface Restored {
  manifest: Manifest;
  configuration: Configuration;
  /** Whether the configuration came from the backup; otherwise the one that is there counts. */
  wroteConfiguration: boolean;
  /** Where what was there before is kept; null: nothing was there. */
  aside: string | null;
  life: NewLife;
  /** Of files/ in the backup: what was there already, and stays as it is. */
  kept: string[];
  /** Of the newest own key; null: the keys are sealed. */
  fingerprint: string | null;
  peers: RestoredPeer[];
  /** Whether peers were compared with those that were here: who was removed or suspended since is suspended. */
  isCompared: boolean;
  /** Invitations of the backup that were open. */
  invitations: string[];
  /** Whether they are void now. */
  voidsInvitations: boolean;
}

type Trust = Pick<Restored, 'peers' | 'isCompared' | 'invitations' | 'voidsInvitations'>;

/**
 * Whether a passphrase opens it. Throws DirpostError `store-damaged` for what is no sealed backup, `wrong-use` for a folder,
 * and as files are read.
 */
export async function needsPassphrase(file: string): Promise<boolean> {
  let start: Buffer;
  try {
    const handle = await open(file, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(16_384), 0, 16_384, 0);
      start = buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (errnoOf(error) !== 'EISDIR') throw fileError(error, `read ${file}`);
    throw new DirpostError('wrong-use', `${file} is a folder, and no sealed backup.`, {
      hint: 'What dirpost backup --plain has made is copied back by hand: see "Backup and restore" in docs/operating.md.',
      cause: error,
    });
  }
  try {
    return asksForPassphrase(start);
  } catch (cause) {
    throw damaged('it does not begin as an age file', cause);
  }
}

/**
 * Throws DirpostError `already-initialized`, `locked`, `wrong-use` (another postoffice; a key that does not open it),
 * `store-damaged`, `disk-full` and as files are read and written. Then what was there is as before.
 */
export async function restore(file: string, key: AgeKey, options: RestoreOptions): Promise<Restored> {
  const sealed = await open(file, 'r').catch((error: unknown) => {
    throw fileError(error, `read ${file}`);
  });
  await sealed.close();
  const taken = new Taking(options);
  try {
    const manifest = await readArchive(
      opened(file, key, options.signal),
      (first) => taken.begin(first),
      (one) => taken.take(one),
    );
    return await taken.finish(manifest);
  } finally {
    await taken.close();
  }
}

async function* opened(file: string, key: AgeKey, signal: AbortSignal): AsyncGenerator<Buffer> {
  let isOpen = false;
  const source = createReadStream(file, { highWaterMark: 1024 * 1024 });
  try {
    for await (const piece of openAge(source, key, () => (isOpen = true))) {
      signal.throwIfAborted();
      yield piece;
    }
  } catch (cause) {
    if (cause instanceof DirpostError || signal.aborted) throw cause;
    if (isOpen || errnoOf(cause)?.startsWith('E') === true) throw damaged('it was cut or altered', cause);
    const secret = 'passphrase' in key ? 'passphrase' : 'key';
    throw new DirpostError('wrong-use', `The backup is not opened by this ${secret}.`, {
      retry: 'operator',
      hint: 'Or its first octets were altered. Nothing was changed here.',
      cause,
    });
  }
}

class Taking {
  readonly #options: RestoreOptions;
  readonly #small = new Map<string, Buffer>();
  #configuration: Configuration | null = null;
  #wroteConfiguration = false;
  #lock: { release(): void } | null = null;
  #work: string | null = null;

  constructor(options: RestoreOptions) {
    this.#options = options;
  }

  /** A configuration that is there counts: it says where the data folder is on this machine. */
  async begin(manifest: Manifest): Promise<void> {
    const { configFile } = this.#options;
    let text: string | null = null;
    try {
      text = (await readBounded(configFile, MAX_CONFIGURATION_BYTES)).toString('utf8');
    } catch (error) {
      if (!isDirpostError(error, 'file-missing')) throw error;
    }
    if (text === null) return;
    this.#configuration = parseConfiguration(text, dirname(configFile));
    const { postoffice } = this.#configuration;
    if (postoffice !== manifest.postoffice)
      throw ofAnother(manifest.postoffice, `${configFile} is that of ${postoffice}`);
    await this.#prepare(this.#configuration);
  }

  async take(file: ArchivedFile): Promise<void> {
    if (file.name !== STORE_NAME) return this.#takeSmall(file);
    if (this.#configuration === null) {
      const text = this.#small.get('dirpost.yaml')!.toString('utf8');
      this.#configuration = parseConfiguration(text, dirname(this.#options.configFile));
      this.#wroteConfiguration = true;
      await this.#prepare(this.#configuration);
    }
    const handle = await open(join(this.#work!, STORE_NAME), 'wx', 0o600);
    try {
      await this.#write(handle, file);
    } catch (error) {
      throw fileError(error, `write ${join(this.#work!, STORE_NAME)}`);
    } finally {
      await handle.close();
    }
  }

  /** The manifest has said that they are small. */
  async #takeSmall({ name, content }: ArchivedFile): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of content) pieces.push(Buffer.from(piece));
    this.#small.set(name, Buffer.concat(pieces));
  }

  async #write(handle: FileHandle, { content }: ArchivedFile): Promise<void> {
    let done = 0;
    for await (const piece of content) {
      await handle.writeFile(piece);
      done += piece.length;
      this.#options.progress?.(done);
    }
    await handle.sync();
  }

  async #prepare({ dataFolder }: Configuration): Promise<void> {
    try {
      await mkdir(dataFolder, { recursive: true, mode: 0o700 });
      const there = (await readdir(dataFolder)).filter((name) => name === KEY_FILE_NAME || name === STORE_NAME);
      if (there.length > 0 && !this.#options.replace) throw occupied(dataFolder, there[0]!);
      // Nothing runs here any more, and nothing begins to.
      this.#lock = acquireLock(dataFolder);
      const work = join(dataFolder, WORK_FOLDER_NAME);
      await rm(work, { recursive: true, force: true });
      await mkdir(work, { mode: 0o700 });
      this.#work = work;
    } catch (error) {
      throw fileError(error, `restore into ${dataFolder}`);
    }
  }

  async finish(manifest: Manifest): Promise<Restored> {
    const configuration = this.#configuration!;
    if (configuration.postoffice !== manifest.postoffice || configuration.role !== manifest.role) {
      throw ofAnother(manifest.postoffice, `its configuration is that of ${configuration.postoffice}`);
    }
    const own = await fingerprintOf(this.#small.get(KEY_FILE_NAME)!.toString('utf8'));
    const store = join(this.#work!, STORE_NAME);
    const faults = checkStoreFile(store);
    if (faults.length > 0) throw damaged(`its store has faults: ${faults[0]!}`);
    const isServer = configuration.role === 'server';
    const life = await beginAnew(store, isServer);
    const trust = await this.#stage(configuration.dataFolder, isServer);
    this.#options.signal.throwIfAborted();
    const { aside, kept } = await this.#putInPlace(configuration.dataFolder);
    const wroteConfiguration = this.#wroteConfiguration;
    return { manifest, configuration, wroteConfiguration, aside, life, kept, fingerprint: own, ...trust };
  }

  /** Everything is written while what is there still stands: a disk that is full then has changed nothing. */
  async #stage(dataFolder: string, isServer: boolean): Promise<Trust> {
    const small = join(this.#work!, SMALL_FOLDER_NAME);
    try {
      for (const [name, octets] of this.#small) {
        const path = join(small, name);
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        await writeDurably(dirname(path), basename(path), octets, { mode: 0o600 });
      }
      const { peers, isCompared } = await keepSuspensions(small, dataFolder, isServer);
      const invitations = await openInvitations(small, Date.now());
      // Some may have been used or taken back since. Of those that are set aside nobody knows in the store.
      const voidsInvitations = this.#options.replace;
      if (voidsInvitations) await rm(join(small, 'invitations'), { recursive: true, force: true });
      return { peers, isCompared, invitations, voidsInvitations };
    } catch (error) {
      throw fileError(error, `restore into ${dataFolder}`);
    }
  }

  /** The keys go first and come last: in between there is no postoffice here. */
  async #putInPlace(dataFolder: string): Promise<Pick<Restored, 'aside' | 'kept'>> {
    const small = join(this.#work!, SMALL_FOLDER_NAME);
    const replacement = new Replacement(dataFolder);
    try {
      const aside = await replacement.setAside(OF_ONE_LIFE);
      for (const name of ['peers', 'invitations']) {
        if (await isTaken(join(small, name))) await replacement.place(join(small, name), join(dataFolder, name));
      }
      const kept = await this.#placeNamed(replacement, small);
      if (this.#wroteConfiguration) await replacement.place(join(small, 'dirpost.yaml'), this.#options.configFile);
      await replacement.place(join(this.#work!, STORE_NAME), join(dataFolder, STORE_NAME));
      await replacement.place(join(small, KEY_FILE_NAME), join(dataFolder, KEY_FILE_NAME));
      return { aside, kept };
    } catch (error) {
      throw await replacement.undo(fileError(error, `restore into ${dataFolder}`));
    }
  }

  /** Files that the configuration names, where there are none: beside the configuration. */
  async #placeNamed(replacement: Replacement, small: string): Promise<string[]> {
    const kept: string[] = [];
    for (const name of this.#small.keys()) {
      if (!name.startsWith('files/')) continue;
      const path = join(dirname(this.#options.configFile), name.slice('files/'.length));
      if (await isTaken(path)) kept.push(path);
      else await replacement.place(join(small, name), path);
    }
    return kept;
  }

  async close(): Promise<void> {
    if (this.#work !== null) await rm(this.#work, { recursive: true, force: true }).catch(() => {});
    this.#lock?.release();
  }
}

/** Sealed ones are opened by what is on this machine, when they are used: null. */
async function fingerprintOf(keys: string): Promise<string | null> {
  if (readSealedKeys(keys) !== null) return null;
  return fingerprint(await publicKeys(parsePrivateKeys(keys)));
}

/** Folds the log of the store into its file when it is closed, so that the file alone is the store. */
async function beginAnew(path: string, isServer: boolean): Promise<NewLife> {
  const store = await openSqliteStore({ path });
  try {
    return await store.transaction((tx) => beginNewLife(tx, randomBytes, isServer), { large: true });
  } finally {
    await store.close();
  }
}

function occupied(dataFolder: string, name: string): DirpostError {
  return new DirpostError('already-initialized', `There is a postoffice in ${dataFolder} already (${name}).`, {
    retry: 'operator',
    hint: 'Restore into an empty folder; or take its place with --replace, which keeps what is there aside.',
  });
}

function ofAnother(postoffice: string, why: string): DirpostError {
  return new DirpostError('wrong-use', `The backup is that of ${postoffice}; ${why}.`, {
    retry: 'operator',
    hint: 'Name the configuration of that postoffice with --config, or one that is not there yet.',
  });
}
