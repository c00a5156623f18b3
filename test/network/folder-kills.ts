/**
 * kill -9 at any moment, by a folder: three real postoffices exchange changing directories, and their processes are killed at
 * random moments of `sync` and `dispatch`. Afterwards a few cycles, and everything has to be as if nothing had happened.
 */
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { contentFaults, digestFaults } from '../demo/contents.ts';
import { cycle, ended, makeOffices, Office, type Ran, runHere, start } from '../demo/office.ts';
import { makePerson, makeStaff, pick, type Staff, uidOf } from '../demo/people.ts';

const MAX_CYCLES = 8;

/** A seed decides what is killed after which share of its usual time; the clock decides where that is. */
class Dice {
  #thrown = 0;

  constructor(private readonly seed: string) {}

  below(count: number): number {
    return pick(`${this.seed} ${this.#thrown++}`, count);
  }
}

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

export interface FolderKills {
  kills: number;
  seed: string;
}

export interface FolderKilled {
  table: Record<string, number>;
  violations: string[];
}

interface Tally {
  kills: number;
  /** Processes that ended by themselves. */
  ends: number;
  violations: string[];
}

/** Runs a command and kills it, from the moment when it holds the data folder, within the time that it usually takes. */
async function runAndKill(office: Office, args: string[], dice: Dice, usual: { ms: number }): Promise<'killed' | Ran> {
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
  const ran = await result;
  if (ran.code === null) return 'killed';
  usual.ms = performance.now() - holdsMs;
  return ran;
}

async function workUntilKilled(
  office: Office,
  staff: Staff,
  { kills, seed }: FolderKills,
  tally: Tally,
): Promise<void> {
  const dice = new Dice(`${seed} ${office.name}`);
  const usual: Record<string, { ms: number }> = { sync: { ms: 600 }, dispatch: { ms: 300 } };
  while (tally.kills < kills) {
    const name = dice.below(3) === 0 ? 'dispatch' : 'sync';
    if (name === 'sync') {
      changeStaff(staff, dice);
      await office.writePeople(staff);
    }
    const args = name === 'sync' ? ['sync', '--wait', '0'] : ['dispatch'];
    const ran = await runAndKill(office, args, dice, usual[name]!);
    if (ran === 'killed') {
      tally.kills++;
      continue;
    }
    // A process that ended before the kill does not count; what it says must be good.
    tally.ends++;
    if (ran.code !== 0) tally.violations.push(`${office.name}: ${args.join(' ')} ended with ${ran.code}: ${ran.err}`);
  }
}

/** `root`: an empty folder. */
export async function killByFolder(
  root: string,
  wanted: FolderKills,
  say: (text: string) => void,
): Promise<FolderKilled> {
  const startedMs = performance.now();
  const names = ['hq', 'oslo', 'lima'];
  await makeOffices(root, names, runHere);
  const offices = names.map((name) => new Office(root, name));
  const sorts = ['removals', 'clearedValues', 'lostMembers', 'renames'].map((sort) => `${sort}: { percent: 100 }`);
  for (const { config } of offices) await appendFile(config, `\nholds: { ${sorts.join(', ')} }\n`);
  const staffs = offices.map((office) => makeStaff(office.name, 200, 10));
  for (const [i, office] of offices.entries()) await office.writePeople(staffs[i]!);

  const tally: Tally = { kills: 0, ends: 0, violations: [] };
  say('three postoffices by a folder; now their processes are killed');
  await Promise.all(offices.map((office, i) => workUntilKilled(office, staffs[i]!, wanted, tally)));
  say(`${tally.kills} were killed; it has to come to agree`);
  const { cycles, faults } = await cyclesUntilAgreed(offices);
  const violations = [...tally.violations, ...faults];
  for (const office of offices) violations.push(...(await faultsOf(office, offices)));
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  return { table: { kills: tally.kills, 'ended before': tally.ends, cycles, seconds }, violations };
}

async function cyclesUntilAgreed(offices: Office[]): Promise<{ cycles: number; faults: string[] }> {
  for (let cycles = 1; ; cycles++) {
    await cycle(offices);
    const faults = digestFaults(await Promise.all(offices.map((office) => office.status())));
    if (faults.length === 0 || cycles === MAX_CYCLES) return { cycles, faults };
  }
}

async function faultsOf(office: Office, all: Office[]): Promise<string[]> {
  const { corrupt, own, server } = await office.status();
  const counted = { corrupt, restored: server?.lives ?? 0, rollbacks: own.counts['rollbacks'] ?? 0 };
  const wrong = Object.entries(counted).filter(([, count]) => count > 0);
  return [...(await contentFaults(office, all)), ...wrong.map(([what, count]) => `${office.name}: ${what} ${count}`)];
}
