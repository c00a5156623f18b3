/** Whether files of a folder were replaced since they were read: commands change them beside a running agent. */
import { statLocalFile } from '@dirpost/adapters';

/** A change this young may hide a second one: the times of file systems are coarse. */
const COARSE_TIME_MS = 2_000;

export class FolderChanges {
  #seenMs = Number.NaN;

  constructor(private readonly folder: string) {}

  /** To be called before the files are read. */
  note(): void {
    const changedMs = this.#changedMs();
    this.#seenMs = Math.abs(Date.now() - changedMs) < COARSE_TIME_MS ? Number.NaN : changedMs;
  }

  happened(): boolean {
    return this.#changedMs() !== this.#seenMs;
  }

  #changedMs(): number {
    return statLocalFile(this.folder)?.mtimeMs ?? 0;
  }
}
