/**
 * kill -9 at any moment: three real postoffices exchange changing directories over a folder, and 50 of their processes
 * are killed at random moments of `sync` and `dispatch`. Afterwards a few cycles, and everything has to be as if nothing
 * had happened.
 */
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { contentFaults, digestFaults } from '../demo/contents.ts';
import { cycle, ended, makeOffices, Office, runHere, start } from '../demo/office.ts';
import { holdNothing } from './network.ts';
import { makePerson, makeStaff, pick, type Staff, uidOf } from '../demo/people.ts';

const KILLS = 50;
const SEED = 'kill 1';
const MAX_CYCLES = 8;

/** A seed decides what is killed after which share of its usual time; the clock decides where that is. */
class Dice {
  #thrown = 0;

  constructor(private readonly seed: string) {}

  below(count: number): number {
    return pick(`${this.seed} ${this.#thrown++}`, count);
  }
}

const roots: string[] = [];
afterAll(async () => {
  for (const root of roots) await rm(root, { recursive: true, force: true });
});

/** People come, leave, change and are renamed; groups with them. */
function changeStaff(staff: Staff, dice: Dice): void {
  const { people, groups } = staff;
  for (let i = 0; i < 5; i++) people[dice.below(people.length)]!.title = `Title ${dice.below(1_000)}`;
  people.splice(dice.below(people.length), 2);
  const newcomer = makePerson(staff.office, 1_000 + dice.below(1_000_000));
  people.push(newcomer);
  groups[dice.below(groups.length)]!.members.push(newcomer.key);
  const renamed = people[dice.below(people.length)]!;
  renamed.sn = `Ny${dice.below(1_000)}sen`;
  renamed.uid = uidOf(renamed.givenName, renamed.sn, 0) + renamed.key.slice(0, 6);
}

interface Tally {
  kills: number;
  /** Processes that ended by themselves. */
  ends: number;
}

/** Runs a command and kills it, from the moment when it holds the data folder, within the time that it usually takes. */
async function runAndKill(office: Office, args: string[], dice: Dice, usual: { ms: number }): Promise<boolean> {
  const child = start(['--config', office.config, ...args]);
  const result = ended(child, args);
  const pidFile = join(office.data, 'lock.pid');
  const works = () => existsSync(pidFile) && readFileSync(pidFile, 'utf8') === `${child.pid}\n`;
  while (child.exitCode === null && !works()) await wait(2);
  const holdsMs = performance.now();
  const over = new AbortController();
  const killed = wait((usual.ms * dice.below(1_000)) / 1_000, undefined, { signal: over.signal }).then(
    () => child.exitCode === null && child.kill('SIGKILL'),
    () => false,
  );
  await once(child, 'exit');
  over.abort();
  await killed;
  const { code, err } = await result;
  // A process that ended before the kill does not count; what it says must be good.
  if (code === null) return true;
  usual.ms = performance.now() - holdsMs;
  expect({ office: office.name, args, code, err }).toMatchObject({ code: 0 });
  return false;
}

async function workUntilKilled(office: Office, staff: Staff, tally: Tally): Promise<void> {
  const dice = new Dice(`${SEED} ${office.name}`);
  const usual: Record<string, { ms: number }> = { sync: { ms: 600 }, dispatch: { ms: 300 } };
  while (tally.kills < KILLS) {
    const name = dice.below(3) === 0 ? 'dispatch' : 'sync';
    if (name === 'sync') {
      changeStaff(staff, dice);
      await office.writePeople(staff);
    }
    const args = name === 'sync' ? ['sync', '--wait', '0'] : ['dispatch'];
    if (await runAndKill(office, args, dice, usual[name]!)) tally.kills++;
    else tally.ends++;
  }
}

describe('kill -9', () => {
  it(`at ${KILLS} random moments loses nothing and doubles nothing`, { timeout: 170_000 }, async () => {
    const root = await mkdtemp(join(tmpdir(), 'dirpost-kill-'));
    roots.push(root);
    const names = ['hq', 'oslo', 'lima'];
    await makeOffices(root, names, runHere);
    const offices = names.map((name) => new Office(root, name));
    await Promise.all(offices.map(holdNothing));
    const staffs = offices.map((office) => makeStaff(office.name, 200, 10));
    for (const [i, office] of offices.entries()) await office.writePeople(staffs[i]!);

    const tally: Tally = { kills: 0, ends: 0 };
    await Promise.all(offices.map((office, i) => workUntilKilled(office, staffs[i]!, tally)));
    expect(tally.kills).toBeGreaterThanOrEqual(KILLS);

    for (let cycles = 1; ; cycles++) {
      await cycle(offices);
      const faults = digestFaults(await Promise.all(offices.map((office) => office.status())));
      if (faults.length === 0) break;
      if (cycles === MAX_CYCLES) expect(faults).toEqual([]);
    }
    for (const office of offices) {
      expect(await contentFaults(office, offices)).toEqual([]);
      const { corrupt, own, server } = await office.status();
      expect({
        office: office.name,
        corrupt,
        restored: server?.lives ?? 0,
        rollbacks: own.counts['rollbacks'],
      }).toEqual({
        office: office.name,
        corrupt: 0,
        restored: 0,
        rollbacks: 0,
      });
    }
  });
});
