/** Mails that came back, as `dirpost queue` and `dirpost status` show them. */
import { join } from 'node:path';
import { type Bounce, openSqliteStore } from '@dirpost/adapters';
import { expect, it } from 'vitest';
import { Bounces } from '../../packages/agent/src/bounces.ts';
import type { Status } from '../../packages/agent/src/status.ts';
import type { Office } from '../demo/office.ts';
import { freshNetwork } from './network.ts';

const MINUTE = 60_000;
const retry = { exchangeAfterMs: MINUTE, exchangeAtMostMs: MINUTE, deliverAfterMs: MINUTE, deliverAtMostMs: MINUTE };

async function cameBack(office: Office, ...bounces: Partial<Bounce>[]): Promise<void> {
  const store = await openSqliteStore({ path: join(office.data, 'store.db') });
  const clock = { now: () => Date.now() };
  const returned = new Bounces({ store, clock, retry, isServer: office.name === 'hq', tell: () => {} });
  for (const bounce of bounces) {
    returned.note({
      isAuthentic: true,
      messageId: null,
      peer: 'oslo',
      number: 12,
      recipient: 'dirpost@oslo.example.org',
      action: 'failed',
      status: '5.1.1',
      diagnostic: 'User unknown',
      isTooLarge: false,
      ...bounce,
    });
  }
  await returned.settled();
  await store.close();
}

const statusOf = async (office: Office) => JSON.parse((await office.run('--json', 'status')).out) as Status;

it('the server shows of which requestor, what was said, and what helps', async () => {
  const { hq } = await freshNetwork();
  await cameBack(hq, { number: 11, status: '5.3.4', isTooLarge: true, diagnostic: 'Too big' }, {});
  const queue = await hq.must('queue');
  expect(queue.out).toMatch(/^failed +update 11 +oslo/m);
  expect(queue.out).toMatch(/^failed +update 12 +oslo/m);
  expect(queue.out).toContain(
    'failed update 12: 5.1.1 for dirpost@oslo.example.org: User unknown. Is the mail address of oslo in the configuration the right one?',
  );
  const { out } = await hq.must('status');
  expect(out).toContain('mails to it came back: oslo – what the other side said, and what to do: dirpost queue');
  const status = await statusOf(hq);
  const oslo = status.server!.requestors.find(({ name }) => name === 'oslo')!;
  expect(oslo.attention).toEqual(['bounced']);
  expect(oslo.bounced).toMatchObject({ messages: 2, status: '5.1.1', diagnostic: 'User unknown', isTooLarge: false });
  expect(status.bounced).toBeNull();
});

it('a requestor shows it of its server', async () => {
  const { oslo } = await freshNetwork();
  expect((await statusOf(oslo)).bounced).toBeNull();
  await cameBack(oslo, { peer: 'hq', recipient: null, status: '5.7.1', diagnostic: 'Rejected by policy' });
  const { out } = await oslo.must('status');
  expect(out).toMatch(
    /1 mail to hq came back, the last one .*: 5\.7\.1: Rejected by policy\. What to do: dirpost queue/,
  );
  expect((await oslo.must('queue')).out).toContain('ask its administrator to let your address through');
  expect((await statusOf(oslo)).attention).toEqual(['bounced']);
});
