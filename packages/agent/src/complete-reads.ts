/**
 * T0: which directories this process has read completely, and in which incarnation that read began. Only then a
 * submission may replace or confirm (rules 5 and 9): before it, the store may be an older copy; and a read from before a
 * new incarnation was folded into a store that turned out to be one.
 */
import type { Incarnation } from '@dirpost/core';

export class CompleteReads {
  readonly #incarnations = new Map<string, Incarnation>();

  note(directory: string, incarnation: Incarnation): void {
    this.#incarnations.set(directory, incarnation);
  }

  covers(directories: string[], incarnation: Incarnation): boolean {
    return directories.every((name) => this.#incarnations.get(name) === incarnation);
  }
}
