/** A server that invites, and branches that join it over the exchange folder, for tests of the command line. */
import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { contentFaults, digestFaults } from '../demo/contents.ts';
import { allowFirstWrite, CONTAINER, cycle, Office, type Ran } from '../demo/office.ts';
import { runHere, smallStaff, temporaryFolder } from './network.ts';

export interface Roster {
  requestors: { name: string; state: string; entries: number; fingerprint: string | null; publish: object }[];
  refused: { name: string; count: number; why: string }[];
}

export const rosterOf = (hq: Office): Promise<Roster> => hq.json<Roster>('requestor', 'list');

export const settings = (name: string): string[] => [
  '--publish',
  `../directories/${name}/people.ldif`,
  '--subscribe',
  `../directories/${name}/network.ldif`,
  '--container',
  CONTAINER,
];

export async function makeServer(): Promise<Office> {
  const root = await temporaryFolder();
  const hq = new Office(root, 'hq', runHere);
  await mkdir(hq.exchange);
  await mkdir(join(root, 'directories', 'hq'), { recursive: true });
  await hq.must('init', 'hq', '--role', 'server', ...settings('hq'), '--folder', '../exchange');
  await allowFirstWrite(hq);
  await hq.writePeople(smallStaff('hq'));
  return hq;
}

export async function makeBranch(hq: Office, name: string): Promise<Office> {
  const branch = new Office(hq.root, name, runHere);
  await mkdir(join(hq.root, 'directories', name), { recursive: true });
  await branch.writePeople(smallStaff(name));
  return branch;
}

export async function lineFor(hq: Office, name: string, ...options: string[]): Promise<string> {
  return (await hq.json<{ invitation: string }>('invite', name, ...options)).invitation;
}

export async function asks(branch: Office, line: string): Promise<Ran> {
  const ran = await branch.run('join', line, ...settings(branch.name), '--folder', '../exchange', '--wait', '0');
  if (ran.code === 0) await allowFirstWrite(branch);
  return ran;
}

/** Asked, answered, and both in step. */
export async function joined(hq: Office, name: string, ...options: string[]): Promise<Office> {
  const branch = await makeBranch(hq, name);
  expect(await asks(branch, await lineFor(hq, name, ...options))).toMatchObject({ code: 0 });
  await hq.must('dispatch');
  await branch.must('dispatch');
  await cycle([hq, branch]);
  return branch;
}

export async function expectInStep(...offices: Office[]): Promise<void> {
  await cycle(offices);
  // Who is answered before the server has submitted its own people gets those with the next cycle.
  await cycle(offices);
  expect(digestFaults(await Promise.all(offices.map((office) => office.status())))).toEqual([]);
  for (const office of offices) expect(await contentFaults(office, offices)).toEqual([]);
}

let template: Promise<string> | undefined;

/** hq, oslo and bergen, in step; made once for a file of tests, and copied for each. */
export async function freshBranches(): Promise<{ root: string; hq: Office; oslo: Office; bergen: Office }> {
  template ??= makeTemplate();
  const root = await temporaryFolder();
  await cp(await template, root, { recursive: true });
  const [hq, oslo, bergen] = ['hq', 'oslo', 'bergen'].map((name) => new Office(root, name, runHere));
  return { root, hq: hq!, oslo: oslo!, bergen: bergen! };
}

async function makeTemplate(): Promise<string> {
  const hq = await makeServer();
  await expectInStep(hq, await joined(hq, 'oslo'), await joined(hq, 'bergen'));
  return hq.root;
}
