/**
 * Of a peer, what messages change while commands may change its file beside: what an administrator says there
 * (`requestor suspend`, `requestor mail`, `peer add`) is not undone by what the agent had in memory.
 */
import { isDirpostError } from '@dirpost/core';
import { loadPeer, type Peer, type Peers } from './peers.ts';

/**
 * Replaces `before`, as `peers` has it, by `after`, but for what is an administrator's word; whether it was so. Nothing is
 * saved where it is not known any more, or has other keys by now. Durable when it resolves. Throws as loadPeer does, but
 * for `file-missing`.
 */
export async function saveKnown(peers: Peers, before: Peer, after: Peer): Promise<boolean> {
  const now = await loadPeer(peers.dataFolder, before.name).catch((error: unknown) => {
    if (isDirpostError(error, 'file-missing')) return undefined;
    throw error;
  });
  if (now === undefined || now.fingerprint !== before.fingerprint) {
    await peers.reload();
    return false;
  }
  const { suspended: _state, publish: _rule, mail: _address, ...said } = after;
  const { suspended, publish, mail } = now;
  await peers.save({ ...said, ...(suspended && { suspended }), ...(publish && { publish }), ...(mail && { mail }) });
  return true;
}
