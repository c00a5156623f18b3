/**
 * Others that go on with keys that they have replaced. Such a postoffice was restored from before its roll-over, does not
 * know of it, and is locked out when the overlap is over; nothing that an older key says puts it back in the place of the newest.
 *
 *   signed by an older key ──▶ told what was heard of it (at most hourly: it may only have come late)
 *   announces by an older key what is newer than all that was heard ──▶ noted: a warning, and in the status
 *   signs what is new with the newest key again, or has joined anew ──▶ forgotten
 */
import { DirpostError, loadOwn, type PostofficeName, type StoreTx } from '@dirpost/core';
import type { Postoffice } from './postoffice.ts';
import type { Peer } from './peers.ts';

const AGAIN_AFTER_MS = 3_600_000;
const documentOf = (name: PostofficeName) => `older-keys/${name}`;

interface OlderKeys {
  /** When it was told last what was heard of it. */
  toldMs: number;
  /** Fingerprint of the newest keys beside which it goes on with older ones; null: nothing shows that it does. */
  besides: string | null;
}

/**
 * Whether the peer has to be told what was heard of it, for it signed with a key that it has replaced. `isNews`: nothing
 * that was heard before; what comes late or once more, by a key that was the newest then, tells nothing of today.
 */
export async function noteSigner(
  { store, clock }: Postoffice,
  peer: Peer,
  { signing, isNews }: { signing: string; isNews: boolean },
): Promise<boolean> {
  const place = peer.signing.indexOf(signing);
  if (place < 0) return false;
  const known = await store.read((tx) => tx.getDocument<OlderKeys>(documentOf(peer.name)));
  if (place === 0) {
    if (known != null && isNews) await store.transaction((tx) => tx.removeDocument(documentOf(peer.name)));
    return false;
  }
  const nowMs = clock.now();
  if (known != null && Math.abs(nowMs - known.toldMs) < AGAIN_AFTER_MS) return false;
  const besides = known?.besides ?? null;
  await store.transaction((tx) =>
    tx.putDocument(documentOf(peer.name), { toldMs: nowMs, besides } satisfies OlderKeys),
  );
  return true;
}

/** An older key announced what is newer than all that was heard: whoever has it goes on with it. */
export async function noteGoneBack({ store, clock, tell }: Postoffice, peer: Peer): Promise<void> {
  const { name, role, fingerprint, olderUntilMs } = peer;
  const isNew = await store.transaction(async (tx) => {
    const known = await tx.getDocument<OlderKeys>(documentOf(name));
    if (known?.besides === fingerprint) return false;
    const toldMs = known?.toldMs ?? clock.now();
    await tx.putDocument(documentOf(name), { toldMs, besides: fingerprint } satisfies OlderKeys);
    return true;
  });
  if (!isNew) return;
  const until = olderUntilMs === undefined ? 'soon' : `on ${new Date(olderUntilMs).toISOString()}`;
  const advice =
    role === 'server'
      ? 'Its administrator replaces them: dirpost keys replace, there'
      : `Let it join anew: dirpost requestor remove ${name} --keep-entries, dirpost invite ${name}`;
  const text = `${name} uses keys that it has replaced: was it restored? They end ${until}, and nothing of it is taken then. ${advice}`;
  tell({ time: 'T3', level: 'warning', text, details: { name, olderUntilMs: olderUntilMs ?? null } });
}

/** Whether that requestor goes on with keys that it has replaced, or was locked out with them. */
export async function goesOnWithOlder(
  tx: StoreTx,
  { name, fingerprint }: { name: PostofficeName; fingerprint: string | null },
): Promise<boolean> {
  const known = await tx.getDocument<OlderKeys>(documentOf(name));
  return fingerprint !== null && known?.besides === fingerprint;
}

/** Of one who is no requestor any more. */
export async function forgetSigner(tx: StoreTx, name: PostofficeName): Promise<void> {
  await tx.removeDocument(documentOf(name));
}

/** Throws DirpostError `wrong-use` where the keys here may be older than those that the server follows. */
export async function checkRestored({ store, requestor, name }: Postoffice): Promise<void> {
  const { restored } = await store.read(loadOwn);
  if (restored !== true) return;
  throw new DirpostError('wrong-use', `${name} was restored, and ${requestor.server} has not answered it since.`, {
    retry: 'later',
    hint: 'The keys here may be older than those that it knows. Run dirpost sync, and wait for the answer; then roll over. Nothing was changed.',
  });
}
