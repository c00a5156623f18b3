import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterEach, expect, it } from 'vitest';
import { profileOf } from './profiles.ts';
import { Submission } from './submission.ts';

const never = () => new AbortController().signal;
const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function open(options: SMTPServerOptions, password = 'right'): Promise<Submission> {
  const server = new SMTPServer({
    authOptional: true,
    closeTimeout: 1,
    allowInsecureAuth: true,
    disabledCommands: ['STARTTLS'],
    onAuth: (auth, _session, done) => done(null, auth.password === 'right' ? { user: 1 } : {}),
    ...options,
  });
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  closing.push(() => new Promise<void>((resolve) => server.close(resolve)));
  const submission = new Submission({
    endpoint: { host: '127.0.0.1', port: (server.server.address() as AddressInfo).port, tls: 'none' },
    from: 'dirpost@oslo.example',
    login: { user: 'oslo', password: async () => password },
    profile: profileOf('generic'),
  });
  closing.push(() => submission.close());
  return submission;
}

it('a look logs in and tells what the server offers', async () => {
  const submission = await open({ size: 10_000_000, name: 'mx.oslo.example', banner: 'Post of Oslo' });
  const facts = await submission.look(never());
  expect(facts).toMatchObject({ tls: null, maxMailBytes: 10_000_000 });
  expect(facts.capabilities).toEqual(expect.arrayContaining(['PIPELINING', 'SMTPUTF8', 'SIZE 10000000']));
  expect(facts.greeting).toMatch(/^220 mx\.oslo\.example ESMTP Post of Oslo/);
  expect(submission.maxMailBytes).toBe(10_000_000);
});

it('where no SIZE is named none is told', async () => {
  const facts = await (await open({})).look(never());
  expect(facts.maxMailBytes).toBeNull();
});

it('a look tries a login that was refused before', async () => {
  const submission = await open({}, 'wrong');
  const attempts = [
    () => submission.look(never()),
    () => submission.send(async () => Buffer.from('x'), 'a@b.example', never()),
  ];
  for (const attempt of [...attempts, attempts[0]!]) {
    await expect(attempt()).rejects.toMatchObject({ retry: 'operator', context: { isLoginRefused: true, reply: 535 } });
  }
});

it('a server that offers no login is not told a password', async () => {
  const submission = await open({ disabledCommands: ['STARTTLS', 'AUTH'] });
  await expect(submission.look(never())).rejects.toThrow(/offers no login/);
});
