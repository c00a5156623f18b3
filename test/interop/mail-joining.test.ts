/** A branch that has nothing in common with its server but mail joins it, and both see with `check` whether mail works. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { settings } from '../cli/branches.ts';
import { runHere, smallStaff, temporaryFolder } from '../cli/network.ts';
import { allowFirstWrite, ended, Office, start } from '../demo/office.ts';
import { describeMail } from '../servers/mail/presence.ts';
import { type MailSystem, startMail } from '../servers/mail/system.ts';
import { addressOf, mailUsers, passwordOf } from './mail-network.ts';
import { faultsOf } from './mail-offices.ts';

const passwordFile = (office: Office) => join(office.data, 'mail-password');

interface Finding {
  what: string;
  result: string;
  text: string;
  mend?: string;
}

describeMail('by mail alone', () => {
  let mail: MailSystem;
  let root: string;
  let [hq, oslo]: Office[] = [];

  beforeAll(async () => {
    mail = await startMail({ users: mailUsers(['hq', 'oslo', 'moved']) });
  });
  afterAll(() => mail?.stop());

  const mailFlags = (name: string) => {
    const submission = `${mail.smtp.host}:${mail.smtp.port}`;
    const mailbox = `${mail.imap.host}:${mail.imap.imapsPort}`;
    const servers = ['--mail-submission', submission, '--mail-mailbox', mailbox, '--mail-ca', mail.ca];
    return ['--mail-address', addressOf({ name }), ...servers];
  };
  const writePassword = (office: Office, name = office.name) =>
    writeFile(passwordFile(office), `${passwordOf({ name })}\n`, { mode: 0o600 });
  const invite = async () => (await hq!.json<{ invitation: string }>('invite', 'oslo')).invitation;
  const join_ = (line: string) => oslo!.run('join', line, ...settings('oslo'), ...mailFlags('oslo'), '--wait', '0');
  const check = async (office: Office, ...options: string[]) => {
    const { out } = await office.runner(['--config', office.config, '--json', 'check', ...options]);
    return JSON.parse(out) as { findings: Finding[]; rules?: string[] };
  };
  const ofMail = ({ findings }: { findings: Finding[] }) => findings.filter(({ what }) => what.startsWith('mail'));

  beforeEach(async () => {
    root = await temporaryFolder();
    [hq, oslo] = ['hq', 'oslo'].map((name) => new Office(root, name, runHere)) as [Office, Office];
    for (const office of [hq, oslo]) {
      await mkdir(join(root, 'directories', office.name), { recursive: true });
      await office.writePeople(smallStaff(office.name));
      await mkdir(office.data);
      await writePassword(office);
    }
    await hq.must('init', 'hq', '--role', 'server', ...settings('hq'), ...mailFlags('hq'));
    await allowFirstWrite(hq);
  });

  async function bothJoined(): Promise<void> {
    expect(await join_(await invite())).toMatchObject({ code: 0 });
    await allowFirstWrite(oslo!);
    await mail.settled();
    await hq!.must('dispatch');
    await mail.settled();
    await oslo!.must('dispatch');
  }

  it('it joins with one line, is answered at its address, and then both are in step', async () => {
    const invited = await hq!.must('invite', 'oslo');
    expect(invited.out).toMatch(/reached by {6}dirpost@hq\.test$/m);
    const without = await oslo!.run('join', await invite(), ...settings('oslo'));
    expect(without).toMatchObject({
      code: 2,
      err: expect.stringMatching(/reached by mail, at dirpost@hq\.test; oslo needs a mailbox/),
    });
    await bothJoined();
    const { requestors } = await hq!.json<{ requestors: object[] }>('requestor', 'list');
    expect(requestors).toMatchObject([{ name: 'oslo', state: 'active', mail: 'dirpost@oslo.test' }]);
    for (let cycle = 0; cycle < 3; cycle++) {
      await oslo!.must('sync', '--wait', '0');
      await mail.settled();
      await hq!.must('sync');
      await mail.settled();
      await oslo!.must('dispatch');
      await mail.settled();
    }
    await hq!.must('dispatch');
    expect(await faultsOf({ root, offices: [hq!, oslo!], hq: hq!, oslo: oslo!, staff: {} as never })).toEqual([]);
  });

  it('a branch that asks again from another mailbox, before it has heard, is answered there', async () => {
    const line = await invite();
    expect(await join_(line)).toMatchObject({ code: 0 });
    await mail.settled();
    await hq!.must('dispatch');
    const text = await readFile(oslo!.config, 'utf8');
    await writeFile(oslo!.config, text.replace('dirpost@oslo.test', 'dirpost@moved.test'));
    await writePassword(oslo!, 'moved');
    expect(await join_(line)).toMatchObject({ code: 2, err: expect.stringMatching(/what it says of mail counts/) });
    await oslo!.must('join', line, '--wait', '0');
    await mail.settled();
    expect((await hq!.must('dispatch')).out).toMatch(/enrolment of oslo: a repeat; answered again/);
    await mail.settled();
    expect((await oslo!.must('dispatch')).out).toMatch(/joined: hq knows this postoffice now/);
    const { requestors } = await hq!.json<{ requestors: object[] }>('requestor', 'list');
    expect(requestors).toMatchObject([{ name: 'oslo', mail: 'dirpost@moved.test' }]);
  });

  it('two postoffices may share one mailbox: each takes what is for it, and leaves the other its mails', async () => {
    // What the tests before left there.
    await mail.settled();
    await mail.wipeMailbox(addressOf({ name: 'hq' }));
    const shared = join(hq!.data, 'dirpost.yaml');
    const text = await readFile(shared, 'utf8');
    await writeFile(shared, text.replace(/ {4}mailbox: \{ /, '$&foreign: Other, '));
    expect(await readFile(shared, 'utf8')).toContain('foreign: Other');
    await writePassword(oslo!, 'hq');
    const ran = await oslo!.run('join', await invite(), ...settings('oslo'), ...mailFlags('hq'), '--wait', '0');
    expect(ran).toMatchObject({ code: 0 });
    await allowFirstWrite(oslo!);
    const told: string[] = [];
    for (let cycle = 0; cycle < 3; cycle++) {
      for (const office of [hq!, oslo!]) {
        await mail.settled();
        told.push((await office.must('dispatch')).out);
        told.push((await office.must('sync', '--wait', '0')).out);
      }
    }
    await mail.settled();
    await hq!.must('dispatch');
    expect(await faultsOf({ root, offices: [hq!, oslo!], hq: hq!, oslo: oslo!, staff: {} as never })).toEqual([]);
    expect(await mail.mails('dirpost@hq.test', 'Other')).toEqual([]);
    // Once each, and not of every mail.
    expect(told.join('').match(/it is for oslo; this is hq/g)?.length ?? 0).toBeLessThanOrEqual(1);
  });

  it('a requestor whose mailbox moved is reached there, once its new address is told', async () => {
    await bothJoined();
    const moved = await hq!.must('requestor', 'mail', 'oslo', 'dirpost@moved.test');
    expect(moved.out).toMatch(/Mails for oslo go to dirpost@moved\.test from now on, before: dirpost@oslo\.test/);
    await oslo!.must('sync', '--wait', '0');
    await mail.settled();
    await hq!.must('dispatch');
    await mail.settled();
    expect((await mail.mails('dirpost@moved.test')).length).toBeGreaterThan(0);
    expect(await hq!.run('requestor', 'mail', 'oslo', 'not an address')).toMatchObject({ code: 2 });
    expect(await hq!.run('requestor', 'mail', 'lima', 'a@lima.test')).toMatchObject({ code: 2 });
  });

  it('check logs in to both, and tells TLS, capabilities, folders and what is to be allowed', async () => {
    await bothJoined();
    const { findings, rules } = await check(hq!);
    expect(findings.filter(({ result }) => result === 'fault')).toEqual([]);
    const texts = ofMail({ findings }).map(({ text }) => text);
    expect(texts).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^submission: 127\.0\.0\.1:\d+ takes mails of dirpost@hq\.test; TLSv1\.3, SIZE/),
        expect.stringMatching(/^mailbox: 127\.0\.0\.1:\d+ lets dirpost@hq\.test in; TLSv1\.3, IDLE, MOVE, UIDPLUS/),
        expect.stringMatching(/^folders: INBOX \(\d+ mails?\), \S*dirpost-processed \(is there\), junk: /),
      ]),
    );
    expect(rules!.join('\n')).toMatch(/\.dpm/);
    expect(rules!.join('\n')).toMatch(/rspamd.*dirpost@oslo\.test/);
  });

  it('check tells each thing that is wrong, and how to mend it', async () => {
    await bothJoined();
    await writePassword(oslo!, 'hq');
    await chmod(passwordFile(oslo!), 0o644);
    const wrong = ofMail(await check(oslo!));
    expect(wrong).toMatchObject([
      {
        result: 'warning',
        text: expect.stringMatching(/mail-password holds a secret, and every account/),
        mend: expect.stringMatching(/^chmod/),
      },
      { result: 'fault', text: expect.stringMatching(/password|login/i) },
      { result: 'fault', text: expect.stringMatching(/password|login/i) },
    ]);
    expect(JSON.stringify(wrong)).not.toContain(passwordOf({ name: 'hq' }));
    const peer = join(oslo!.data, 'peers', 'hq.json');
    await writeFile(peer, (await readFile(peer, 'utf8')).replace(/,\s*"mail": "[^"]*"/, ''));
    expect(ofMail(await check(oslo!))).toContainEqual(
      expect.objectContaining({ result: 'fault', text: 'no mail address is known of hq' }),
    );
  });

  it('check --send at the server sends to itself, and at a branch says when nobody answers', async () => {
    await bothJoined();
    const self = ofMail(await check(hq!, '--send', '--wait', '30')).at(-1);
    expect(self).toMatchObject({
      what: 'mail, sent',
      result: 'ok',
      text: expect.stringMatching(/was in the mailbox after/),
    });
    expect((await hq!.status()).corrupt).toBe(0);
    expect(ofMail(await check(oslo!, '--send', '--wait', '0')).at(-1)).toMatchObject({
      result: 'fault',
      text: expect.stringMatching(/hq has not answered within 0\.0 s/),
    });
  });

  it('check --send is answered by an agent that runs, and goes through the own one', async () => {
    await bothJoined();
    const agents = [hq!, oslo!].map(({ config }) => {
      const args = ['--config', config, 'run'];
      const child = start(args);
      const begun = new Promise((resolve) => child.stdout!.once('data', resolve));
      return { child, begun, over: ended(child, args) };
    });
    try {
      for (const { begun } of agents) await begun;
      const sent = { what: 'mail, sent', result: 'ok', text: expect.stringMatching(/and hq answered after/) };
      // Several times: what broke IDLE before must not end it.
      for (let i = 0; i < 3; i++) {
        const { findings } = await check(oslo!, '--send', '--wait', '15');
        expect(findings.filter(({ what }) => what === 'mail, sent')).toEqual([sent]);
      }
    } finally {
      for (const { child } of agents) child.kill();
    }
    for (const { over } of agents) expect(await over).toMatchObject({ code: 0, err: '' });
  });
});
