/** `dirpost move`: a server gets another machine and another address; its branches, reached by http alone, follow. */
import { type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { contentFaults, digestFaults } from '../demo/contents.ts';
import { allowFirstWrite, Office, runHere, start } from '../demo/office.ts';
import { makePerson, makeStaff } from '../demo/people.ts';
import { Line } from '../relay/line.ts';

let root: string;
const [oldLine, newLine] = [new Line(), new Line()];
const running = new Set<ChildProcess>();

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'dirpost-move-'));
  await Promise.all([oldLine.open(), newLine.open()]);
});
afterEach(async () => {
  for (const child of running) await stop(child);
});
afterAll(async () => {
  await Promise.all([oldLine.close(), newLine.close()]);
  await rm(root, { recursive: true, force: true });
});

/** Listens behind that line when this resolves. */
async function listens(office: Office, line: Line, ...args: string[]): Promise<ChildProcess> {
  const child = start(['--config', office.config, ...(args.length > 0 ? args : ['run'])]);
  running.add(child);
  let said = '';
  for await (const text of child.stdout!.setEncoding('utf8')) {
    said += String(text);
    const port = /ready[^]*http:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1];
    if (port === undefined) continue;
    line.target = Number(port);
    child.stdout!.resume();
    return child;
  }
  throw new Error(`${office.name} ended:\n${said}`);
}

async function stop(child: ChildProcess): Promise<void> {
  running.delete(child);
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  if (child.exitCode === null && child.signalCode === null) await closed;
}

async function make(name: string, ...init: string[]): Promise<Office> {
  const office = new Office(root, name, runHere);
  await mkdir(join(root, 'directories', name), { recursive: true });
  await office.writePeople(makeStaff(name, 6, 1));
  const paths = [
    '--publish',
    `../directories/${name}/people.ldif`,
    '--subscribe',
    `../directories/${name}/network.ldif`,
  ];
  if (init.length > 0) await office.must('init', name, ...init, ...paths);
  return office;
}

it('branches follow its announcement, one that was away hears of it at the old address, and nothing is lost', async () => {
  const hq = await make('hq', '--role', 'server', '--listen', '127.0.0.1:0', '--address', oldLine.url);
  await allowFirstWrite(hq);
  let server = await listens(hq, oldLine);
  const branches: Office[] = [];
  for (const name of ['oslo', 'bergen']) {
    const branch = await make(name);
    const { invitation } = await hq.json<{ invitation: string }>('invite', name);
    const paths = [
      '--publish',
      `../directories/${name}/people.ldif`,
      '--subscribe',
      `../directories/${name}/network.ldif`,
    ];
    await branch.must('join', invitation, ...paths);
    await allowFirstWrite(branch);
    branches.push(branch);
  }
  const [oslo, bergen] = branches as [Office, Office];
  const inStep = async (...offices: Office[]): Promise<void> => {
    for (let round = 0; round < 2; round++) for (const office of offices.toReversed()) await office.must('sync');
  };
  await inStep(hq, oslo, bergen);

  // bergen is away while it is announced.
  const told = await hq.json<{ unaware: string[] }>('move', '--http', newLine.url);
  expect(told.unaware).toEqual(['bergen', 'oslo']);
  await oslo.must('sync');
  await hq.must('dispatch');
  expect(await hq.json('move')).toMatchObject({ announced: { http: newLine.url }, unaware: ['bergen'] });
  // Nobody listens at the new address yet: the old one is used.
  await oslo.must('sync');

  await stop(server);
  const paper = join(root, 'passphrase');
  await writeFile(paper, 'five words are hard to guess\n');
  await hq.must('backup', join(root, 'hq.backup'), '--passphrase-file', paper);
  await rename(hq, 'hq-old');
  const old = new Office(root, 'hq-old', runHere);
  await hq.must('restore', join(root, 'hq.backup'), '--passphrase-file', paper);
  await writeFile(hq.config, (await readFile(hq.config, 'utf8')).replace(oldLine.url, newLine.url));
  server = await listens(hq, newLine);
  await listens(old, oldLine, 'move', '--answer');
  expect(await old.run('sync')).toMatchObject({ code: 1 });

  const staff = makeStaff('bergen', 6, 1);
  staff.people.push(makePerson('bergen', 9_001));
  await bergen.writePeople(staff);
  const before = oldLine.connections;
  await inStep(oslo);
  // It hears of the address, and what it said there before is said again.
  await bergen.run('sync', '--wait', '5');
  await inStep(hq, oslo, bergen);
  await inStep(hq, oslo, bergen);
  expect(oldLine.connections).toBeGreaterThan(before);
  const offices = [hq, oslo, bergen];
  expect(digestFaults(await Promise.all(offices.map((office) => office.status())))).toEqual([]);
  for (const office of offices) expect(await contentFaults(office, offices)).toEqual([]);

  // The old address is not used any more; the old machine does nothing else but tell.
  const quiet = oldLine.connections;
  for (const child of running) if (child !== server) await stop(child);
  await inStep(oslo, bergen);
  expect(oldLine.connections).toBe(quiet);
  expect(await old.run('sync')).toMatchObject({
    code: 1,
    err: expect.stringContaining('has moved to another machine'),
  });
  // What an administrator writes into the configuration later counts more.
  await writeFile(oslo.config, (await readFile(oslo.config, 'utf8')).replace(oldLine.url, 'http://127.0.0.1:9'));
  expect((await oslo.run('sync', '--wait', '0')).out).toMatch(/could not be sent.*127\.0\.0\.1/);
}, 120_000);

async function rename(office: Office, to: string): Promise<void> {
  await cp(office.data, join(root, to), { recursive: true });
  await rm(office.data, { recursive: true });
}
