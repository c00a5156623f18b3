/**
 * Two postoffices for tests of the command line: hq and oslo, with a few people each, in step. Made once for a file of
 * tests and copied for each test, so that no test sees what another did. Commands run in this process, by `main`.
 */
import { appendFile, cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { main } from '../../packages/agent/src/cli/program.ts';
import type { Status } from '../demo/contents.ts';
import { cycle, makeOffices, Office, type Runner, runMain } from '../demo/office.ts';
import { makeStaff, type Staff } from '../demo/people.ts';

export const runHere: Runner = (args) => runMain(main, args);

export interface Network {
  root: string;
  offices: [Office, Office];
  hq: Office;
  oslo: Office;
  staff: { hq: Staff; oslo: Staff };
}

const roots: string[] = [];
let template: Promise<string> | undefined;

afterAll(async () => {
  for (const root of roots) await rm(root, { recursive: true, force: true });
});

export async function temporaryFolder(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'dirpost-cli-'));
  roots.push(root);
  return root;
}

export function smallStaff(office: string): Staff {
  return makeStaff(office, 12, 2);
}

/** In step, nothing waiting. `root`: an empty folder; else one in the temporary folder of the system. */
export async function freshNetwork(root?: string): Promise<Network> {
  template ??= makeTemplate();
  const folder = root ?? (await temporaryFolder());
  await cp(await template, folder, { recursive: true });
  const [hq, oslo] = [new Office(folder, 'hq', runHere), new Office(folder, 'oslo', runHere)];
  return { root: folder, offices: [hq, oslo], hq, oslo, staff: { hq: smallStaff('hq'), oslo: smallStaff('oslo') } };
}

async function makeTemplate(): Promise<string> {
  const root = await temporaryFolder();
  const offices = await makeOffices(root, ['hq', 'oslo'], runHere);
  for (const office of offices) await office.writePeople(smallStaff(office.name));
  await cycle(offices);
  await cycle(offices);
  return root;
}

/** What must not move when something is refused: everything in `status --json` but the count of corrupt files and times. */
export async function standing(office: Office): Promise<unknown> {
  const { corrupt: _, ...status } = await office.status();
  return JSON.parse(JSON.stringify(status, (key, value: unknown) => (key.endsWith('Ms') ? undefined : value)));
}

/** Seqs and digests alone. */
export function essence({ own, server }: Status): unknown {
  const requestors = server?.requestors.map(({ name, acceptedSeq, ownerDigest }) => [name, acceptedSeq, ownerDigest]);
  return [own.seq, own.digest, own.replica, own.incarnation, server?.seq, server?.incarnation, requestors];
}

/** For tests that are not about limits on effects, and change much at once. */
export async function holdNothing(office: Office): Promise<void> {
  const sorts = ['removals', 'clearedValues', 'lostMembers', 'renames'].map((sort) => `${sort}: { percent: 100 }`);
  await appendFile(office.config, `\nholds: { ${sorts.join(', ')} }\n`);
}
