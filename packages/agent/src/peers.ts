/**
 * What is known of the other postoffices: `<data>/peers/<name>.json`. The same small file travels by hand or mail
 * (`dirpost peer export`) and is added at the other end after two people compared the fingerprint (`dirpost peer add`);
 * joining by invitation writes it by itself.
 *
 *   { "dirpost": "public keys", "version": 1, "name", "role", "keys": [{ "signing", "recipient" }], "fingerprint", "madeAt",
 *     "recoveryKey"?, "state"?, "publish"?, "joinedAt"?, "olderUntil"?, "serial"?, … }
 *
 * `keys`, newest first: several while keys roll over, until `olderUntil`. The fingerprint is that of the first. `recoveryKey`:
 * of a server, pinned by whoever knows it. What follows is this postoffice's own word of that one; a file from elsewhere may
 * not hold it.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fileError, readBounded, writeDurably } from '@dirpost/adapters';
import {
  checkPostofficeName,
  type Clock,
  DirpostError,
  isMailAddress,
  isPostofficeName,
  type PostofficeName,
  type PublishRule,
} from '@dirpost/core';
import { fingerprint, parsePublicKeys, type PeerKeys, type PrivateKeys, publicKeys } from '@dirpost/message';
import { z } from 'zod';
import { publishedKinds } from './config/directory-fields.ts';
import type { Moved } from './following-http.ts';
import { FolderChanges } from './joining/folder-changes.ts';

/** Post-quantum recipients are some thousand characters long. */
const MAX_PEER_FILE_BYTES = 64 * 1024;

export interface Peer extends PeerKeys {
  name: PostofficeName;
  role: 'server' | 'requestor';
  fingerprint: string;
  madeAtMs: number;
  /** Ed25519, 32 octets in base64. */
  recoveryKey?: string;
  /** What this postoffice lets it publish; absent: everything but the mail domains of others. */
  publish?: PublishRule;
  /** When it joined by an invitation. */
  joinedAtMs?: number;
  /** Its mail address, as joining told it. */
  mail?: string;
  /** When all keys but the first are forgotten, by the own clock. */
  olderUntilMs?: number;
  /** Of its newest announcement that is known here (announcing.ts). */
  serial?: number;
  /** Of the newest own announcement that it has said to know. */
  heard?: number;
  /** Of a server: where it said to be reached now. */
  moved?: Moved;
}

const PUBLIC_KEY = /^[A-Za-z0-9+/]{43}=$/;

/** What may come from elsewhere. */
const publicFile = z.strictObject({
  dirpost: z.literal('public keys'),
  version: z.literal(1),
  name: z.string().refine(isPostofficeName),
  role: z.enum(['server', 'requestor']),
  keys: z
    .array(z.strictObject({ signing: z.string(), recipient: z.string() }))
    .min(1)
    .max(8),
  fingerprint: z.string(),
  madeAt: z.iso.datetime(),
  recoveryKey: z.string().regex(PUBLIC_KEY).optional(),
});

/** What stands in this postoffice's own folder. */
const peerFile = publicFile.extend({
  state: z.enum(['active', 'suspended']).optional(),
  publish: z
    .strictObject({
      kinds: z.array(z.enum(publishedKinds)).optional(),
      mailDomains: z.array(z.string()).optional(),
      maxEntries: z.int().positive().optional(),
    })
    .optional(),
  joinedAt: z.iso.datetime().optional(),
  mail: z.string().refine(isMailAddress, 'is no mail address').optional(),
  olderUntil: z.iso.datetime().optional(),
  serial: z.int().min(0).optional(),
  recoveredSerial: z.int().min(0).optional(),
  heard: z.int().min(0).optional(),
  moved: z
    .strictObject({
      http: z.string().optional(),
      certificate: z.string().optional(),
      mail: z.string().optional(),
      insteadOf: z.string().optional(),
      insteadOfMail: z.string().optional(),
      works: z.boolean().optional(),
      lookedMs: z.int().min(0).optional(),
      before: z.strictObject({ http: z.string(), certificate: z.string().optional() }).optional(),
    })
    .optional(),
});

