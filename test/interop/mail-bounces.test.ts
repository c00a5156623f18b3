/** Mails that come back from a real Exim: marked, shown and never an acknowledgement. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeMail } from '../servers/mail/presence.ts';
import { type MailSystem, startMail } from '../servers/mail/system.ts';
import { addressOf, mailUsers } from './mail-network.ts';
import { cyclesUntilInStep, mailOffices, moveToMail } from './mail-offices.ts';

describeMail('a mail that bounces', () => {
  let mail: MailSystem;
  beforeAll(async () => {
    mail = await startMail({ users: mailUsers(['hq', 'oslo']) });
  });
  afterAll(() => mail?.stop());

  it('marks the message file as failed until the right address is known', async () => {
    const network = await mailOffices(mail, { oslo: 'nobody@oslo.test' });
    const { hq, oslo, staff } = network;
    staff.hq.people[0]!.title = 'Harbour pilot';
    await hq.writePeople(staff.hq);
    await oslo.must('sync', '--wait', '0');
    await mail.settled();
    const before = (await hq.status()).server!.requestors.find(({ name }) => name === 'oslo')!;
    const { out } = await hq.must('sync');
    await mail.settled();
    // It may be back while the command still runs.
    const all = out + (await hq.run('dispatch')).out;
    expect(all.match(/^T3 {2}error: mail: update \d+ to oslo came back: .*nobody@oslo\.test/gm)).toHaveLength(1);
    const queue = await hq.json<{ queue: string; peer: string; note: string }[]>('queue');
    const failed = queue.filter((one) => one.queue === 'failed');
    expect(failed).toMatchObject([{ peer: 'oslo' }]);
    expect(failed[0]!.note).toMatch(/nobody@oslo\.test/);
    expect((await hq.run('status')).out).toMatch(/mails to it came back: oslo/);
    const after = (await hq.status()).server!.requestors.find(({ name }) => name === 'oslo')!;
    expect(after.verifiedSeq).toBe(before.verifiedSeq);
    expect((await hq.run('dispatch')).out).not.toMatch(/nobody@oslo\.test/);

    await moveToMail(hq, mail, { oslo: addressOf(oslo) });
    await cyclesUntilInStep(network, mail, 3);
    const left = await hq.json<{ queue: string }[]>('queue');
    expect(left.filter((one) => one.queue === 'failed')).toEqual([]);
  });
});
