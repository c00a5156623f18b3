/**
 * Exim, Dovecot and the agents are killed in turn (SIGKILL) while people change: all come to agree, nothing is sent again
 * that was verified. `npm run chaos -- --mail` does the same at length.
 */
import { expect, it } from 'vitest';
import { PATIENCE_MS } from '../network/fresh-network.ts';
import { waitingIn } from '../network/remains.ts';
import { resentFaults } from '../network/resent.ts';
import { describeMail } from '../servers/mail/presence.ts';
import { MailChaos } from './mail-chaos.ts';
import { freshMailNetwork } from './fresh-mail-network.ts';

const SEED = 'mail kills 1';

describeMail('a network by mail', () => {
  const opened = freshMailNetwork(SEED, 2);

  it('survives kills of Exim, Dovecot and agents', async () => {
    const { network, mail } = opened();
    const chaos = new MailChaos({ network, mail }, { rounds: 2, exchanges: 10, killEachMs: 1_000 }, SEED);

    await chaos.run();
    const { exim, dovecot, agents } = chaos.happened;
    for (const kills of [exim, dovecot, agents]) expect(kills).toBeGreaterThanOrEqual(2);
    await network.expectNoResync();
    await network.until('nothing waits any more', () => waitingIn(network), PATIENCE_MS);
    const watched = await resentFaults(network, network.told, true);
    expect(watched.faults).toEqual([]);
    expect(watched.messages).toBeGreaterThanOrEqual(10);
  });
});
