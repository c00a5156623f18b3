/** Keys that roll over while real agents talk http: requests are signed, too, and nothing is held up. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Office } from '../demo/office.ts';
import { Dice } from './network.ts';
import { freshNetwork, PATIENCE_MS } from './fresh-network.ts';

const networkOf = freshNetwork('keys 1', 2);

async function fingerprintAt(office: Office, name: string): Promise<string> {
  const { peers } = await office.json<{ peers: { name: string; fingerprint: string }[] }>('keys');
  return peers.find((peer) => peer.name === name)!.fingerprint;
}

const signingIn = async (office: Office): Promise<string> =>
  (JSON.parse(await readFile(join(office.data, 'keys.json'), 'utf8')) as { signing: string }).signing;

it('at a branch and at the server, by commands beside their agents: all go on by http, and nothing is refused', async () => {
  const network = networkOf();
  const { hq, branches } = network;
  const [b1, b2] = branches as [Office, Office];
  const dice = new Dice('keys 1');
  const before = new Map(network.offices.map((office) => [office, network.told.get(office)!.length]));
  const keys = await signingIn(b1);
  const { fingerprint } = await b1.json<{ fingerprint: string }>('keys', 'roll');
  expect(await signingIn(b1)).not.toBe(keys);
  await network.change(b1, dice);
  await network.until(
    'hq knows the keys of b1',
    async () => (await fingerprintAt(hq, 'b1')) === fingerprint,
    PATIENCE_MS,
  );
  await network.says(b1, /^hq knows the present keys/, before.get(b1)!);
  const { fingerprint: next } = await hq.json<{ fingerprint: string }>('keys', 'roll');
  await network.change(hq, dice);
  for (const branch of [b1, b2]) {
    await network.until(
      `${branch.name} knows the keys of hq`,
      async () => (await fingerprintAt(branch, 'hq')) === next,
      PATIENCE_MS,
    );
  }
  await network.change(b2, dice);
  await network.expectNoResync();
  // Both sides are started again: what they know stands in files.
  for (const office of [hq, b1]) {
    await network.stop(office, 'SIGTERM');
    network.start(office);
  }
  await network.change(b1, dice);
  await network.expectNoResync();
  const refused = /not taken|not let this postoffice/;
  for (const office of [b1, b2]) expect(network.linesOf(office, refused, before.get(office)!)).toEqual([]);
  expect(network.linesOf(hq, /not taken/, before.get(hq)!)).toEqual([]);
});
