/** Whether files of a folder were replaced since they were read: commands change them beside a running agent. */
import { stat } from 'node:fs/promises';

/** A change this young may hide a second one: the times of file systems are coarse. */
const COARSE_TIME_MS = 2_000;

export class FolderChanges {
  #seenMs = Number.NaN;

  constructor(private readonly folder: string) {}

  /** To be called before the files are read. */
  async note(): Promise<void> {
    const changedMs = await this.#changedMs();
    this.#seenMs = Math.abs(Date.now() - changedMs) < COARSE_TIME_MS ? Number.NaN : changedMs;
  }

  async happened(): Promise<boolean> {
    return (await this.#changedMs()) !== this.#seenMs;
  }

  async #changedMs(): Promise<number> {
    return stat(this.folder).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    );
  }
}
