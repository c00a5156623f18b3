/**
 * Whom a restored postoffice trusts. A backup knows nothing of who was removed or suspended since, nor which invitations
 * were taken back: keys that were stolen then would be good again. What the folder of peers here knows of it is kept.
 */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { isDirpostError, isPostofficeName, type PostofficeName, type PublishRule } from '@dirpost/core';
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
  /** At a server: what its file says that it may publish; null: what is so by itself. The configuration counts before it. */
  publish: PublishRule | null;
  /** What it may publish was otherwise in the backup, and is as it was set here. */
  isRuleOfHere: boolean;
}

/** Those of the backup, which lie in `staged`; `here`: a data folder of before, with a folder of peers or without. */
export async function keepSuspensions(
  staged: string,
  here: string,
  isServer: boolean,
  nowMs = Date.now(),
): Promise<{ peers: RestoredPeer[]; isCompared: boolean }> {
  // A branch has only its server there, and no command to let that one back in.
  const isCompared = isServer && (await isTaken(join(here, 'peers')));
  const found: RestoredPeer[] = [];
  for (const name of await namesIn(join(staged, 'peers'))) {
    const peer = await loadPeer(staged, name, nowMs).catch(() => undefined);
    if (peer === undefined) {
      found.push({ name, fingerprint: null, suspended: false, why: null, publish: null, isRuleOfHere: false });
      continue;
    }
    const known = isCompared ? await knownHere(here, name, nowMs) : null;
    const why = known === null || peer.suspended === true ? null : whySuspended(peer, known);
    const after = known === null || typeof known === 'string' ? peer : asKnownHere(peer, known);
    if (why !== null) await savePeer(staged, { ...after, suspended: true });
    else if (!isDeepStrictEqual(after, peer)) await savePeer(staged, after);
    const { fingerprint, publish = null } = after;
    const suspended = why !== null || peer.suspended === true;
    const isRuleOfHere = !isDeepStrictEqual(publish, peer.publish ?? null);
    found.push({ name, fingerprint, suspended, why, publish, isRuleOfHere });
  }
  return { peers: found, isCompared };
}

async function knownHere(here: string, name: PostofficeName, nowMs: number): Promise<Peer | WhySuspended> {
  try {
    return await loadPeer(here, name, nowMs);
  } catch (error) {
    return isDirpostError(error, 'file-missing') ? 'removed here' : 'unreadable here';
  }
}

function whySuspended(peer: Peer, known: Peer | WhySuspended): WhySuspended | null {
  if (typeof known === 'string') return known;
  if (known.suspended === true) return 'suspended here';
  if (hasRolled(peer, known)) return null;
  // Who was removed for stolen keys and joined again has others.
  return peer.signing.every((key) => known.signing.includes(key)) ? null : 'other keys here';
}

/** What was announced here since is by keys that follow from those of the backup: he did not join in between. */
function hasRolled(peer: Peer, known: Peer): boolean {
  return (known.serial ?? 0) > (peer.serial ?? 0) && known.joinedAtMs === peer.joinedAtMs;
}

/** What an administrator has set since: a rule that was narrowed does not become a wide one again. And keys that were rolled over. */
function asKnownHere(peer: Peer, known: Peer): Peer {
  const { publish: _rule, mail: _address, ...rest } = hasRolled(peer, known) ? withKeysOf(known, peer) : peer;
  const { publish, mail } = known;
  return { ...rest, ...(publish && { publish }), ...(mail && { mail }) };
}

function withKeysOf({ signing, recipients, fingerprint, serial, olderUntilMs }: Peer, peer: Peer): Peer {
  const { olderUntilMs: _until, ...rest } = peer;
  const until = olderUntilMs === undefined ? {} : { olderUntilMs };
  return { ...rest, signing, recipients, fingerprint, serial: serial!, ...until };
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
