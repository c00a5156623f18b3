/**
 * Whoever can write into the exchange folder puts message files of earlier days there again, in any order: joining, exchanges,
 * updates, verifications. See also test/cli/bad-input.test.ts ("replayed"), test/contract/http-refusals.test.ts ("repeated by
 * somebody on the way") and the simulation, whose transports repeat and reorder.
 */
import { copyFile, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { SeededRandom } from '../simulation/random.ts';
import { contentFaults, digestFaults } from '../demo/contents.ts';
import { cycle, type Office } from '../demo/office.ts';
import { asks, lineFor, makeBranch, makeServer } from '../cli/branches.ts';
import { essence, smallStaff } from '../cli/network.ts';

interface Recorded {
  to: Office;
  file: string;
}

/** Copies what lies in the exchange folder; by its content, so that each file is taken once. */
async function record(offices: Office[], folder: string, recorded: Map<string, Recorded>): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const to of offices) {
    for (const path of await to.waiting()) {
      const name = path.slice(path.lastIndexOf('/') + 1);
      if (recorded.has(name)) continue;
      const isThere = await copyFile(path, join(folder, name)).then(
        () => true,
        () => false,
      );
      if (isThere) recorded.set(name, { to, file: join(folder, name) });
    }
  }
}

/** hq, oslo and bergen join and live for some days; every message file is kept aside. */
async function recordedRun(): Promise<{ offices: Office[]; files: Recorded[] }> {
  const hq = await makeServer();
  const recorded = new Map<string, Recorded>();
  const offices = [hq];
  const folder = join(hq.root, 'recorded');
  const between = () => record(offices, folder, recorded);
  for (const name of ['oslo', 'bergen']) {
    const branch = await makeBranch(hq, name);
    offices.push(branch);
    expect(await asks(branch, await lineFor(hq, name))).toMatchObject({ code: 0 });
    await between();
    await hq.must('dispatch');
    await between();
    await branch.must('dispatch');
  }
  for (const title of ['Clerk', 'Pilot', 'Harbour master']) {
    for (const office of offices) {
      const staff = smallStaff(office.name);
      staff.people[0]!.title = `${title} of ${office.name}`;
      if (title === 'Pilot') staff.people.pop();
      await office.writePeople(staff);
    }
    await cycle(offices, { between });
    await cycle(offices, { between });
  }
  await between();
  for (const office of offices) await office.must('dispatch');
  return { offices, files: [...recorded.values()] };
}

async function stand(offices: Office[]): Promise<unknown[]> {
  const told = await Promise.all(offices.map((office) => office.status()));
  const entries = await Promise.all(offices.map((office) => readFile(office.network, 'utf8')));
  return [told.map(essence), entries];
}

it('any earlier message file, again, in any order: nothing changes but what is counted', {
  timeout: 240_000,
}, async () => {
  const { offices, files } = await recordedRun();
  const kinds = new Set<string>();
  for (const { to, file } of files) {
    const shown = await to.run('--json', 'message', 'show', file);
    if (shown.code === 0) kinds.add((JSON.parse(shown.out) as { head: { kind: string } }).head.kind);
  }
  expect([...kinds].sort()).toEqual(['enrolment', 'exchange', 'update', 'verification']);
  expect(files.length).toBeGreaterThan(20);
  const before = await stand(offices);
  for (const seed of [1, 2]) {
    const random = new SeededRandom(seed, 7);
    const shuffled = files
      .map((one) => [random.next(), one] as const)
      .sort(([a], [b]) => a - b)
      .map(([, one]) => one);
    // A few at a time, so that the order of the dispatches is another one each time.
    for (let from = 0; from < shuffled.length; from += 12) {
      for (const [at, { to, file }] of shuffled.slice(from, from + 12).entries()) {
        await mkdir(to.inbox, { recursive: true });
        await copyFile(file, join(to.inbox, `${(seed * 10_000 + from + at).toString(16).padStart(32, '0')}.dpm`));
      }
      for (const office of offices) await office.run('dispatch');
    }
    // The answers to repeats, too.
    for (const office of offices) await office.run('dispatch');
    expect(await stand(offices)).toEqual(before);
  }
  await cycle(offices);
  expect(digestFaults(await Promise.all(offices.map((office) => office.status())))).toEqual([]);
  for (const office of offices) expect(await contentFaults(office, offices)).toEqual([]);
  expect(await readdir(offices[0]!.inbox)).toEqual([]);
});
