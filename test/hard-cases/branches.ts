/**
 * For the hard cases of design §11: three offices with real stores on disk, and what happens to such machines.
 *
 *   server restored, requestor restored or cloned, store lost ─▶ restored.test.ts     joined anew ─▶ cli/joining.test.ts
 *   queue deleted, mailbox wiped, corrupt, late, silent, clocks ─▶ message-files.test.ts
 *   resync, own entries, new list, rename, status, empty answers ─▶ directories.test.ts
 *   daylight saving ─▶ agent/src/schedule      memory ─▶ core/streamed, bench scale-memory      everything at once ─▶ simulation
 */
import { appendFile, cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { contentFaults, digestFaults, readLdif } from '../demo/contents.ts';
import { Office, type Ran } from '../demo/office.ts';
import type { Staff } from '../demo/people.ts';
import { freshBranches } from '../cli/branches.ts';
import { runHere, smallStaff } from '../cli/network.ts';

export interface Offices {
  root: string;
  hq: Office;
  oslo: Office;
  bergen: Office;
  all: Office[];
  staff: Record<'hq' | 'oslo' | 'bergen', Staff>;
}

/** In step; limits on effects far away, since these cases are not about them. */
export async function freshOffices(): Promise<Offices> {
  const { root, hq, oslo, bergen } = await freshBranches();
  const all = [hq, oslo, bergen];
  const sorts = ['removals', 'clearedValues', 'lostMembers', 'renames'].map((sort) => `${sort}: { percent: 100 }`);
  for (const { config } of all) await appendFile(config, `\nholds: { ${sorts.join(', ')} }\n`);
  const staff = { hq: smallStaff('hq'), oslo: smallStaff('oslo'), bergen: smallStaff('bergen') };
  return { root, hq, oslo, bergen, all, staff };
}

/** As a backup program does it, while nothing runs. */
export async function copyAway({ root, data }: Office, name: string): Promise<string> {
  const copy = join(root, name);
  await cp(data, copy, { recursive: true });
  return copy;
}

export async function putBack({ data }: Office, copy: string): Promise<void> {
  await rm(data, { recursive: true });
  await cp(copy, data, { recursive: true });
}

/** A second machine with everything that the first one has, in the same exchange folder. */
export async function cloneOf(office: Office): Promise<Office> {
  await copyAway(office, `${office.name}-clone`);
  const clone = new Office(office.root, `${office.name}-clone`, runHere);
  // It writes into a directory of its own.
  const network = join(office.root, 'directories', office.name, 'clone.ldif');
  const text = await readFile(clone.config, 'utf8');
  await writeFile(clone.config, text.replaceAll('/network.ldif', '/clone.ldif'));
  return Object.assign(clone, { network });
}

export async function changeTitle(office: Office, staff: Staff, person: number, title: string): Promise<void> {
  staff.people[person]!.title = title;
  await office.writePeople(staff);
}

/** DNs in what was written for the people of this office, containers left out. */
export async function standsAt(office: Office): Promise<Set<string>> {
  const entries = [...(await readLdif(office.network))];
  return new Set(
    entries.filter(([, of]) => of.get('objectclass')?.includes('organizationalUnit') !== true).map(([dn]) => dn),
  );
}

/**
 * Cycles one after another, in which nobody waits for anybody: T0 and T1 at the branches, T2, T3, and the server takes the
 * verifications. What was said in all of them.
 */
export async function cycles(count: number, [server, ...branches]: Office[]): Promise<Ran[]> {
  const said: Ran[] = [];
  for (let i = 0; i < count; i++) {
    for (const branch of branches) said.push(await branch.must('sync', '--wait', '0'));
    said.push(await server!.must('sync'));
    for (const branch of branches) said.push(await branch.must('dispatch'));
    said.push(await server!.must('dispatch'));
  }
  return said;
}

/** All have what all others have, by content and by digest. The server comes first. */
export async function expectAgreed(...offices: Office[]): Promise<void> {
  // Who is answered before the server has submitted its own people gets those with the next cycle.
  await cycles(2, offices);
  expect(digestFaults(await Promise.all(offices.map((office) => office.status())))).toEqual([]);
  for (const office of offices) expect(await contentFaults(office, offices)).toEqual([]);
}
