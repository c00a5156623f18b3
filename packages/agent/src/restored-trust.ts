/**
 * Whom a restored postoffice trusts. A backup knows nothing of who was removed or suspended since, nor which invitations
 * were taken back: keys that were stolen then would be good again. What the folder of peers here knows of it is kept.
 */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isDirpostError, isPostofficeName, type PostofficeName } from '@dirpost/core';
import { Invitations, stateOf } from './joining/invitations.ts';
import { loadPeer, type Peer, savePeer } from './peers.ts';
import { isTaken } from './replacement.ts';

export type WhySuspended = 'removed here' | 'suspended here' | 'other keys here' | 'unreadable here';

export interface RestoredPeer {
  name: PostofficeName;
  /** null: its file in the backup is damaged. */
  fingerprint: string | null;
  suspended: boolean;
  /** null: it is as it was in the backup, and no word against that is known here. */
  why: WhySuspended | null;
}

/** Those of the backup, which lie in `staged`; `here`: a data folder of before, with a folder of peers or without. */
export async function keepSuspensions(
  staged: string,
  here: string,
  isServer: boolean,
): Promise<{ peers: RestoredPeer[]; isCompared: boolean }> {
  // A branch has only its server there, and no command to let that one back in.
  const isCompared = isServer && (await isTaken(join(here, 'peers')));
  const found: RestoredPeer[] = [];
  for (const name of await namesIn(join(staged, 'peers'))) {
    const peer = await loadPeer(staged, name).catch(() => undefined);
    if (peer === undefined) {
      found.push({ name, fingerprint: null, suspended: false, why: null });
      continue;
    }
    const why = isCompared && peer.suspended !== true ? await whySuspended(peer, here) : null;
    if (why !== null) await savePeer(staged, { ...peer, suspended: true });
    const { fingerprint } = peer;
    found.push({ name, fingerprint, suspended: why !== null || peer.suspended === true, why });
  }
  return { peers: found, isCompared };
}

async function whySuspended(peer: Peer, here: string): Promise<WhySuspended | null> {
  let known: Peer;
  try {
    known = await loadPeer(here, peer.name);
  } catch (error) {
    return isDirpostError(error, 'file-missing') ? 'removed here' : 'unreadable here';
  }
  if (known.suspended === true) return 'suspended here';
  // Who was removed for stolen keys and joined again has others.
  return peer.signing.every((key) => known.signing.includes(key)) ? null : 'other keys here';
}

/** Names of those that are open; all names where one cannot be read. */
export async function openInvitations(staged: string, nowMs: number): Promise<PostofficeName[]> {
  try {
    const all = (await Invitations.load(staged)).all();
    return all
      .filter((one) => stateOf(one, nowMs) === 'open')
      .map(({ name }) => name)
      .sort();
  } catch {
    return namesIn(join(staged, 'invitations'));
  }
}

async function namesIn(folder: string): Promise<PostofficeName[]> {
  const files = (await readdir(folder).catch(() => [])).filter((file) => file.endsWith('.json'));
  return files
    .map((file) => basename(file, '.json'))
    .filter(isPostofficeName)
    .sort();
}
