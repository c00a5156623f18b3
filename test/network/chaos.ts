/**
 * `npm run chaos [-- --agents 20 --kills 200 --cuts 200 --seed N --json --keep]`: a network of real agents is killed
 * and cut while people change, and has to be as if nothing had happened. Exit code 1 when something is not as it should
 * be; then the folder is kept, and the seed is told.
 *
 *   join ─▶ in step ─▶ kills, cuts, lines shut, changes ─▶ in step again ─▶ rest ─▶ what was sent, what is left
 *
 * With --mail and --folder it is another network: chaos-by-mail.ts, folder-kills.ts.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chaosByMail } from '../interop/chaos-by-mail.ts';
import { killByFolder } from './folder-kills.ts';
import { Network } from './network.ts';
import { countFaults, remainsOf, waitingIn } from './remains.ts';
import { resentFaults } from './resent.ts';
import { Chaos } from './troubles.ts';

const HELP = `npm run chaos -- [--agents 20] [--kills 200] [--cuts 200] [--seed N] [--json] [--keep]
  --agents   the server and its branches          --kills   SIGKILL of random agents at random moments
  --cuts     connections cut in the middle        --seed    decides who, when (in which time) and where
  --json     the summary for machines             --keep    the folder stays, also when all is well
npm run chaos -- --folder [--kills 100] [--seed N] [--json] [--keep]
  three postoffices by a folder, whose sync and dispatch are killed
npm run chaos -- --mail [--agents 4] [--exchanges 200] [--kills 20] [--seed N] [--json] [--keep]
  by mail, over Exim and Dovecot, which are killed, too; --kills of each`;

const { values } = parseArgs({
  options: {
    mail: { type: 'boolean', default: false },
    folder: { type: 'boolean', default: false },
    agents: { type: 'string' },
    kills: { type: 'string' },
    exchanges: { type: 'string', default: '200' },
    cuts: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

/** A machine with few cores starts processes slowly. */
const KILL_EACH_MS = 2_400 / Math.min(availableParallelism(), 8);
const JOIN_WITHIN_MS = 300_000;
const AGREE_WITHIN_MS = 300_000;
const REST_WITHIN_MS = 120_000;

const startedMs = performance.now();

function say(text: string): void {
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(0).padStart(4);
  if (!values.json) console.log(`${seconds} s  ${text}`);
}

