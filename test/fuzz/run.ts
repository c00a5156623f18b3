/**
 * `npm run fuzz -- [--minutes 10] [--target NAME]… [--seed N] [--input FILE] [--json]`: fuzzes all targets one after another,
 * each in a process of its own. Inputs that fail are written to test/fuzz/corpus/TARGET/, which is where `npm test` runs
 * them from then on.
 */
import { fork } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { ChildTask, ChildWord } from './child.ts';
import { failuresFolder, storeInput } from './corpus.ts';
import { failed, type Failure } from './fuzzer.ts';
import { targetNamed, targets } from './targets.ts';

/** A process that says nothing for so long hangs; a busy machine does not make one. */
const SILENCE_MS = 60_000;
const MAX_MEMORY_MIB = 768;
const MAX_PROCESSES = 4;

interface Outcome {
  target: string;
  executions: number;
  found: number;
  blocks: number;
  failures: Failure[];
  seconds: number;
}

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    target: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string', default: '1' },
    input: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

const chosen = options.target.length === 0 ? targets.map(({ name }) => name) : options.target;
const unknown = chosen.find((name) => targetNamed(name) === undefined);
const minutes = Number(options.minutes);
const seed = Number(options.seed);
if (
  unknown !== undefined ||
  !(minutes > 0) ||
  !Number.isSafeInteger(seed) ||
  (options.input !== undefined && chosen.length > 1)
) {
  console.error(
    'Use: npm run fuzz -- [--minutes N] [--target NAME]… [--seed N] [--input FILE, with one target] [--json]',
  );
  console.error(`Targets:\n${targets.map(({ name, about }) => `  ${name.padEnd(16)} ${about}`).join('\n')}`);
  process.exit(2);
}

/** One process; restarted where an input ended it, for the time that is left. */
async function fuzzTarget(target: string, seconds: number): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), 'dirpost-fuzz-'));
  const outcome: Outcome = { target, executions: 0, found: 0, blocks: 0, failures: [], seconds };
  const endMs = performance.now() + seconds * 1_000;
  const input = options.input === undefined ? undefined : (await readFile(options.input)).toString('base64');
  try {
    for (let process = 0; process < MAX_PROCESSES; process++) {
      const left = (endMs - performance.now()) / 1_000;
      if (process > 0 && (left < 1 || input !== undefined)) break;
      const currentFile = join(folder, 'current');
      const task = { target, seed: seed + process, seconds: left, currentFile, ...(input !== undefined && { input }) };
      if (await runProcess(task, outcome)) break;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return outcome;
}

/** Whether it came to its end. */
async function runProcess(task: ChildTask, outcome: Outcome): Promise<boolean> {
  const file = fileURLToPath(new URL('child.ts', import.meta.url));
  const execArgv = [...process.execArgv, `--max-old-space-size=${MAX_MEMORY_MIB}`];
  const child = fork(file, [JSON.stringify(task)], { execArgv, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  const { executions } = outcome;
  let [isDone, isHanging, errors] = [false, false, ''];
  const silence = setTimeout(() => {
    isHanging = true;
    child.kill('SIGKILL');
  }, SILENCE_MS);
  child.stderr!.on('data', (chunk: Buffer) => (errors = `${errors}${chunk.toString()}`.slice(-4_000)));
  child.on('message', (word: ChildWord) => {
    silence.refresh();
    if (word.word === 'done') isDone = true;
    else if (word.word === 'failure') outcome.failures.push({ ...word, input: Buffer.from(word.input, 'base64') });
    else Object.assign(outcome, { found: word.found, blocks: word.blocks, executions: executions + word.executions });
  });
  await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(silence);
  if (isDone) return true;
  const current = await readFile(task.currentFile);
  const input = current.subarray(4, 4 + current.readUInt32BE(0));
  const words = isHanging ? `It hung for ${SILENCE_MS / 1_000} s.` : `It ended the process. ${errors}`;
  outcome.failures.push(failed(isHanging ? 'hang' : 'crash', input, words, errors.split('\n')[0]));
  return false;
}

/** One of a kind. */
function distinct(failures: Failure[]): Failure[] {
  return [...new Map(failures.map((failure) => [failure.key, failure])).values()];
}

async function tellFailure(target: string, failure: Failure): Promise<string> {
  const file = relative(process.cwd(), await storeInput(failuresFolder, target, failure.input));
  if (!options.json) {
    console.log(`\n${failure.kind}: ${target}, ${failure.input.length} bytes in ${file}`);
    console.log(failure.words.split('\n').slice(0, 8).join('\n'));
    console.log(`again: npm run fuzz -- --target ${target} --input ${file}\n`);
  }
  return file;
}

const seconds = Math.max(1, (minutes * 60) / chosen.length);
const results = [];
for (const name of chosen) {
  const outcome = await fuzzTarget(name, seconds);
  const failures = distinct(outcome.failures);
  const saved = [];
  for (const failure of failures)
    saved.push({ kind: failure.kind, file: await tellFailure(name, failure), words: failure.words });
  results.push({ ...outcome, failures: saved });
  if (options.json) continue;
  const { executions, blocks, found } = outcome;
  console.log(
    `${name.padEnd(16)} ${String(executions).padStart(9)} executions  ${String(blocks).padStart(5)} blocks reached  ${String(found).padStart(4)} new inputs  ${failures.length} failures`,
  );
}
const executions = results.reduce((sum, one) => sum + one.executions, 0);
const failures = results.reduce((sum, one) => sum + one.failures.length, 0);
if (options.json) console.log(JSON.stringify({ seed, minutes, executions, failures, targets: results }));
else console.log(`\n${executions} executions of ${results.length} targets, ${failures} failures (seed ${seed})`);
process.exitCode = failures === 0 ? 0 : 1;
