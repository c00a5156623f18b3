/**
 * The public keys of the other postoffices: `<data>/peers/<name>.json`. The same small file travels by hand or mail
 * (`dirpost peer export`) and is added at the other end after two people compared the fingerprint (`dirpost peer add`).
 *
 *   { "dirpost": "public keys", "version": 1, "name", "role", "keys": [{ "signing", "recipient" }], "fingerprint", "madeAt" }
 *
 * `keys`, newest first: several while keys roll over. The fingerprint is that of the first.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fileError, readBounded, writeDurably } from '@dirpost/adapters';
import { checkPostofficeName, DirpostError, isPostofficeName, type PostofficeName } from '@dirpost/core';
import { fingerprint, parsePublicKeys, type PeerKeys, type PrivateKeys, publicKeys } from '@dirpost/message';
import { z } from 'zod';

/** Post-quantum recipients are some thousand characters long. */
const MAX_PEER_FILE_BYTES = 64 * 1024;

export interface Peer extends PeerKeys {
  name: PostofficeName;
  role: 'server' | 'requestor';
  fingerprint: string;
  madeAtMs: number;
}

const peerFile = z.strictObject({
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
  });
}

/** The file comes from outside: whatever is wrong with it is DirpostError `peer-invalid`. `source` is named in messages. */
export function parsePeer(text: string, source: string): Peer {
  const parsed = peerFile.safeParse(parseJson(text, source));
  if (!parsed.success) throw invalid(source, explain(parsed.error));
  const { name, role, keys, madeAt } = parsed.data;
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
  };
}

/** A public file anywhere on this machine. Throws `peer-invalid`, `file-missing` … */
export async function readPeerFile(path: string): Promise<Peer> {
  let bytes: Buffer;
  try {
    bytes = await readBounded(path, MAX_PEER_FILE_BYTES);
  } catch (error) {
    const cause = fileError(error, `read ${path}`);
    throw cause.code === 'limit-exceeded' ? invalid(path, 'it is far too large for one') : cause;
  }
  return parsePeer(bytes.toString('utf8'), path);
}

/** All that are known, by name; empty where none was added. A damaged file is `peer-invalid` and names itself. */
export async function loadPeers(dataFolder: string): Promise<Map<PostofficeName, Peer>> {
  const peers = new Map<PostofficeName, Peer>();
  for (const name of await peerNames(dataFolder)) {
    const path = join(peersFolder(dataFolder), `${name}.json`);
    const peer = await readPeerFile(path);
    if (peer.name !== name) throw invalid(path, `it holds the keys of ${peer.name}`);
    peers.set(name, peer);
  }
  return peers;
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
  if (known !== undefined && sameKeys(known, peer)) return 'unchanged';
  if (known !== undefined && !replace) {
    throw new DirpostError('peer-invalid', `Other keys of ${peer.name} are known: ${known.fingerprint}.`, {
      retry: 'operator',
      hint: `Ask the administrator of ${peer.name} for the fingerprint (this file: ${peer.fingerprint}); if the new keys are right, add them with --replace.`,
    });
  }
  const folder = peersFolder(dataFolder);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw fileError(error, `make ${folder}`);
  }
  await writeDurably(folder, `${peer.name}.json`, Buffer.from(formatPeer(peer)), { mode: 0o600 });
  return known === undefined ? 'added' : 'replaced';
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

function formatPeer(peer: Peer): string {
  const file: z.input<typeof peerFile> = {
    dirpost: 'public keys',
    version: 1,
    name: peer.name,
    role: peer.role,
    keys: peer.signing.map((signing, i) => ({ signing, recipient: peer.recipients[i]! })),
    fingerprint: peer.fingerprint,
    madeAt: new Date(peer.madeAtMs).toISOString(),
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
