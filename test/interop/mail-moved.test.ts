/** By mail alone: a server that takes another mailbox, and one whose keys the recovery key replaces. Its branches follow by themselves. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { lineFor, settings } from '../cli/branches.ts';
import { runHere, smallStaff, temporaryFolder } from '../cli/network.ts';
import { digestFaults } from '../demo/contents.ts';
import { allowFirstWrite, Office } from '../demo/office.ts';
import { describeMail } from '../servers/mail/presence.ts';
import { type MailSystem, startMail } from '../servers/mail/system.ts';
import { addressOf, mailUsers, passwordOf } from './mail-network.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

describeMail('by mail alone', () => {
  let mail: MailSystem;
  let [hq, oslo, bergen]: Office[] = [];
  let paper: string;

  const passwordFile = (office: Office) => join(office.data, 'mail-password');
  const writePassword = (office: Office, name = office.name) =>
    writeFile(passwordFile(office), `${passwordOf({ name })}\n`, { mode: 0o600 });
  const mailFlags = (name: string) => {
    const servers = {
      submission: `${mail.smtp.host}:${mail.smtp.port}`,
      mailbox: `${mail.imap.host}:${mail.imap.imapsPort}`,
    };
    const flags = Object.entries(servers).flatMap(([flag, value]) => [`--mail-${flag}`, value]);
    return ['--mail-address', addressOf({ name }), ...flags, '--mail-ca', mail.ca];
  };
  const offices = () => [hq!, oslo!, bergen!];

  /** T0 and T1 of the branches, T2, T3, and the server takes the verifications. */
  async function cycle(): Promise<void> {
    for (const branch of [oslo!, bergen!]) await branch.must('sync', '--wait', '0');
    await mail.settled();
    await hq!.must('sync');
    await mail.settled();
    for (const branch of [oslo!, bergen!]) await branch.must('dispatch');
    await mail.settled();
    await hq!.must('dispatch');
  }

  /** What oslo changes now reaches bergen in this many cycles, and all digests agree. */
  async function expectToPass(title: string, cycles: number): Promise<void> {
    const staff = smallStaff('oslo');
    staff.people[0]!.title = title;
    await oslo!.writePeople(staff);
    for (let i = 0; i < cycles; i++) await cycle();
    expect((await readFile(bergen!.network, 'utf8')).includes(`title: ${title}\n`)).toBe(true);
    expect(digestFaults(await Promise.all(offices().map((office) => office.status())))).toEqual([]);
  }

  const knownOfHq = async ({ data }: Office) =>
    JSON.parse(await readFile(join(data, 'peers', 'hq.json'), 'utf8')) as { fingerprint: string; moved?: object };

  beforeAll(async () => {
    mail = await startMail({ users: mailUsers(['hq', 'oslo', 'bergen', 'moved']) });
    const root = await temporaryFolder();
    [hq, oslo, bergen] = ['hq', 'oslo', 'bergen'].map((name) => new Office(root, name, runHere));
    for (const office of offices()) {
      await mkdir(join(root, 'directories', office.name), { recursive: true });
      await office.writePeople(smallStaff(office.name));
      await mkdir(office.data);
      await writePassword(office);
    }
    const init = ['init', 'hq', '--role', 'server', ...settings('hq'), ...mailFlags('hq')];
    const { recoveryKey } = await hq!.json<{ recoveryKey: string }>(...init);
    paper = join(root, 'paper');
    await writeFile(paper, recoveryKey);
    await allowFirstWrite(hq!);
    for (const branch of [oslo!, bergen!]) {
      const line = await lineFor(hq!, branch.name);
      await branch
        .must('join', line, ...settings(branch.name), ...mailFlags(branch.name), '--wait', '0')
        .catch(() => {});
      await allowFirstWrite(branch);
    }
    await mail.settled();
    await hq!.must('dispatch');
    await mail.settled();
    for (const branch of [oslo!, bergen!]) await branch.must('dispatch');
    await cycle();
  });
  afterAll(() => mail?.stop());

  it('the server takes another mailbox: its branches write there, though nothing was changed where they are', async () => {
    const before = await Promise.all([oslo!, bergen!].map(({ config }) => readFile(config, 'utf8')));
    await hq!.must('move', '--mail', addressOf({ name: 'moved' }));
    await mail.settled();
    for (const branch of [oslo!, bergen!]) await branch.must('dispatch');
    // Who has heard of it writes there at once. From now on the server has no other; what still lay in the old one is gone.
    const text = await readFile(hq!.config, 'utf8');
    await writeFile(hq!.config, text.replaceAll(addressOf({ name: 'hq' }), addressOf({ name: 'moved' })));
    await writePassword(hq!, 'moved');
    await mail.wipeMailbox(addressOf({ name: 'hq' }));
    await expectToPass('Captain', 2);
    expect(await hq!.json('move')).toMatchObject({ unaware: [] });
    expect(await Promise.all([oslo!, bergen!].map(({ config }) => readFile(config, 'utf8')))).toEqual(before);
  });

  it('the recovery key replaces the keys of the server: the branches believe the new ones, without a visit', async () => {
    const before = (await knownOfHq(oslo!)).fingerprint;
    // Under way when it happens: sealed for keys that are lost.
    await oslo!.must('sync', '--wait', '0');
    await mail.settled();
    await hq!.must('keys', 'replace', '--recovery-key-file', paper);
    const { own } = await hq!.json<{ own: { fingerprint: string } }>('keys');
    expect(own.fingerprint).not.toBe(before);
    await expectToPass('Pilot', 3);
    for (const branch of [oslo!, bergen!]) expect((await knownOfHq(branch)).fingerprint).toBe(own.fingerprint);
  });
});
