/** What every command shares: finding the configuration, opening the postoffice, and the exit codes. */
import { dirname, resolve } from 'node:path';
import { DirpostError, type ErrorCode } from '@dirpost/core';
import type { Command } from 'commander';
import { type Agent, openAgent } from '../agent.ts';
import { CONFIGURATION_FILE_NAME, type Configuration, loadConfiguration } from '../config/load.ts';
import type { CycleEvent } from '../events.ts';
import { printable, Screen, type Streams } from './screen.ts';

/** 0 done, 1 failed, 2 wrong use or configuration, 3 something is held. */
export const EXIT = { done: 0, failed: 1, wrongUse: 2, held: 3 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export interface Invocation {
  screen: Screen;
  configFile: string;
  /** Ends when the user interrupts. */
  signal: AbortSignal;
  verbose: boolean;
}

export interface GlobalOptions {
  config?: string;
  json?: boolean;
  verbose?: boolean;
}

export function invocation(command: Command, streams: Streams, signal: AbortSignal): Invocation {
  const options = command.optsWithGlobals<GlobalOptions>();
  const configFile = resolve(options.config ?? process.env['DIRPOST_CONFIG'] ?? CONFIGURATION_FILE_NAME);
  return { screen: new Screen(streams, options.json === true), configFile, signal, verbose: options.verbose === true };
}

export async function configurationOf({ configFile }: Invocation): Promise<Configuration> {
  return loadConfiguration(configFile);
}

/** Runs `work` on the opened postoffice and closes it whatever happens. */
export async function withAgent<T>(
  call: Invocation,
  options: { readOnly?: boolean; quiet?: boolean },
  work: (agent: Agent, configuration: Configuration) => Promise<T>,
): Promise<T> {
  const configuration = await configurationOf(call);
  const told = new Set<string>();
  const tell = (event: CycleEvent): void => {
    // What does not work stays so while a command polls; said once it is known.
    const again = event.level !== 'info' && told.has(event.text);
    told.add(event.text);
    if (options.quiet !== true && !again) show(call, event);
  };
  const agent = await openAgent(configuration, { readOnly: options.readOnly === true, tell });
  try {
    return await work(agent, configuration);
  } finally {
    call.screen.clearProgress();
    await agent.close();
  }
}

/** Events as they happen: to the standard output for people; warnings and errors to the standard error with --json. */
function show({ screen, verbose }: Invocation, { time, level, text, details }: CycleEvent): void {
  const mark = level === 'info' ? '' : `${level}: `;
  if (screen.json) {
    if (level !== 'info') screen.problem(`${time} ${mark}${text}`);
    return;
  }
  screen.line(printable(`${time}  ${mark}${text}`));
  if (verbose && details !== undefined) screen.line(`      ${JSON.stringify(details)}`);
}

const WRONG_USE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'config-invalid',
  'wrong-use',
  'not-initialized',
  'already-initialized',
  'peer-invalid',
  'filter-syntax',
  'dn-syntax',
]);

export function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof DirpostError)) return EXIT.failed;
  return WRONG_USE.has(error.code) ? EXIT.wrongUse : EXIT.failed;
}

export function folderOf(call: Invocation): string {
  return dirname(call.configFile);
}
