/**
 * The steps of the demo by mail: three agents run and share nothing but mail, by a real Exim and Dovecot, and what happens
 * to mail systems happens to these. What is the same over HTTP stands in http-steps.ts.
 */
import { join } from 'node:path';
import { inStep, LEAVE_IT_TO_THE_SENDER } from './http-steps.ts';
import type { MailScene } from './mail-scene.ts';
import { same, unless } from './narrator.ts';
import type { Office } from './office.ts';
import { makePerson } from './people.ts';

export async function makeServer(scene: MailScene): Promise<void> {
  const { tell, hq, mail } = scene;
  await scene.makePeople();
  tell.fact(
    `Exim listens on port ${mail.smtp.port} of this machine, Dovecot on ${mail.imap.imapsPort}; each office has a mailbox`,
  );
  await scene.here(hq).must('init', 'hq', '--role', 'server', ...scene.directories(hq));
  await scene.useMail(hq);
  await scene.quicken(hq, LEAVE_IT_TO_THE_SENDER);
  tell.quote('hq', await scene.here(hq).must('check'), /^\s*mail\s+ok/);
  await scene.run(hq);
  tell.log('hq', scene.agent(hq), /ready/);
}

export async function joinBranches(scene: MailScene): Promise<void> {
  const { tell, hq, oslo, lima } = scene;
  for (const branch of [oslo, lima]) {
    const file = join(scene.root, `${branch.name}.invitation`);
    await scene.here(hq).must('invite', branch.name, '--out', file);
    const here = scene.here(branch);
    await here.must('init', branch.name, '--role', 'requestor', '--server', 'hq', ...scene.directories(branch));
    await scene.useMail(branch);
    await scene.quicken(branch, branch === oslo ? LEAVE_IT_TO_THE_SENDER : '');
    tell.quote(branch.name, await branch.run('join', '--file', file), /has joined/);
  }
  const { requestors } = await hq.json<{ requestors: { name: string; state: string }[] }>('requestor', 'list');
  const known = requestors.filter(({ state }) => state === 'active').map(({ name }) => name);
  tell.check('hq knows oslo and lima, and where to write to them: all of it came by mail', [
    ...same('joined', known.sort(), ['lima', 'oslo']),
  ]);
}

/** What an administrator sees who looks into the mailbox. */
export async function look(scene: MailScene): Promise<void> {
  const { tell, mail, oslo } = scene;
  const processed = await mail.mails(scene.addressOf(oslo), 'dirpost-processed');
  const text = String(processed.at(-1) ?? '');
  for (const name of ['From', 'Subject', 'Auto-Submitted']) {
    tell.fact(new RegExp(`^${name}: .*$`, 'mi').exec(text)?.[0] ?? `${name}: none`);
  }
  tell.check(`each mail says what it is; the ${processed.length} that oslo took lie in its folder dirpost-processed`, [
    ...unless(processed.length > 0, 'there is none'),
    ...unless(/^Auto-Submitted: auto-generated/im.test(text), 'it does not say that a program made it'),
    ...same('mails left in the inbox', (await mail.mails(scene.addressOf(oslo))).length, 0),
  ]);
}

export async function kills(scene: MailScene): Promise<void> {
  const { tell, mail, oslo } = scene;
  await change(scene, oslo, 'Director');
  await mail.killDovecot();
  await change(scene, oslo, 'Pilot');
  await mail.killExim();
  await scene.agent(oslo).kill();
  await scene.run(oslo);
  await mail.startExim();
  await mail.startDovecot();
  const seconds = await scene.inStep();
  tell.check(`Dovecot, Exim and the agent of oslo are killed (kill -9) and started; ${seconds} s later: ${inStep}`, [
    ...(await scene.faults()),
    ...(await corrupt(scene)),
  ]);
}

export async function footers(scene: MailScene): Promise<void> {
  const { tell, mail, lima } = scene;
  await mail.change({ footer: true, duplicate: true });
  await change(scene, lima, 'Captain');
  const seconds = await scene.inStep();
  tell.check(
    `a gateway adds a footer to each mail, renames the attachment and delivers it twice; in step after ${seconds} s all the same`,
    [...(await scene.faults()), ...(await corrupt(scene))],
  );
  await mail.change({ footer: false, duplicate: false });
}

export async function bounces(scene: MailScene): Promise<void> {
  const { tell, mail, hq, oslo, lima, users } = scene;
  const full = users.map((user) => (user.address === scene.addressOf(lima) ? { ...user, quotaBytes: 1 } : user));
  await mail.change({ users: full });
  await change(scene, oslo, 'Bookkeeper');
  const came = () => scene.agent(hq).log.some((line) => /lima/.test(line) && /quota|full/i.test(line));
  await scene.until('hq is told', () => unless(came(), 'it is not'));
  tell.log('hq', scene.agent(hq), /lima.*(?:quota|full)/i);
  tell.quote('hq', await scene.here(hq).run('queue'), /failed/);
  await mail.change({ users });
  const seconds = await scene.inStep();
  tell.check(
    `the mailbox of lima was full, and mails to it came back; there is room again, and ${seconds} s later all agree`,
    [...(await scene.faults())],
  );
}

async function change(scene: MailScene, office: Office, title: string): Promise<void> {
  const people = scene.staff.get(office)!;
  for (const person of people.people.slice(0, 40)) person.title = title;
  people.people.push(makePerson(office.name, 20_000 + people.people.length));
  await office.writePeople(people);
}

async function corrupt({ offices }: MailScene): Promise<string[]> {
  const statuses = await Promise.all(offices.map((office) => office.status()));
  return statuses.flatMap(({ postoffice, corrupt: count }) => same(`corrupt at ${postoffice}`, count, 0));
}
