/** A server and three requestors by mail alone, and what mail systems do to mails: all come to agree, without a resync. */
import { expect, it } from 'vitest';
import { PATIENCE_MS } from '../network/fresh-network.ts';
import { Dice } from '../network/network.ts';
import { describeMail } from '../servers/mail/presence.ts';
import { freshMailNetwork, type OpenMailNetwork } from './fresh-mail-network.ts';
import { addressOf, mailUsers, passwordOf, writePassword } from './mail-network.ts';

const SEED = 'mail cycle 1';

describeMail('a network by mail', () => {
  const opened = freshMailNetwork(SEED, 3);

  /** Somebody changes at each office, and all come to know it. */
  const exchange = async (
    { network }: OpenMailNetwork,
    what: string,
    between: () => Promise<unknown> = async () => {},
  ) => {
    const dice = new Dice(`${SEED} ${what}`);
    for (const office of network.offices) await network.change(office, dice);
    await between();
    await network.expectNoResync();
  };

  it('joins, and exchanges what changes', async () => {
    const { network, mail } = opened();
    await exchange(opened(), 'first');
    for (const office of network.offices) {
      // A cycle may be under way; in between nothing lies in the inbox.
      const isEmpty = async () => (await mail.mails(addressOf(office))).length === 0;
      await network.until(`the inbox of ${office.name} is empty`, isEmpty, PATIENCE_MS);
      expect(await mail.mails(addressOf(office), 'dirpost-processed')).not.toEqual([]);
    }
  });

  it('knows its mails with a footer, another Message-ID and another name, and takes each once that arrives twice', async () => {
    const { mail } = opened();
    await mail.change({ footer: true, duplicate: true });
    await exchange(opened(), 'gateway');
    await mail.change({ footer: false, duplicate: false });
  });

  it('agrees when mails come late and the newest comes first', async () => {
    const { network, mail } = opened();
    await mail.change({ delay: true });
    await exchange(opened(), 'late', async () => {
      for (let round = 0; round < 3; round++) {
        await network.until('six mails wait', async () => (await mail.queued()).length >= 6, PATIENCE_MS);
        await mail.releaseDelayed('reversed');
      }
      await mail.change({ delay: false });
      await mail.releaseDelayed('reversed');
    });
  });

  it('agrees when mailboxes are wiped while mails are in them', async () => {
    const { network, mail } = opened();
    await exchange(opened(), 'wiped', async () => {
      for (const office of network.offices) await mail.wipeMailbox(addressOf(office));
    });
  });

  it('agrees when UIDVALIDITY has changed', async () => {
    const { network, mail } = opened();
    await exchange(opened(), 'renumbered', async () => {
      for (const office of network.offices) await mail.newUidValidity(addressOf(office));
    });
  });

  it('says that a password is wrong, and goes on with the new one without a restart', async () => {
    const { network, mail } = opened();
    const branch = network.branches[0]!;
    const from = network.told.get(branch)!.length;
    await mail.setPassword(addressOf(branch), 'another');
    await mail.restartDovecot();
    await exchange(opened(), 'password', async () => {
      await network.says(branch, /password|log ?in/i, from);
      await writePassword(branch, 'another');
    });
    await mail.setPassword(addressOf(branch), passwordOf(branch));
    await writePassword(branch, passwordOf(branch));
  });

  it('sends nothing to a server whose certificate is wrong, and says so', async () => {
    const { network, mail } = opened();
    const branch = network.branches[1]!;
    const from = network.told.get(branch)!.length;
    await mail.change({ certificate: 'unknown authority' });
    const taken = await mail.takenFromClients();
    expect(taken).toBeGreaterThan(0);
    await exchange(opened(), 'certificate', async () => {
      await network.says(branch, /certificate/i, from);
      expect(await mail.takenFromClients()).toBe(taken);
      await mail.change({ certificate: 'right' });
    });
  });

  it('says that a mailbox is full, and agrees once there is room', async () => {
    const { network, mail } = opened();
    const branch = network.branches[2]!;
    const users = mailUsers(network.offices.map(({ name }) => name));
    const full = users.map((user) => (user.address === addressOf(branch) ? { ...user, quotaBytes: 1 } : user));
    const from = network.told.get(network.hq)!.length;
    await mail.change({ users: full });
    await exchange(opened(), 'quota', async () => {
      await network.says(network.hq, new RegExp(`${branch.name}.*(?:quota|full)`, 'i'), from);
      await mail.change({ users });
    });
  });
});
