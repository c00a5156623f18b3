/**
 * Makes the last line of `npm test` the sum of all tests, alone on its line: "12 passed, 0 failed, 1 skipped". What
 * could not even be run (a file that does not load, an error that nobody caught) counts as failed.
 */
import type { Reporter, SerializedError, TestModule } from 'vitest/node';

export interface Sum {
  passed: number;
  failed: number;
  skipped: number;
}

export function sumOf(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): Sum {
  const sum: Sum = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
  for (const one of modules) {
    sum.failed += one.errors().length;
    for (const suite of one.children.allSuites()) sum.failed += suite.errors().length;
    for (const test of one.children.allTests()) {
      const { state } = test.result();
      // A test that never came to run (the run was broken off) has not passed.
      sum[state === 'pending' ? 'failed' : state]++;
    }
  }
  return sum;
}

export function formatSum({ passed, failed, skipped }: Sum): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

export default class SumReporter implements Reporter {
  #sum: Sum = { passed: 0, failed: 0, skipped: 0 };
  #announced = false;

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    this.#sum = sumOf(modules, unhandledErrors);
    if (this.#announced) return;
    this.#announced = true;
    // At the very end, so that no other reporter comes after it.
    process.once('exit', () => process.stdout.write(`${formatSum(this.#sum)}\n`));
  }
}
