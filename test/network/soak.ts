/**
 * `npm run soak [-- --seed N --json]`: the three networks of chaos.ts one after another, with at least 300 processes killed by kill -9
 * over http, folder and mail. Exit code 1 when one of them did not come to agree. About a quarter of an hour.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HELP = `npm run soak -- [--seed N] [--scale 1] [--json]
  --seed    decides who is killed, when and where       --scale   so many times as many kills`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    scale: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const scaled = (count: number) => String(Math.ceil(count * Number(values.scale)));

/** Kills over mail are of each: Exim, Dovecot and agents. */
const networks: { over: string; args: string[] }[] = [
  { over: 'http', args: ['--agents', '10', '--kills', scaled(150), '--cuts', scaled(150)] },
  { over: 'folder', args: ['--folder', '--kills', scaled(120)] },
  { over: 'mail', args: ['--mail', '--kills', scaled(20), '--exchanges', scaled(200)] },
];

interface Outcome {
  kills?: number;
  violations: number;
  failures: string[];
  [count: string]: unknown;
}

/** Its progress goes on to the terminal. */
async function runNetwork(args: string[]): Promise<Outcome> {
  const chaos = fileURLToPath(new URL('chaos.ts', import.meta.url));
  const child = spawn(process.execPath, [...process.execArgv, chaos, '--seed', values.seed, '--json', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  await once(child, 'close');
  const last = out.trim().split('\n').at(-1) ?? '';
  return last.startsWith('{')
    ? (JSON.parse(last) as Outcome)
    : { violations: 1, failures: [`it ended with exit code ${child.exitCode} and said nothing: ${out}`] };
}

/** Exim and Dovecot are killed as well as agents. */
function killsOf(outcome: Outcome): number {
  return Object.entries(outcome).reduce(
    (sum, [what, count]) => sum + (/kill/.test(what) && typeof count === 'number' ? count : 0),
    0,
  );
}

async function main(): Promise<void> {
  if (values.help) return console.log(HELP);
  const outcomes: Record<string, Outcome> = {};
  let [kills, violations] = [0, 0];
  for (const { over, args } of networks) {
    const outcome = await runNetwork(args);
    outcomes[over] = outcome;
    kills += killsOf(outcome);
    violations += outcome.violations;
    if (values.json) continue;
    console.log(
      `over ${over}: ${killsOf(outcome)} killed, ${outcome.violations} violations; ${JSON.stringify(outcome)}`,
    );
    for (const failure of outcome.failures.slice(0, 20)) console.log(`  ${failure}`);
  }
  if (values.json) console.log(JSON.stringify({ seed: values.seed, kills, violations, ...outcomes }));
  else console.log(`${kills} processes were killed; ${violations} violations`);
  if (violations > 0) process.exitCode = 1;
}

await main();
