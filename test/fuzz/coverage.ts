/**
 * Which blocks of the program ran, as V8 counts them: an input that reaches a block that no other has reached is kept,
 * and changed further. Only the program under test counts, not Node and not other packages.
 */
import { Session, type Profiler } from 'node:inspector';

const OURS = /\/packages\/[^/]+\/src\//;

export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();

  start(): void {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    this.#take();
  }

  /** Blocks that were ever reached. */
  get reached(): number {
    return this.#seen.size;
  }

  /** Whether anything new was reached since the last time; `keep`: it is known from now on. */
  isNew(keep: boolean): boolean {
    const found = this.#take().filter((block) => !this.#seen.has(block));
    if (keep) for (const block of found) this.#seen.add(block);
    return found.length > 0;
  }

  stop(): void {
    this.#session.disconnect();
  }

  #take(): string[] {
    const blocks: string[] = [];
    for (const { url, scriptId, functions } of this.#scripts()) {
      if (!OURS.test(url)) continue;
      for (const { ranges } of functions) {
        const [whole] = ranges;
        for (const { startOffset, endOffset, count } of ranges) {
          if (count > 0) blocks.push(`${scriptId}:${whole!.startOffset}:${startOffset}-${endOffset}`);
        }
      }
    }
    return blocks;
  }

  #scripts(): Profiler.ScriptCoverage[] {
    let scripts: Profiler.ScriptCoverage[] = [];
    // The session of the own thread answers before `post` returns.
    this.#session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error !== null) throw error;
      scripts = taken.result;
    });
    return scripts;
  }
}
