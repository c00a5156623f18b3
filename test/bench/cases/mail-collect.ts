/**
 * How fast message files that wait in a mailbox are taken into the spool, and in how much memory: by the mail transport of
 * a real postoffice, which asks for each mail's structure, checks each file's signature, makes it durable in the spool and
 * moves the mail; beside it imapflow, which only fetches the same mails.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfiguration, openAgent } from 'dirpost';
import type { CollectedMails } from '../mail-collect-side.ts';
import { type MailOffices, openMailOffices } from '../mail-offices.ts';
import type { BenchCase, Figure } from '../run.ts';

const FILES = 1_000;
const FILE_BYTES = 1_500;
const LARGE_FILES = 40;
const LARGE_FILE_BYTES = 2_000_000;
/** Connections that a server gets from us at most. */
const AT_ONCE = 3;
const MEGABYTE = 1_000_000;
const MAX_GROWTH_MB = 64;
/** Of the memory for twice as many files as before. */
const MAX_GROWTH_RATIO = 1.5;
/** 50 a second. */
const MAX_MS_PER_FILE = 20;

const bench: BenchCase = {
  name: 'mail-collect',
  describe: `${FILES.toLocaleString('en')} message files that wait in a mailbox (Dovecot on loopback), taken into the spool`,
  async run(): Promise<Figure[]> {
    const offices = await openMailOffices(1);
    try {
      await deliver(offices, FILES, FILE_BYTES);
      const small = measure(offices, FILES);
      await deliver(offices, LARGE_FILES / 2, LARGE_FILE_BYTES);
      const half = measure(offices, LARGE_FILES / 2);
      await deliver(offices, LARGE_FILES, LARGE_FILE_BYTES);
      const large = measure(offices, LARGE_FILES);
      return [...figuresOf(small), ...largeFiguresOf(half.dirpost, large)];
    } finally {
      await offices.close();
    }
  },
};
export default bench;

interface Measured {
  dirpost: CollectedMails;
  imapflow: CollectedMails;
}

/** Sealed by oslo and sent as it sends; they lie in the mailbox of hq when this resolves. */
async function deliver({ mail, oslo }: MailOffices, files: number, bytes: number): Promise<void> {
  const agent = await openAgent(await loadConfiguration(oslo.configFile));
  try {
    const { sealer } = agent.postoffice;
    const { signal } = new AbortController();
    const numbers = Array.from({ length: files }, (_, i) => i + 1).values();
    const worker = async (): Promise<void> => {
      for (const number of numbers) {
        const [id, from, to] = [randomBytes(16).toString('hex'), 'oslo', 'hq'];
        const envelope = { id, from, to, forIncarnation: null, createdMs: Date.now() };
        const sealed = await sealer.seal(envelope, randomBytes(bytes));
        const about = { kind: 'exchange', number, part: 0, parts: 1, changes: 1 } as const;
        await agent.transports.mail!.deliver({ id, from, to, bytes: sealed, about }, signal);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  } finally {
    await agent.close();
  }
  await mail.settled();
}

/** imapflow first: it leaves the mails where they are. */
function measure(offices: MailOffices, files: number): Measured {
  const { hq, mail } = offices;
  const { smtp, imap, ca } = mail;
  const imapflow = runSide('imapflow', JSON.stringify({ smtp, imap, ca, user: hq.user }));
  const dirpost = runSide('dirpost', hq.configFile);
  for (const { files: found } of [imapflow, dirpost]) {
    if (found !== files) throw new Error(`${found} message files were found in the mailbox; ${files} were sent.`);
  }
  return { dirpost, imapflow };
}

function runSide(...args: string[]): CollectedMails {
  const script = fileURLToPath(new URL(`../mail-collect-side${extname(import.meta.url)}`, import.meta.url));
  const result = spawnSync(process.execPath, [...process.execArgv, script, ...args], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`collecting failed: ${result.stderr}${result.stdout}`);
  return JSON.parse(result.stdout.trim().split('\n').at(-1)!) as CollectedMails;
}

function figuresOf({ dirpost, imapflow }: Measured): Figure[] {
  const msEach = ({ seconds, files }: CollectedMails): number => (seconds / files) * 1_000;
  const rate = Math.round(dirpost.files / dirpost.seconds).toLocaleString('en');
  return [
    {
      what: `a message file (${rate}/s)`,
      value: msEach(dirpost),
      unit: 'ms',
      peer: 'imapflow fetches',
      peerValue: msEach(imapflow),
      goal: { of: 'value', atMost: MAX_MS_PER_FILE },
    },
    {
      what: 'memory grows by',
      value: dirpost.growthBytes / MEGABYTE,
      unit: 'MB',
      peer: 'imapflow fetches',
      peerValue: imapflow.growthBytes / MEGABYTE,
      goal: { of: 'value', atMost: MAX_GROWTH_MB },
    },
  ];
}

/** More than fit in that memory: it is bounded if it does not grow with their number. */
function largeFiguresOf(half: CollectedMails, { dirpost, imapflow }: Measured): Figure[] {
  const megabytes = Math.round(dirpost.octets / MEGABYTE);
  return [
    {
      what: `${dirpost.files} large ones, ${megabytes} MB`,
      value: dirpost.seconds,
      unit: 's',
      peer: 'imapflow fetches',
      peerValue: imapflow.seconds,
    },
    {
      what: 'memory grows by, large ones',
      value: dirpost.growthBytes / MEGABYTE,
      unit: 'MB',
      peer: `with ${half.files}`,
      peerValue: half.growthBytes / MEGABYTE,
      goal: { of: 'ratio', atMost: MAX_GROWTH_RATIO },
    },
  ];
}
