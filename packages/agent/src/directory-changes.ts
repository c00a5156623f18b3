/**
 * Changes in directories while the agent runs: a directory that can tell that something changed wakes the loop, which reads it
 * then and not at its next time. Only where it is configured so (`onChange`); what changed while nobody watched is read too.
 */
import { DirpostError } from '@dirpost/core';
import type { Postoffice, PublishingDirectory } from './postoffice.ts';
import { pause, type Timers } from './timers.ts';

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

export interface DirectoryChangesOptions {
  timers: Timers;
  /** `everyMs`: no more often than that. */
  onChange(everyMs: number): void;
  /** What nobody expected: the agent ends. */
  onFault(error: unknown): void;
}

/** Until the signal aborts. */
export async function watchDirectories(
  postoffice: Postoffice,
  options: DirectoryChangesOptions,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(postoffice.publishing.map((one) => keepWatching(postoffice, one, options, signal)));
}

/** A watch that fails is begun again, later and later; told once for each way in which it fails. */
async function keepWatching(
  postoffice: Postoffice,
  { directory, onChangeMs }: PublishingDirectory,
  { timers, onChange, onFault }: DirectoryChangesOptions,
  signal: AbortSignal,
): Promise<void> {
  if (onChangeMs === undefined || directory.watch === undefined) return;
  const { name } = directory;
  const tell = (text: string) =>
    postoffice.tell({ time: 'T0', level: 'warning', text, quotesNoEntry: true, details: { directory: name } });
  let told: string | null = null;
  let pauseMs = FIRST_PAUSE_MS;
  const wake = () => {
    [told, pauseMs] = [null, FIRST_PAUSE_MS];
    onChange(onChangeMs);
  };
  while (!signal.aborted) {
    try {
      if (!(await directory.watch(wake, signal))) {
        return tell(`${name}: the server does not tell of changes; it is read at its times only`);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof DirpostError)) return onFault(error);
      if (error.message !== told) {
        tell(`${name}: changes cannot be watched, and are read at its times only until then: ${error.message}`);
      }
      told = error.message;
    }
    await pause(timers, pauseMs, signal);
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
    // What changed while nobody watched.
    if (!signal.aborted) onChange(Math.max(onChangeMs, pauseMs));
  }
}
