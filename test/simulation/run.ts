/**
 * `npm run sim -- --seed FIRST --seeds COUNT`: runs worlds. One seed prints its trace, in the words of the cycle (T0 to
 * T3); many print how they fared. Exit code 1 when a seed broke a rule; it is printed with how to replay it.
 */
import { parseArgs } from 'node:util';
import { World, type WorldResult } from './world.ts';

const HELP = `npm run sim -- [--seed FIRST] [--seeds COUNT] [--steps M] [--requestors K] [--clones] [--calm] [--holds] [--narrow] [--trace] [--json]
  --seed        the first seed (1)                  --seeds   how many (1)
  --steps       things that happen in each (220)    --requestors  besides the server's own (3)
  --clones      machines are copied, too            --calm    no faults
  --holds       small limits on effects, changes of many at once, approvals
  --narrow      ways that take less than before
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
    trace: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

interface Totals {
  seeds: number;
  messages: number;
  octets: number;
  violations: number;
  failed: number[];
  slowestCycles: number;
  slowestSeed: number;
  /** How many seeds agreed after so many quiet cycles. */
  cycles: Record<number, number>;
  counts: Record<string, number>;
}

function add(totals: Totals, result: WorldResult): void {
  totals.seeds++;
  totals.messages += result.messages;
  totals.octets += result.octets;
  totals.violations += result.violations.length;
  if (result.violations.length > 0) totals.failed.push(result.seed);
  totals.cycles[result.cycles] = (totals.cycles[result.cycles] ?? 0) + 1;
  if (result.cycles > totals.slowestCycles)
    Object.assign(totals, { slowestCycles: result.cycles, slowestSeed: result.seed });
  for (const [what, count] of Object.entries(result.counts)) totals.counts[what] = (totals.counts[what] ?? 0) + count;
}

function replayCommand(seed: number): string {
  const { steps, requestors, clones, calm, holds, narrow } = values;
  const options = [`--seed ${seed}`];
  if (steps !== '220') options.push(`--steps ${steps}`);
  if (requestors !== '3') options.push(`--requestors ${requestors}`);
  if (clones) options.push('--clones');
  if (calm) options.push('--calm');
  if (holds) options.push('--holds');
  if (narrow) options.push('--narrow');
  return `npm run sim -- ${options.join(' ')}`;
}

async function main(): Promise<void> {
  if (values.help) return console.log(HELP);
  const first = Number(values.seed);
  const seeds = Number(values.seeds);
  const trace = values.trace || (seeds === 1 && !values.json);
  const totals: Totals = {
    seeds: 0,
    messages: 0,
    octets: 0,
    violations: 0,
    failed: [],
    slowestCycles: 0,
    slowestSeed: first,
    cycles: {},
    counts: {},
  };
  const { clones, calm, holds, narrow } = values;
  const options = {
    clones,
    calm,
    holds,
    narrow,
    trace,
    steps: Number(values.steps),
    requestors: Number(values.requestors),
  };
  const startedMs = performance.now();
  for (let seed = first; seed < first + seeds; seed++) {
    const result = await new World({ ...options, seed }).run();
    add(totals, result);
    if (trace) console.log(result.trace.join('\n'));
    if (result.violations.length > 0 && !values.json) {
      console.log(
        `seed ${seed} breaks a rule:\n  ${result.violations.slice(0, 5).join('\n  ')}\n  replay: ${replayCommand(seed)}`,
      );
    }
    if (!values.json && totals.seeds % 100 === 0) {
      console.log(
        `${totals.seeds} seeds, ${totals.failed.length} failed, ${((totals.seeds / (performance.now() - startedMs)) * 1000).toFixed(1)} seeds/s`,
      );
    }
  }
  if (values.json) console.log(JSON.stringify(totals));
  else report(totals, (performance.now() - startedMs) / 1000);
  if (totals.failed.length > 0) process.exitCode = 1;
}

function report(totals: Totals, seconds: number): void {
  const { seeds, failed, messages, slowestCycles, slowestSeed } = totals;
  console.log(
    `${failed.length} of ${seeds} seeds broke a rule; ${messages} messages, ${(totals.octets / 1e6).toFixed(1)} MB in ${seconds.toFixed(1)} s`,
  );
  console.log(
    `slowest convergence: ${slowestCycles} quiet cycles (seed ${slowestSeed}); ${JSON.stringify(totals.cycles)}`,
  );
  console.log(
    Object.entries(totals.counts)
      .map(([what, count]) => `${what} ${count}`)
      .join(', '),
  );
}

await main();
