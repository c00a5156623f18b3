/**
 * What lies in a mailbox and should not, or is wrong: it changes nothing, and is shown to the administrator once, not at
 * every look.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { essence, type Network } from '../cli/network.ts';
import type { Office } from '../demo/office.ts';
import { describeMail } from '../servers/mail/presence.ts';
import { type MailSystem, startMail } from '../servers/mail/system.ts';
import { file, foreignMail, letter, nested, notification } from './bad-mails.ts';
import { addressOf, mailUsers } from './mail-network.ts';
import { cyclesUntilInStep, mailOffices } from './mail-offices.ts';

const FOREIGN = 5_000;
const SEVERAL = 'several message files';

describeMail('a mailbox', () => {
  let mail: MailSystem;
  let network: Network;
  let to: string;
  /** Message files that were processed already, so that taking them again changes nothing. */
  const known: { hq: Buffer[]; oslo: Buffer[] } = { hq: [], oslo: [] };

  beforeAll(async () => {
    mail = await startMail({ users: mailUsers(['hq', 'oslo']) });
    network = await mailOffices(mail);
    to = addressOf(network.hq);
    await cyclesUntilInStep(network, mail, 3);
    known.hq = await processedBy(network.hq);
    known.oslo = await processedBy(network.oslo);
  });
  afterAll(() => mail?.stop());

  const damaged = () => {
    const bytes = Buffer.from(known.hq[0]!);
    bytes[bytes.length >> 1]! ^= 1;
    return bytes;
  };
  const cases: [string, () => Buffer, RegExp][] = [
    ['what is not even a mail', () => Buffer.from('\0\x01\xff\n\n\n\0'.repeat(500), 'latin1'), /is no mail/],
    [
      'a huge mail',
      () => letter({ to, parts: [file(Buffer.concat([known.hq[0]!, Buffer.alloc(10_000_000)]))] }),
      /large|bytes|octets/,
    ],
    [
      'a message file that is nested deeply',
      () => letter({ to, parts: [nested(100, file(known.hq[0]!))] }),
      /nested|deep/,
    ],
    [
      'broken base64',
      () => letter({ to, parts: [{ ...file(''), base64: `${known.hq[0]!.toString('base64').slice(0, 400)}!!$$` }] }),
      /damaged|base64/,
    ],
    ['a message file that was altered', () => letter({ to, parts: [file(damaged())] }), /signature|altered/],
    [
      'a message file for another postoffice',
      () => letter({ to, subject: 'dirpost hq to oslo no 7', parts: [file(known.oslo[0]!)] }),
      /oslo/,
    ],
    [
      // One that is known, one that was altered, and one for another, of whom the case before this one has told.
      SEVERAL,
      () => letter({ to, parts: [file(known.hq[0]!), file(damaged(), 'b.dpm'), file(known.oslo[0]!, 'c.dpm')] }),
      /signature|altered/,
    ],
    [
      'what a virus scanner left',
      () => letter({ to, parts: [{ name: 'message.dpm.txt', content: 'The attachment was removed by the scanner.' }] }),
      /no message file|replaced|removed/,
    ],
    [
      'a notification with our own file',
      () => notification(to, letter({ to: 'dirpost@oslo.test', parts: [file(known.hq[0]!)] })),
      /not delivered|came back|bounce/i,
    ],
    [
      'an out-of-office answer',
      () =>
        letter({
          to,
          subject: 'Automatic reply: dirpost hq to oslo no 3',
          fields: ['Auto-Submitted: auto-replied'],
          parts: [{ content: 'I am away.' }],
        }),
      /answer/,
    ],
  ];
  it.each(cases)('with %s: nothing changes, and it is told once', async (what, make, told) => {
    const { hq } = network;
    const before = await essenceOf(hq);
    const sent = await mail.takenFromClients();
    await mail.lay([make()], to);
    const first = await hq.run('dispatch');
    expect(`${first.out}${first.err}`).toMatch(told);
    expect(first.out.match(/^T3 +(?:warning|error): /gm)).toHaveLength(1);
    const second = await hq.run('dispatch');
    expect(second).toMatchObject({ code: 0, out: '0 message files collected, 0 sent (0 B).\n', err: '' });
    expect(await essenceOf(hq)).toEqual(before);
    // RFC 3834: nothing is answered; but among several files there may be a repeat, which gets its receipt again.
    if (what !== SEVERAL) expect(await mail.takenFromClients()).toBe(sent);
  });

  it('with 5,000 mails of others leaves them untouched, and finds the message file among them', async () => {
    const { hq, oslo, staff } = network;
    await mail.wipeMailbox(to);
    const mails = Array.from({ length: FOREIGN }, (_, i) => foreignMail(i, to));
    await mail.lay(mails, to);
    staff.oslo.people[0]!.title = 'Harbour pilot';
    await oslo.writePeople(staff.oslo);
    await cyclesUntilInStep(network, mail, 3);
    expect(await mail.mails(to)).toHaveLength(FOREIGN);
    expect(await mail.flags(to)).toEqual(new Set(['']));
    expect((await hq.run('dispatch')).code).toBe(0);
  });
});

/** Seqs and digests, and what is corrupt. */
async function essenceOf(office: Office): Promise<unknown> {
  const status = await office.status();
  return [essence(status), status.corrupt];
}

/** What came by mail. */
async function processedBy({ data }: Office): Promise<Buffer[]> {
  const folder = join(data, 'spool', 'done');
  const names = (await readdir(folder)).filter((name) => name.endsWith('_mail.dpm')).sort();
  return await Promise.all(names.map((name) => readFile(join(folder, name))));
}