/** The text of the own public file. */
export async function exportPeer(
  own: { postoffice: PostofficeName; role: Peer['role'] },
  keys: PrivateKeys,
  nowMs: number,
): Promise<string> {
  const announced = await publicKeys(keys);
  return formatPeer({
    name: own.postoffice,
    role: own.role,
    signing: [announced.signing],
    recipients: [announced.recipient],
    fingerprint: fingerprint(announced),
    madeAtMs: nowMs,
    ...(keys.recovery === undefined ? {} : { recoveryKey: keys.recovery }),
  });
}

/** The file comes from outside: whatever is wrong with it is DirpostError `peer-invalid`. `source` is named in messages. */
export function parsePeer(text: string, source: string): Peer {
  return readPeer(text, source, publicFile);
}

function readPeer(text: string, source: string, schema: typeof publicFile | typeof peerFile): Peer {
  const parsed = schema.safeParse(parseJson(text, source));
  if (!parsed.success) throw invalid(source, explain(parsed.error));
  const file: z.output<typeof peerFile> = parsed.data;
  const { name, role, keys, madeAt, recoveryKey, state, publish, joinedAt, mail, olderUntil, moved } = file;
  const { serial, recoveredSerial, heard } = file;
  for (const one of keys) {
    try {
      parsePublicKeys(JSON.stringify(one));
    } catch (cause) {
      throw invalid(source, cause instanceof Error ? cause.message : String(cause));
    }
  }
  const found = fingerprint(keys[0]!);
  if (found !== parsed.data.fingerprint) {
    throw invalid(source, `its fingerprint should be ${found}: the file was altered or damaged`);
  }
  return {
    name,
    role,
    signing: keys.map(({ signing }) => signing),
    recipients: keys.map(({ recipient }) => recipient),
    fingerprint: found,
    madeAtMs: Date.parse(madeAt),
    ...(recoveryKey === undefined ? {} : { recoveryKey }),
    ...(state === 'suspended' ? { suspended: true } : {}),
    ...(publish === undefined ? {} : { publish: withoutUndefined(publish) }),
    ...(joinedAt === undefined ? {} : { joinedAtMs: Date.parse(joinedAt) }),
    ...(mail === undefined ? {} : { mail }),
    ...(olderUntil === undefined ? {} : { olderUntilMs: Date.parse(olderUntil) }),
    ...withoutUndefined({ serial, recoveredSerial, heard }),
    ...(moved === undefined ? {} : { moved: withoutUndefined<Moved>(moved) }),
  };
}

/** A public file anywhere on this machine. Throws `peer-invalid`, `file-missing` … */
export async function readPeerFile(path: string): Promise<Peer> {
  return parsePeer(await readText(path), path);
}

async function readText(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readBounded(path, MAX_PEER_FILE_BYTES);
  } catch (error) {
    const cause = fileError(error, `read ${path}`);
    throw cause.code === 'limit-exceeded' ? invalid(path, 'it is far too large for one') : cause;
  }
  return bytes.toString('utf8');
}

/** All that are known, by name; empty where none was added. A damaged file is `peer-invalid` and names itself. */
export async function loadPeers(dataFolder: string, nowMs = Date.now()): Promise<Map<PostofficeName, Peer>> {
  const peers = new Map<PostofficeName, Peer>();
  for (const name of await peerNames(dataFolder)) {
    peers.set(name, await loadPeer(dataFolder, name, nowMs));
  }
  return peers;
}

/** One of them. Throws as loadPeers, and `file-missing`. */
export async function loadPeer(dataFolder: string, name: PostofficeName, nowMs = Date.now()): Promise<Peer> {
  const path = join(peersFolder(dataFolder), `${name}.json`);
  const peer = readPeer(await readText(path), path, peerFile);
  if (peer.name !== name) throw invalid(path, `it holds the keys of ${peer.name}`);
  return withoutExpired(peer, nowMs);
}