async function chaos(root: string): Promise<number> {
  const [agents, kills, cuts] = [Number(values.agents ?? 20), Number(values.kills ?? 200), Number(values.cuts)];
  say(`seed ${values.seed}, folder ${root}`);
  const network = new Network({ root, branches: agents - 1, seed: values.seed, every: '3s' });
  const violations: string[] = [];
  const troubles = { kills, cuts, terms: Math.ceil(kills / 10), shuts: Math.ceil(kills / 20) };
  const trouble = new Chaos(network, { ...troubles, killEachMs: KILL_EACH_MS, shutForMs: 6_000 }, values.seed);
  const { happened } = trouble;
  const summary: Record<string, number> = {};
  const progress = setInterval(() => say(JSON.stringify(happened)), 15_000);
  try {
    await network.make();
    say(`${agents} agents are started; the branches join`);
    await network.inStep(JOIN_WITHIN_MS);
    say('all have joined and are in step; now agents are killed and connections cut');
    const before = await network.statuses();
    await trouble.run();
    say('no more troubles; it has to come to agree');
    const agreedAfterMs = await network.inStep(AGREE_WITHIN_MS);
    say(`all agree after ${(agreedAfterMs / 1_000).toFixed(1)} s; all are stopped, and started to rest`);
    violations.push(...(await network.stopAll()));
    await network.configure('1d');
    for (const office of network.offices) network.start(office);
    await network.inStep(REST_WITHIN_MS);
    await network.until('nothing waits any more', () => waitingIn(network), REST_WITHIN_MS);
    violations.push(...countFaults(before, await network.statuses()), ...(await network.stopAll()));
    const remains = await remainsOf(network);
    const watched = await resentFaults(network);
    violations.push(...remains.faults, ...watched.faults);
    for (const path of remains.temporaries) say(`half-written by a killed process: ${path}`);
    Object.assign(summary, {
      'people changed': happened.changes,
      'agreed after (s)': agreedAfterMs / 1_000,
      'updates watched': watched.updates,
      'changes in them': watched.changes,
      'submissions watched': watched.submissions,
      messages: watched.messages,
      'half-written files': remains.temporaries.length,
      'largest store (kB)': Math.round(remains.largestStoreBytes / 1_000),
    });
  } catch (error) {
    violations.push(error instanceof Error ? error.message : String(error));
  } finally {
    clearInterval(progress);
    await network.close();
  }
  violations.push(...network.surprises);
  const { kills: killed, ofServer, terms, shuts } = happened;
  const cut = [...network.lines.values()].flatMap((line) => Object.entries(line.cuts));
  const cutAt = (name: string) => cut.reduce((sum, [place, count]) => sum + (place === name ? count : 0), 0);
  const table = {
    agents,
    kills: killed,
    'of the server': ofServer,
    SIGTERM: terms,
    starts: network.starts,
    cuts: happened.cuts,
    'in a body posted': cutAt('posted'),
    'in a body collected': cutAt('collected'),
    'in a request': cutAt('asked'),
    'in an answer': cutAt('answered'),
    'http shut': shuts,
    ...summary,
    seconds: Math.round((performance.now() - startedMs) / 1_000),
    violations: violations.length,
  };
  return await tell(table, violations, root);
}

async function byMail(root: string): Promise<number> {
  say(`seed ${values.seed}, folder ${root}`);
  const [agents, rounds, exchanges] = [
    Number(values.agents ?? 4),
    Number(values.kills ?? 20),
    Number(values.exchanges),
  ];
  const { table, violations } = await chaosByMail(root, { agents, rounds, exchanges, seed: values.seed }, say);
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  return await tell({ ...table, seconds, violations: violations.length }, violations, root);
}

async function byFolder(root: string): Promise<number> {
  say(`seed ${values.seed}, folder ${root}`);
  const { table, violations } = await killByFolder(
    root,
    { kills: Number(values.kills ?? 100), seed: values.seed },
    say,
  );
  return await tell({ ...table, violations: violations.length }, violations, root);
}

/** How many violations there are. */
async function tell(table: Record<string, number>, violations: string[], root: string): Promise<number> {
  if (violations.length > 0) await writeFile(join(root, 'violations.txt'), `${violations.join('\n')}\n`);
  print(table, violations, root);
  return violations.length;
}

function print(table: Record<string, number>, violations: string[], root: string): void {
  const { seed } = values;
  if (values.json) return console.log(JSON.stringify({ seed, ...table, failures: violations, root }));
  console.log();
  for (const [what, count] of Object.entries(table)) {
    console.log(`  ${what.padEnd(22)}${Number.isInteger(count) ? count : count.toFixed(1)}`);
  }
  if (violations.length === 0) return;
  console.log(`\n${violations.length} violations:\n  ${violations.slice(0, 20).join('\n  ')}`);
  console.log(`\nkept: ${root} (all of them in violations.txt, the logs in logs)`);
  console.log(
    `again: npm run chaos -- ${process.argv.slice(2).join(' ')}${process.argv.includes('--seed') ? '' : ` --seed ${seed}`}`,
  );
}

async function main(): Promise<void> {
  if (values.help) return console.log(HELP);
  const root = await mkdtemp(join(tmpdir(), 'dirpost-chaos-'));
  const violations = await (values.mail ? byMail : values.folder ? byFolder : chaos)(root);
  if (violations > 0) process.exitCode = 1;
  else if (!values.keep) await rm(root, { recursive: true, force: true });
  else console.log(`\nkept: ${root}`);
}

await main();
