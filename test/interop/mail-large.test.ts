/** Ten thousand entries by mail: in parts, and in smaller ones where a relay on the way bounces what is large. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { holdNothing } from '../cli/network.ts';
import { makeStaff } from '../demo/people.ts';
import { describeMail } from '../servers/mail/presence.ts';
import { type MailSystem, startMail } from '../servers/mail/system.ts';
import { addressOf, mailUsers } from './mail-network.ts';
import { cyclesUntilInStep, mailOffices } from './mail-offices.ts';

const ENTRIES = 10_000;
const FAR_LIMIT_BYTES = 600_000;

describeMail('a snapshot of ten thousand entries by mail', () => {
  let mail: MailSystem;
  beforeAll(async () => {
    mail = await startMail({
      users: mailUsers(['hq', 'oslo']),
      domains: ['hq.test'],
      far: { domains: ['oslo.test'], messageSizeLimit: FAR_LIMIT_BYTES },
    });
  });
  afterAll(() => mail?.stop());

  it('arrives in parts that became smaller after the first one bounced as too large', async () => {
    const network = await mailOffices(mail);
    const { hq, oslo } = network;
    for (const office of [hq, oslo]) await holdNothing(office);
    const staff = makeStaff('hq', ENTRIES, 5);
    // What does not compress: each part is larger than the relay takes.
    for (const person of staff.people) person.title = randomBytes(100).toString('base64');
    await hq.writePeople(staff);
    await cyclesUntilInStep(network, mail, 10);
    expect((await mail.log()).match(/552 5\.3\.4/g)).not.toBeNull();
    const sizes = (await mail.mails(addressOf(oslo), 'dirpost-processed')).map(({ length }) => length);
    expect(sizes.filter((bytes) => bytes > FAR_LIMIT_BYTES / 3).length).toBeGreaterThan(2);
    expect(Math.max(...sizes)).toBeLessThan(FAR_LIMIT_BYTES + 2_000);
  });
});
