/**
 * The process in which one target is fuzzed: apart, because an input may hang it or end it. It writes down each input
 * before it is run, and tells its parent (run.ts) how far it is.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { SeededRandom } from '../simulation/random.ts';
import { readInputs, foundFolder, failuresFolder, storeInput } from './corpus.ts';
import { Coverage } from './coverage.ts';
import { execute, failed, type Failure, Fuzzer, wordsOf } from './fuzzer.ts';
import { targetNamed } from './targets.ts';

export interface ChildTask {
  target: string;
  seed: number;
  seconds: number;
  /** Where the input stands that is run: its length (4 octets), and its octets. */
  currentFile: string;
  /** Only this one, once. */
  input?: string;
}

export type ChildWord =
  | { word: 'alive'; executions: number; found: number; blocks: number }
  | { word: 'failure'; kind: Failure['kind']; words: string; key: string; input: string }
  | { word: 'done' };

const ALIVE_EVERY_MS = 500;
/** Of one input, with everything that it waits for. */
const MAX_WAIT_MS = 15_000;

const task = JSON.parse(process.argv[2]!) as ChildTask;
const target = targetNamed(task.target)!;
const current = openSync(task.currentFile, 'w');
let last: Uint8Array = Buffer.alloc(0);
let sinceMs = performance.now();

function before(input: Uint8Array): void {
  last = input;
  sinceMs = performance.now();
  const length = Buffer.alloc(4);
  length.writeUInt32BE(input.length);
  writeSync(current, Buffer.concat([length, input]), 0, undefined, 0);
}

function tell(word: ChildWord): void {
  process.send!(word);
}

function tellFailure({ kind, words, key, input }: Failure): void {
  tell({ word: 'failure', kind, words, key, input: Buffer.from(input).toString('base64') });
}

// What is thrown with nobody to catch it would end the agent.
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => tellFailure(failed('crash', last, wordsOf(error))));
}

async function fuzz(): Promise<void> {
  const coverage = new Coverage();
  await target.open?.();
  coverage.start();
  const fuzzer = new Fuzzer(target, { random: new SeededRandom(task.seed, 5), coverage, before });
  // Not while one input takes for ever, and waits without blocking anybody.
  const alive = setInterval(() => {
    if (performance.now() - sinceMs < MAX_WAIT_MS) tellAlive(fuzzer, coverage);
  }, ALIVE_EVERY_MS);
  const earlier = [...(await readInputs(failuresFolder, target.name)), ...(await readInputs(foundFolder, target.name))];
  for (const failure of await fuzzer.begin(earlier.map(({ input }) => input))) tellFailure(failure);
  const endMs = performance.now() + task.seconds * 1_000;
  let turnMs = 0;
  while (performance.now() < endMs) {
    for (const failure of await fuzzer.round()) tellFailure(failure);
    if (performance.now() < turnMs + ALIVE_EVERY_MS) continue;
    turnMs = performance.now();
    // Messages leave, and timers run, also where a target never waits.
    await new Promise(setImmediate);
  }
  clearInterval(alive);
  tellAlive(fuzzer, coverage);
  coverage.stop();
  for (const input of fuzzer.found) await storeInput(foundFolder, target.name, input);
  await target.close?.();
}

function tellAlive(fuzzer: Fuzzer, coverage: Coverage): void {
  tell({ word: 'alive', executions: fuzzer.executions, found: fuzzer.found.length, blocks: coverage.reached });
}

async function once(input: Uint8Array): Promise<void> {
  await target.open?.();
  before(input);
  const failure = await execute(target, input);
  if (failure !== null) tellFailure(failure);
  tell({ word: 'alive', executions: 1, found: 0, blocks: 0 });
  await target.close?.();
}

await (task.input === undefined ? fuzz() : once(Buffer.from(task.input, 'base64')));
closeSync(current);
tell({ word: 'done' });
process.disconnect();
