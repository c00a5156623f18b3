/** Mails that came back or were refused, and mailboxes that cannot be read, as `dirpost queue` and `dirpost status` show them. */
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Bounce, openSqliteStore } from '@dirpost/adapters';
import { SMTPServer } from 'smtp-server';
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
    await returned.note({
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

/** `transports.mail` in place of what stands there, at a mail server that refuses every mail; nobody reads the mailbox. */
async function refusingMail(office: Office, more = ''): Promise<SMTPServer> {
  const server = new SMTPServer({
    authOptional: true,
    closeTimeout: 1,
    disabledCommands: ['STARTTLS', 'AUTH'],
    onRcptTo: (_address, _session, done) =>
      done(Object.assign(new Error('5.7.1 Not from there'), { responseCode: 550 })),
  });
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const { port } = server.server.address() as AddressInfo;
  const text = await readFile(office.config, 'utf8');
  const mail = `mail: { address: dirpost@${office.name}.test, submission: { host: 127.0.0.1, port: ${port}, tls: none, withoutLogin: true }, mailbox: { host: 127.0.0.1, port: 9, tls: none }, login: { password: { file: password } }, peers: { hq: dirpost@hq.test } }`;
  await writeFile(office.config, text.replace(/^transports:\n(?: .*\n)*/m, `transports: { ${mail}${more} }\n`));
  await writeFile(join(office.data, 'password'), 'secret\n');
  return server;
}

it('what the own mail server refuses for good is failed, told once, and tried less and less; a command tries it', async () => {
  const { oslo } = await freshNetwork();
  const server = await refusingMail(oslo);
  const first = await oslo.run('sync', '--wait', '0');
  expect(first.code).toBe(1);
  const told =
    'mail: exchange \\d+ to hq was refused: 5\\.7\\.1 for dirpost@hq\\.test: 550 5\\.7\\.1 Not from there\\.';
  expect(first.out).toMatch(new RegExp(`error: ${told}`));
  expect(first.out).not.toContain('warning: exchange');
  const second = await oslo.run('sync', '--wait', '0');
  expect(second.out).toMatch(new RegExp(`^T1 {2}${told}`, 'm'));
  const queue = JSON.parse((await oslo.run('--json', 'queue')).out) as { queue: string; note: string }[];
  expect(queue.filter((one) => one.queue === 'failed').length).toBeGreaterThan(0);
  expect(queue.find((one) => one.queue === 'failed')!.note).toMatch(
    /Not from there\. Ask whoever runs the mail server/,
  );
  const status = await statusOf(oslo);
  expect(status.attention).toEqual(expect.arrayContaining(['unsent', 'bounced']));
  expect(status.bounced).toMatchObject({ status: '5.7.1', recipient: 'dirpost@hq.test', isRefused: true });
  expect((await oslo.must('status')).out).toMatch(
    /\d mails? to hq refused by the own mail server, the last one .*: 5\.7\.1/,
  );
  expect(status.unsent.nextAttemptMs! - status.nowMs).toBeGreaterThan(MINUTE);
  await new Promise<void>((resolve) => server.close(resolve));
});

it('… and another transport is preferred where there is one', async () => {
  const { oslo, hq } = await freshNetwork();
  const server = await refusingMail(oslo, ', folder: { path: ../exchange }');
  await oslo.run('sync', '--wait', '0');
  expect(await hq.waiting()).toHaveLength(1);
  const { out } = await oslo.run('sync', '--wait', '0');
  expect(out).not.toContain('was refused');
  await new Promise<void>((resolve) => server.close(resolve));
});

it('a mailbox that cannot be read stands in the status with its reason, until it can', async () => {
  const { oslo } = await freshNetwork();
  const before = await readFile(oslo.config, 'utf8');
  const server = await refusingMail(oslo);
  await oslo.run('dispatch');
  const [mail] = (await statusOf(oslo)).uncollected;
  await oslo.run('dispatch');
  const status = await statusOf(oslo);
  expect(status.attention).toContain('uncollected');
  expect(status.uncollected).toEqual([mail]);
  expect(mail).toMatchObject({ transport: 'mail', code: 'transport-failed' });
  expect(mail!.problem).toContain('The mail server 127.0.0.1:9 could not be reached');
  const { out } = await oslo.must('status');
  expect(out).toMatch(/^ {2}mail: nothing could be collected since \d.*: The mail server 127\.0\.0\.1:9 .+\. \S/m);
  await new Promise<void>((resolve) => server.close(resolve));

  await writeFile(oslo.config, before);
  expect((await statusOf(oslo)).uncollected).toEqual([]);
});
