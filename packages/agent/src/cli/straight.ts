/**
 * Straight to the agent that runs, before anything large is loaded: a command that runs there needs neither the reader of
 * the configuration nor the store here. Where the agent listens is guessed from the text of the configuration. That it is
 * the right one, and that the configuration has no fault, it confirms itself: it was started with the same bytes of the
 * same file (config/source.ts); the keys in the data folder are not looked at, those that it has count. Where it was
 * started with others, or nobody listens, nothing has happened yet, and the command goes the long way (command.ts), which
 * tells what is wrong.
 */
import { lstatSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { dataFolderIn, MAX_CONFIGURATION_BYTES, sourceOf } from '../config/source.ts';
import type { ExitCode, Invocation } from './command.ts';
import { runIfSame } from './remote.ts';

/** For a whole command that writes (withAgent), of which nothing was done yet. null: it has to go the long way. */
export async function runStraight(call: Invocation): Promise<ExitCode | null> {
  const bytes = readPlainFile(call.configFile);
  if (bytes === null) return null;
  const dataFolder = dataFolderIn(bytes.toString('utf8'), dirname(call.configFile));
  if (dataFolder === null) return null;
  return runIfSame(call, dataFolder, sourceOf(call.configFile, bytes));
}

/** null: whatever is the matter with it, the long way tells. What is no file is not touched: a pipe can be read once. */
function readPlainFile(path: string): Buffer | null {
  try {
    const found = lstatSync(path);
    return found.isFile() && found.size <= MAX_CONFIGURATION_BYTES ? readFileSync(path) : null;
  } catch {
    return null;
  }
}