/** Older keys are forgotten when their time is over, whatever the file still holds. */
function withoutExpired(peer: Peer, nowMs: number): Peer {
  if (peer.olderUntilMs === undefined || peer.olderUntilMs > nowMs) return peer;
  const { olderUntilMs: _, signing, recipients, ...rest } = peer;
  return { ...rest, signing: signing.slice(0, 1), recipients: recipients.slice(0, 1) };
}

/** The peers of a running agent: commands change the files beside it, and `refresh` sees it. Throws as loadPeers does. */
export class Peers {
  #peers = new Map<PostofficeName, Peer>();
  readonly #changes: FolderChanges;
  readonly #onChange: ((peers: Peers) => void)[] = [];

  private constructor(
    readonly dataFolder: string,
    private readonly clock: Clock,
  ) {
    this.#changes = new FolderChanges(peersFolder(dataFolder));
  }

  static async load(dataFolder: string, clock: Clock = { now: () => Date.now() }): Promise<Peers> {
    const peers = new Peers(dataFolder, clock);
    await peers.reload();
    return peers;
  }

  get(name: PostofficeName): Peer | undefined {
    const peer = this.#peers.get(name);
    return peer === undefined ? undefined : withoutExpired(peer, this.clock.now());
  }

  all(): Peer[] {
    return [...this.#peers.values()];
  }

  /** `work` is done now, and again after each change. */
  whenChanged(work: (peers: Peers) => void): void {
    this.#onChange.push(work);
    work(this);
  }

  async reload(): Promise<void> {
    this.#changes.note();
    this.#peers = await loadPeers(this.dataFolder, this.clock.now());
    this.#changed();
  }

  /** Replaces what was known of that name. Durable when it resolves. */
  async save(peer: Peer): Promise<void> {
    await savePeer(this.dataFolder, peer);
    this.#peers.set(peer.name, peer);
    this.#changed();
  }

  /** Whether there was one. */
  async remove(name: PostofficeName): Promise<boolean> {
    const removed = await removePeer(this.dataFolder, name);
    this.#peers.delete(name);
    this.#changed();
    return removed;
  }

  /** Reads the files again if one of them was written; cheap where none was. */
  async refresh(): Promise<void> {
    if (this.#changes.happened()) await this.reload();
  }

  #changed(): void {
    for (const work of this.#onChange) work(this);
  }
}

export interface AddPeerOptions {
  /** Name of this postoffice: its own keys are no peer's. */
  own: PostofficeName;
  /** Take the new keys in place of others that are known for that name. */
  replace?: boolean;
}

/** Durable when it resolves. Throws `peer-invalid` where other keys are known for that name. */
export async function addPeer(
  dataFolder: string,
  peer: Peer,
  { own, replace = false }: AddPeerOptions,
): Promise<'added' | 'unchanged' | 'replaced'> {
  if (peer.name === own) {
    throw new DirpostError('peer-invalid', `${own} is this postoffice itself.`, {
      retry: 'operator',
      hint: 'Take the file of the other postoffice; two postoffices never have the same name.',
    });
  }
  const known = (await loadPeers(dataFolder)).get(peer.name);
  if (known !== undefined && sameKeys(known, peer) && (peer.recoveryKey ?? known.recoveryKey) === known.recoveryKey) {
    return 'unchanged';
  }
  if (known !== undefined && !replace) {
    throw new DirpostError('peer-invalid', `Other keys of ${peer.name} are known: ${known.fingerprint}.`, {
      retry: 'operator',
      hint: `Ask the administrator of ${peer.name} for the fingerprint (this file: ${peer.fingerprint}); if the new keys are right, add them with --replace.`,
    });
  }
  checkRecoveryKey(known, peer);
  // Other keys lift no suspension, and give no other rights.
  const { suspended, publish, joinedAtMs, recoveryKey, recoveredSerial, mail } = known ?? {};
  const kept = { suspended, publish, joinedAtMs, recoveryKey, recoveredSerial, mail };
  await savePeer(dataFolder, { ...withoutUndefined(kept), ...peer });
  return known === undefined ? 'added' : 'replaced';
}

/** Replaces what was known of that name. Durable when it resolves. */
export async function savePeer(dataFolder: string, peer: Peer): Promise<void> {
  const folder = peersFolder(dataFolder);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw fileError(error, `make ${folder}`);
  }
  await writeDurably(folder, `${peer.name}.json`, Buffer.from(formatPeer(peer)), { mode: 0o600 });
}

/** Pinned: it is what stays when a server's own keys are lost or stolen. */
function checkRecoveryKey(known: Peer | undefined, { name, recoveryKey }: Peer): void {
  if (known?.recoveryKey === undefined || recoveryKey === undefined || recoveryKey === known.recoveryKey) return;
  throw new DirpostError('peer-invalid', `The file names another recovery key of ${name} than the one that is known.`, {
    retry: 'operator',
    hint: `A postoffice has one recovery key for life. If ${name} was made anew on purpose, remove ${name}.json from the folder peers first.`,
  });
}

/** Whether there was one. */
export async function removePeer(dataFolder: string, name: string): Promise<boolean> {
  const path = join(peersFolder(dataFolder), `${checkPostofficeName(name)}.json`);
  try {
    await rm(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw fileError(error, `remove ${path}`);
  }
}

function peersFolder(dataFolder: string): string {
  return join(dataFolder, 'peers');
}

async function peerNames(dataFolder: string): Promise<string[]> {
  const folder = peersFolder(dataFolder);
  try {
    const names = (await readdir(folder)).filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -5));
    return names.filter(isPostofficeName).sort();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw fileError(error, `read ${folder}`);
  }
}

