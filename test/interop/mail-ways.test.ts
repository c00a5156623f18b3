/** Mail and a folder between the same postoffices: switched in mid-sequence, and back, without a resync. */
import { expect, it } from 'vitest';
import { PATIENCE_MS } from '../network/fresh-network.ts';
import { Dice } from '../network/network.ts';
import { describeMail } from '../servers/mail/presence.ts';
import { freshMailNetwork } from './fresh-mail-network.ts';

const SEED = 'mail ways 1';

describeMail('a network by mail and by a folder', () => {
  const opened = freshMailNetwork(SEED, 1, { folder: { path: '../exchange' } });

  it('goes by the folder while the mail system is away, says so once, and is back on mail without a resync', async () => {
    const { network, mail } = opened();
    const branch = network.branches[0]!;
    const dice = new Dice(SEED);
    const from = network.told.get(branch)!.length;
    await mail.killServers();
    await network.change(branch, dice);
    await network.says(branch, /^message files to hq go by folder instead of mail/, from);
    await network.change(network.hq, dice);
    await network.inStep(PATIENCE_MS);

    await Promise.all([mail.startDovecot(), mail.startExim()]);
    await network.says(branch, /^message files to hq go by mail instead of folder/, from);
    await network.change(branch, dice);
    await network.expectNoResync();
    expect(network.linesOf(branch, /^message files to hq go by/, from)).toHaveLength(2);
  });
});
