/**
 * Runs one target with inputs that it makes: from the seeds, each changed a little, and from those that reached something
 * new. What is no DirpostError, takes too long or too much memory is a failure.
 */
import { isDirpostError } from '@dirpost/core';
import type { SeededRandom } from '../simulation/random.ts';
import type { Coverage } from './coverage.ts';
import { mutate } from './mutate.ts';
import { DEFAULT_MAX_BYTES, type Target } from './target.ts';

/** Of processor time, so that a busy machine does not matter. */
export const MAX_RUN_MS = 2_000;
/** What one input may add to the memory of the process. */
const MAX_GROWTH_BYTES = 256 * 1024 * 1024;
const ROUND = 32;
const MAX_TRIES_TO_SHORTEN = 400;

export interface Failure {
  kind: 'error' | 'slow' | 'memory' | 'hang' | 'crash';
  input: Uint8Array;
  /** What went wrong, for people. */
  words: string;
  /** Equal for failures that seem to be the same. */
  key: string;
}

export interface FuzzerOptions {
  random: SeededRandom;
  /** Without: blindly. */
  coverage?: Coverage;
  /** Called before each run, so that an input that ends the process is known. */
  before?: (input: Uint8Array) => void;
}

export class Fuzzer {
  executions = 0;
  /** Inputs that reached something new, beyond the seeds. */
  readonly found: Uint8Array[] = [];
  readonly #inputs: Uint8Array[] = [];
  readonly #words: readonly Uint8Array[];
  readonly #known = new Set<string>();

  constructor(
    readonly target: Target,
    readonly options: FuzzerOptions,
  ) {
    this.#words = (target.words ?? []).map((word) => Buffer.from(word));
  }

  /** Runs the seeds and whatever was found before, as they are. */
  async begin(earlier: readonly Uint8Array[] = []): Promise<Failure[]> {
    const failures: Failure[] = [];
    for (const input of [...(await this.target.seeds()), ...earlier]) {
      failures.push(...(await this.#try(input)));
      this.#inputs.push(input);
    }
    this.options.coverage?.isNew(true);
    return failures;
  }

  /** Some runs. */
  async round(): Promise<Failure[]> {
    const { random, coverage } = this.options;
    const material = { inputs: this.#inputs, words: this.#words, maxBytes: this.target.maxBytes ?? DEFAULT_MAX_BYTES };
    const failures: Failure[] = [];
    const made: Uint8Array[] = [];
    for (let i = 0; i < ROUND; i++) {
      // What was found last is the least explored.
      const fresh = this.#inputs.slice(-8);
      const input = mutate(random, random.pick(random.chance(0.3) ? fresh : this.#inputs), material);
      made.push(input);
      failures.push(...(await this.#try(input)));
    }
    if (coverage?.isNew(false) === true) await this.#keepNew(made, coverage);
    return failures;
  }

  /** One of them reached something new: which? */
  async #keepNew(made: Uint8Array[], coverage: Coverage): Promise<void> {
    for (const input of made) {
      await this.#try(input);
      if (!coverage.isNew(true)) continue;
      this.#inputs.push(input);
      this.found.push(input);
    }
  }

  /** One failure of a kind is enough. */
  async #try(input: Uint8Array): Promise<Failure[]> {
    this.executions++;
    this.options.before?.(input);
    const failure = await execute(this.target, input);
    if (failure === null || this.#known.has(failure.key)) return [];
    this.#known.add(failure.key);
    return [await this.#shortened(failure)];
  }

  async #shortened(failure: Failure): Promise<Failure> {
    if (failure.kind !== 'error') return failure;
    let best = failure;
    let tries = 0;
    for (let piece = Math.ceil(best.input.length / 2); piece > 0; piece = Math.floor(piece / 2)) {
      for (let at = 0; at < best.input.length && tries < MAX_TRIES_TO_SHORTEN; tries++) {
        const shorter = Buffer.concat([best.input.subarray(0, at), best.input.subarray(at + piece)]);
        this.options.before?.(shorter);
        const found = await execute(this.target, shorter);
        if (found?.key === failure.key) best = found;
        else at += piece;
      }
    }
    return best;
  }
}

/** null: as it should be. */
export async function execute(target: Target, input: Uint8Array, maxRunMs = MAX_RUN_MS): Promise<Failure | null> {
  // The target gets a copy: it may keep or change it.
  const given = Buffer.from(input);
  const memory = process.memoryUsage.rss();
  const cpu = process.cpuUsage();
  try {
    await target.run(given);
  } catch (error) {
    if (!isDirpostError(error)) return failed('error', input, wordsOf(error));
  }
  const { user, system } = process.cpuUsage(cpu);
  const ms = Math.round((user + system) / 1000);
  if (ms > maxRunMs) return failed('slow', input, `It took ${ms} ms of processor time.`, 'slow');
  const grown = process.memoryUsage.rss() - memory;
  if (grown > MAX_GROWTH_BYTES) return failed('memory', input, `It took ${Math.round(grown / 2 ** 20)} MiB.`, 'memory');
  return null;
}

export function failed(kind: Failure['kind'], input: Uint8Array, words: string, key = keyOf(words)): Failure {
  return { kind, input: Buffer.from(input), words, key: `${kind} ${key}` };
}

export function wordsOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : `It threw ${String(error)}.`;
}

/** Where it was thrown; messages may quote the input. */
function keyOf(words: string): string {
  const [first = ''] = words.split('\n');
  const places = words.split('\n').filter((line) => /^\s+at .*\/(?:packages|test)\//.test(line));
  return places.length === 0 ? first : `${/^\w*/.exec(first)![0]} ${places.slice(0, 2).join(' ').trim()}`;
}
