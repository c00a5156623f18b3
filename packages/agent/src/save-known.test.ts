import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fingerprint, generateKeys, publicKeys } from '@dirpost/message';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { addPeer, loadPeer, type Peer, Peers, removePeer, savePeer } from './peers.ts';
import { saveKnown } from './save-known.ts';

let data: string;
let peers: Peers;
let before: Peer;

async function peer(): Promise<Peer> {
  const keys = await publicKeys(await generateKeys());
  const { signing, recipient } = keys;
  const own = { signing: [signing], recipients: [recipient], fingerprint: fingerprint(keys) };
  return { name: 'oslo', role: 'requestor', ...own, madeAtMs: 0, serial: 1 };
}

beforeEach(async () => {
  data = mkdtempSync(join(tmpdir(), 'dirpost-known-'));
  await savePeer(data, await peer());
  peers = await Peers.load(data);
  before = peers.get('oslo')!;
});
afterEach(() => rmSync(data, { recursive: true, force: true }));

it('what a command has set since stays, and is known at once', async () => {
  const publish = { maxEntries: 5 };
  const set = { suspended: true, publish, mail: 'dirpost@oslo.example.org' };
  await savePeer(data, { ...before, ...set });
  expect(await saveKnown(peers, before, { ...before, serial: 2 })).toBe(true);
  expect(await loadPeer(data, 'oslo')).toEqual({ ...before, ...set, serial: 2 });
  expect(peers.get('oslo')).toEqual({ ...before, ...set, serial: 2 });
});

it('what a command has lifted since does not come back', async () => {
  const { name } = before;
  await savePeer(data, { ...before, suspended: true, mail: 'old@oslo.example.org' });
  await peers.reload();
  const known = peers.get(name)!;
  await savePeer(data, before);
  expect(await saveKnown(peers, known, { ...known, serial: 2 })).toBe(true);
  expect(await loadPeer(data, name)).toEqual({ ...before, serial: 2 });
});

it('who was removed since does not come back', async () => {
  await removePeer(data, 'oslo');
  expect(await saveKnown(peers, before, { ...before, serial: 2 })).toBe(false);
  expect(peers.get('oslo')).toBeUndefined();
  await expect(loadPeer(data, 'oslo')).rejects.toMatchObject({ code: 'file-missing' });
});

it('keys that a command has put in their place stay', async () => {
  const other = await peer();
  await addPeer(data, other, { own: 'hq', replace: true });
  expect(await saveKnown(peers, before, { ...before, serial: 2 })).toBe(false);
  expect(peers.get('oslo')?.fingerprint).toBe(other.fingerprint);
});
