/**
 * `npm run sim -- --seed FIRST --seeds COUNT`: runs worlds. One seed prints its trace, in the words of the cycle (T0 to
 * T3); many print how they fared. Exit code 1 when a seed broke a rule; the first one is printed with the shortest way to show
 * it that was found. `npm run sim:long` runs 20,000 in changing weather on all processors.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { shrink } from './shrink.ts';
import { addTotals, noTotals, reportOf, type Totals, totalsOf } from './totals.ts';
import { World, type WorldOptions } from './world.ts';

const HELP = `npm run sim -- [--seed FIRST] [--seeds COUNT] [--steps M] [--requestors K] [--clones] [--calm] [--holds] [--narrow] [--edits] [--reloads] [--keys] [--trace] [--json]
  --seed        the first seed (1)                  --seeds   how many (1)
  --steps       things that happen in each (220)    --requestors  besides the server's own (3)
  --clones      machines are copied, too            --calm    no faults
  --holds       small limits on effects, changes of many at once, approvals
  --narrow      ways that take less than before
  --edits       edits of others' entries, which their owners settle
  --reloads     directories whose entries get other keys
  --keys        keys that roll over, are stolen and replaced, a server that moves, postoffices that are suspended
  --mixed       by the seed: each of these, two together, or none of them
  --without     steps that are left out, such as 3,17
  --processes   how many run at once (1)            --shrink  seconds to look for a shorter way to show a fault (60)
  --trace       print what happened (with one seed always)    --json    the totals for machines`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    steps: { type: 'string', default: '220' },
    requestors: { type: 'string', default: '3' },
    clones: { type: 'boolean', default: false },
    calm: { type: 'boolean', default: false },
    holds: { type: 'boolean', default: false },
    narrow: { type: 'boolean', default: false },
    edits: { type: 'boolean', default: false },
    reloads: { type: 'boolean', default: false },
    keys: { type: 'boolean', default: false },
    mixed: { type: 'boolean', default: false },
    without: { type: 'string', default: '' },
    processes: { type: 'string', default: '1' },
    shrink: { type: 'string', default: '60' },
    trace: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

/** Seeds that a process runs before it tells. */
const CHUNK = 25;

/** By the seed. */
const mixedWeathers: Partial<WorldOptions>[] = [
  { clones: true },
  {},
  { clones: true },
  { holds: true },
  { clones: true, edits: true },
  { narrow: true },
  { clones: true },
  { reloads: true },
  { clones: true },
  { edits: true },
  { keys: true, clones: true },
  { holds: true, reloads: true },
  { clones: true },
  { keys: true },
  { clones: true },
  { edits: true, holds: true },
];

function optionsOf(seed: number): WorldOptions {
  const { clones, calm, holds, narrow, reloads, mixed, without, edits, keys } = values;
  const given = {
    seed,
    steps: Number(values.steps),
    requestors: Number(values.requestors),
    ...(without !== '' && { without: without.split(',').map(Number) }),
  };
  if (!mixed) return { ...given, clones, calm, holds, narrow, reloads, edits, keys };
  return { ...given, ...mixedWeathers[seed % mixedWeathers.length] };
}

function replayCommand({ seed, steps = 220, requestors = 3, without = [], ...weather }: WorldOptions): string {
  const options = [`--seed ${seed}`];
  if (steps !== 220) options.push(`--steps ${steps}`);
  if (requestors !== 3) options.push(`--requestors ${requestors}`);
  for (const name of ['clones', 'calm', 'holds', 'narrow', 'reloads', 'edits', 'keys'] as const)
    if (weather[name] === true) options.push(`--${name}`);
  if (without.length > 0) options.push(`--without ${without.join(',')}`);
  return `npm run sim -- ${options.join(' ')}`;
}

async function runHere(first: number, seeds: number, told: (totals: Totals) => void): Promise<void> {
  const trace = values.trace || (seeds === 1 && !values.json);
  for (let seed = first; seed < first + seeds; seed++) {
    const options = optionsOf(seed);
    const result = await new World({ ...options, trace }).run();
    if (trace) console.log(result.trace.join('\n'));
    told(totalsOf(result, replayCommand(options)));
  }
}

/** Each chunk in a process of its own. */
async function runElsewhere(first: number, seeds: number, told: (totals: Totals) => void): Promise<void> {
  let next = first;
  const work = async () => {
    while (next < first + seeds) {
      const from = next;
      const count = Math.min(CHUNK, first + seeds - from);
      next += count;
      told(await inProcess(from, count));
    }
  };
  await Promise.all(Array.from({ length: processes() }, work));
}

function processes(): number {
  return values.processes === 'all' ? availableParallelism() : Number(values.processes);
}

async function inProcess(from: number, count: number): Promise<Totals> {
  const { steps, requestors, clones, calm, holds, narrow, reloads, mixed, edits, keys } = values;
  const flags = Object.entries({ clones, calm, holds, narrow, reloads, mixed, edits, keys }).flatMap(([name, on]) =>
    on ? [`--${name}`] : [],
  );
  const numbers = ['--seed', String(from), '--seeds', String(count), '--steps', steps, '--requestors', requestors];
  const args = [...process.execArgv, fileURLToPath(import.meta.url), '--json', ...numbers, ...flags];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  await once(child, 'close');
  if (out === '') throw new Error(`seeds ${from} to ${from + count - 1}: the process ended with ${child.exitCode}`);
  return JSON.parse(out) as Totals;
}

async function main(): Promise<void> {
  if (values.help) return console.log(HELP);
  const seeds = Number(values.seeds);
  const totals = noTotals();
  const startedMs = performance.now();
  let toldMs = startedMs;
  const told = (more: Totals) => {
    addTotals(totals, more);
    if (values.json) return;
    for (const { replay, violations } of more.failed)
      console.log(`${replay} breaks a rule:\n  ${violations.join('\n  ')}`);
    if (performance.now() - toldMs < 10_000) return;
    toldMs = performance.now();
    const perSecond = totals.seeds / ((toldMs - startedMs) / 1_000);
    console.log(`${totals.seeds} of ${seeds} seeds, ${totals.failed.length} failed, ${perSecond.toFixed(1)} seeds/s`);
  };
  await (processes() > 1 ? runElsewhere : runHere)(Number(values.seed), seeds, told);
  if (values.json) console.log(JSON.stringify(totals));
  else console.log(reportOf(totals, (performance.now() - startedMs) / 1_000));
  if (totals.failed.length === 0) return;
  process.exitCode = 1;
  if (!values.json && Number(values.shrink) > 0) await shorten(totals.failed[0]!.replay);
}

async function shorten(replay: string): Promise<void> {
  const seed = Number(/--seed (\d+)/.exec(replay)![1]);
  console.log(`\nlooking for a shorter way to show it, ${values.shrink} s at most (--shrink 0: not) …`);
  const shrunk = await shrink(optionsOf(seed), Number(values.shrink) * 1_000, () => performance.now());
  if (shrunk === null) return console.log('it did not show again');
  const { trace, violations } = await new World({ ...shrunk.options, trace: true }).run();
  console.log(trace.join('\n'));
  console.log(
    `after ${shrunk.tries} tries: ${replayCommand(shrunk.options)}\n  ${violations.slice(0, 5).join('\n  ')}`,
  );
}

await main();