function sameKeys(one: PeerKeys, other: PeerKeys): boolean {
  return JSON.stringify([one.signing, one.recipients]) === JSON.stringify([other.signing, other.recipients]);
}

function withoutUndefined<T extends object>(given: T): { [name in keyof T]?: Exclude<T[name], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as never;
}

function formatPeer(peer: Peer): string {
  const file: z.input<typeof peerFile> = {
    dirpost: 'public keys',
    version: 1,
    name: peer.name,
    role: peer.role,
    keys: peer.signing.map((signing, i) => ({ signing, recipient: peer.recipients[i]! })),
    fingerprint: peer.fingerprint,
    madeAt: new Date(peer.madeAtMs).toISOString(),
    ...(peer.recoveryKey === undefined ? {} : { recoveryKey: peer.recoveryKey }),
    ...(peer.suspended === true ? { state: 'suspended' } : {}),
    ...(peer.publish === undefined ? {} : { publish: peer.publish as z.input<typeof peerFile>['publish'] }),
    ...(peer.joinedAtMs === undefined ? {} : { joinedAt: new Date(peer.joinedAtMs).toISOString() }),
    ...(peer.mail === undefined ? {} : { mail: peer.mail }),
    ...(peer.olderUntilMs === undefined ? {} : { olderUntil: new Date(peer.olderUntilMs).toISOString() }),
    ...withoutUndefined({ serial: peer.serial, recoveredSerial: peer.recoveredSerial, heard: peer.heard }),
    ...(peer.moved === undefined ? {} : { moved: peer.moved }),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(source, 'it is not JSON; was it cut short, or changed on its way by a mail program?');
  }
}

function explain(error: z.ZodError): string {
  const faults = error.issues.map(
    ({ path, message }) => `${path.length === 0 ? 'the file' : path.join('.')}: ${message}`,
  );
  return faults.slice(0, 5).join('; ');
}

function invalid(source: string, reason: string): DirpostError {
  return new DirpostError('peer-invalid', `${source} is not a file of public keys: ${reason}.`, {
    retry: 'operator',
    hint: 'Have it made again at the other postoffice with `dirpost peer export`.',
  });
}
