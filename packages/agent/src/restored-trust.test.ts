/** Keys of a backup beside those that a requestor has by now; whole restores: test/cli/restored-trust.test.ts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fingerprint, generateKeys, publicKeys } from '@dirpost/message';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadPeer, type Peer, savePeer } from './peers.ts';
import { keepSuspensions } from './restored-trust.ts';

const NOW_MS = Date.UTC(2026, 0, 2);
let root: string;
let [staged, here]: string[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'dirpost-trust-'));
  [staged, here] = [join(root, 'staged'), join(root, 'here')];
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function peer(more: Partial<Peer> = {}): Promise<Peer> {
  const keys = await publicKeys(await generateKeys());
  const { signing, recipient } = keys;
  const own = { signing: [signing], recipients: [recipient], fingerprint: fingerprint(keys) };
  return { name: 'oslo', role: 'requestor', ...own, madeAtMs: 0, joinedAtMs: NOW_MS, ...more };
}

async function restored(backup: Peer, known: Peer): Promise<{ why: string | null; after: Peer }> {
  await savePeer(staged!, backup);
  await savePeer(here!, known);
  const { peers } = await keepSuspensions(staged!, here!, true, NOW_MS);
  return { why: peers[0]!.why, after: await loadPeer(staged!, 'oslo', NOW_MS) };
}

it('who only rolled over since goes on with the keys that are known here, and what they announced', async () => {
  const backup = await peer({ heard: 3 });
  const { heard: _, ...known } = { ...(await peer()), serial: 7, heard: 9 };
  // What he knows of this postoffice is as of then, as its own keys are.
  expect(await restored(backup, known)).toEqual({ why: null, after: { ...known, heard: 3 } });
});

it('while his older keys still count, they count on', async () => {
  const backup = await peer({ serial: 2 });
  const next = await peer();
  const both = {
    signing: [...next.signing, ...backup.signing],
    recipients: [...next.recipients, ...backup.recipients],
  };
  const known = { ...next, ...both, serial: 7, olderUntilMs: NOW_MS + 1_000 };
  expect(await restored(backup, known)).toEqual({ why: null, after: known });
});

it.each([
  ['has joined anew', { serial: 7, joinedAtMs: NOW_MS + 1_000 }],
  ['has keys by hand, of which nothing was announced', {}],
  ['has announced nothing newer than the backup knows', { serial: 2 }],
])('who %s is suspended', async (_, more) => {
  const backup = await peer({ serial: 2 });
  expect(await restored(backup, await peer(more))).toEqual({
    why: 'other keys here',
    after: { ...backup, suspended: true },
  });
});
