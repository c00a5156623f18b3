/**
 * Collecting as a process of its own, for mail-collect, so that its memory is told from that of the bench:
 *
 *   mail-collect-side.ts dirpost CONFIGURATION     the mail transport of that postoffice, into its spool
 *   mail-collect-side.ts imapflow {…servers,user}   only fetches, and leaves everything where it is
 *
 * The last line printed is CollectedMails. Logged in to the mailbox, with all programs loaded, is where it begins.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { loadConfiguration, openAgent } from 'dirpost';
import { PlainMailbox } from './plain-mail.ts';

export interface CollectedMails {
  files: number;
  /** Of the files; of the whole mails for imapflow. */
  octets: number;
  seconds: number;
  /** Peak of resident memory above what was resident before. */
  growthBytes: number;
}

type Counted = Pick<CollectedMails, 'files' | 'octets'>;

const sides: Record<string, (from: string) => Promise<CollectedMails>> = {
  async dirpost(configFile) {
    const agent = await openAgent(await loadConfiguration(configFile), { tell: ({ text }) => console.error(text) });
    const { spool } = agent.postoffice;
    const mail = agent.transports.mail!;
    const { signal } = new AbortController();
    let octets = 0;
    // As receive.ts does it.
    const take = async (bytes: Uint8Array): Promise<boolean> => {
      const name = createHash('sha256').update(bytes).digest('hex').slice(0, 32);
      await spool.put('incoming', `${name}_mail.dpm`, bytes);
      octets += bytes.length;
      return true;
    };
    try {
      await mail.lookAtMailbox(signal);
      return await measured(async () => ({ files: await mail.collect(take, signal), octets }));
    } finally {
      await agent.close();
    }
  },
  async imapflow(from) {
    const { user, ...servers } = JSON.parse(from);
    const mailbox = await PlainMailbox.open(servers, user);
    try {
      return await measured(async () => {
        const { mails, octets } = await mailbox.fetchAll();
        return { files: mails, octets };
      });
    } finally {
      await mailbox.close();
    }
  },
};

async function measured(work: () => Promise<Counted>): Promise<CollectedMails> {
  // proc(5): the peak begins anew here.
  writeFileSync('/proc/self/clear_refs', '5');
  const before = statusBytes('VmRSS');
  const started = performance.now();
  const counted = await work();
  const seconds = (performance.now() - started) / 1_000;
  return { ...counted, seconds, growthBytes: statusBytes('VmHWM') - before };
}

function statusBytes(name: string): number {
  const found = new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
  if (found === null) throw new Error('This system does not say how much memory a process has.');
  return Number(found[1]) * 1_024;
}

const [side, from] = process.argv.slice(2) as [string, string];
console.log(JSON.stringify(await sides[side]!(from)));
