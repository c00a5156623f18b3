/**
 * What every command shares: finding the configuration, opening the postoffice, and the exit codes. The reader of the
 * configuration and the agent are loaded when they are called for: `--help` and `--version` answer without them.
 *
 * A command that writes takes the lock of the data folder; where an agent holds it, it goes there by the local socket
 * (remote.ts) and the same function runs there, on the postoffice that is open (`running`). Most of them ask for the agent
 * before they load anything (straight.ts); here is the long way, which is always right.
 */
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Agent } from '../agent.ts';
import { CONFIGURATION_FILE_NAME } from '../config/file-name.ts';
import type { Configuration } from '../config/load.ts';
import type { CycleEvent } from '../events.ts';
import type { Postoffice } from '../postoffice.ts';
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
  /** As it was typed, without the program. */
  argv: string[];
  /** Paths that were typed are seen from here; a command that runs in an agent was typed elsewhere. */
  cwd: string;
  /** Where the command runs: in an agent, or (null) in a process of its own. */
  running: RunningHere | null;
}

/** The agent in whose process a command runs. */
export interface RunningHere {
  agent: Agent;
  configuration: Configuration;
  configFile: string;
  /** When it is the command's turn: commands and the work of the agent never overlap. */
  inTurn<T>(work: (postoffice: Postoffice) => Promise<T>, signal: AbortSignal, name?: string): Promise<T>;
}

/** Where a command comes from, unless it is this process. */
export interface Origin {
  cwd: string;
  running: RunningHere;
}

export interface GlobalOptions {
  config?: string;
  json?: boolean;
  verbose?: boolean;
}

export function invocation(
  command: Command,
  argv: string[],
  streams: Streams,
  signal: AbortSignal,
  origin: Origin | null = null,
): Invocation {
  const options = command.optsWithGlobals<GlobalOptions>();
  const cwd = origin?.cwd ?? process.cwd();
  const named = resolve(cwd, options.config ?? process.env['DIRPOST_CONFIG'] ?? CONFIGURATION_FILE_NAME);
  const running = origin?.running ?? null;
  const screen = new Screen(streams, options.json === true);
  return {
    screen,
    configFile: running?.configFile ?? named,
    signal,
    verbose: options.verbose === true,
    argv,
    cwd,
    running,
  };
}

export async function configurationOf({ configFile }: Invocation): Promise<Configuration> {
  const { loadConfiguration } = await import('../config/load.ts');
  return loadConfiguration(configFile);
}

type Work<T> = (agent: Agent, configuration: Configuration) => Promise<T>;

interface ReadingOptions {
  readOnly: boolean;
  quiet?: boolean;
}

interface WritingOptions {
  readOnly?: never;
  quiet?: boolean;
}

/**
 * Runs `work` on the opened postoffice and closes it whatever happens. What writes is a whole command: where an agent
 * runs it is done there, and only its exit code comes back.
 */
export async function withAgent<T>(call: Invocation, options: ReadingOptions, work: Work<T>): Promise<T>;
export async function withAgent(call: Invocation, options: WritingOptions, work: Work<ExitCode>): Promise<ExitCode>;
export async function withAgent<T>(
  call: Invocation,
  { readOnly = false, quiet = false }: { readOnly?: boolean; quiet?: boolean },
  work: Work<T | ExitCode>,
): Promise<T | ExitCode> {
  const tell = quiet ? () => {} : teller(call);
  if (call.running !== null && !readOnly) return workHere(call, call.running, tell, work);
  const configuration = await configurationOf(call);
  const { openAgent } = await import('../agent.ts');
  let agent: Agent;
  try {
    agent = await openAgent(configuration, { readOnly, tell });
  } catch (error) {
    if (readOnly) throw error;
    return (await import('./remote.ts')).runInsteadOf(error, call, configuration.dataFolder);
  }
  try {
    return await work(agent, configuration);
  } finally {
    call.screen.clearProgress();
    await agent.close();
  }
}

/**
 * One step of a command that waits between its steps: in an agent the others have their turn meanwhile. `name`: steps of the
 * same name do the same, and those that wait together are done once.
 */
export type Turn = <T>(step: (postoffice: Postoffice) => Promise<T>, name?: string) => Promise<T>;

/** As withAgent for what writes, for a command that waits for others: only what it does in a `turn` keeps them out. */
export async function withTurns(
  call: Invocation,
  work: (turn: Turn, postoffice: Postoffice) => Promise<ExitCode>,
): Promise<ExitCode> {
  const { running } = call;
  if (running === null) return withAgent(call, {}, ({ postoffice }) => work((step) => step(postoffice), postoffice));
  const tell = teller(call);
  const turn: Turn = (step, name) => workHere(call, running, tell, ({ postoffice }) => step(postoffice), name);
  return work(turn, running.agent.postoffice);
}

/** Events go to the log of the agent and to the one who typed the command. */
async function workHere<T>(
  call: Invocation,
  running: RunningHere,
  tell: (event: CycleEvent) => void,
  work: Work<T>,
  name?: string,
): Promise<T> {
  const onIt = async (postoffice: Postoffice) => {
    const told: CycleEvent[] = [];
    const both = (event: CycleEvent): void => {
      postoffice.tell(event);
      tell(event);
      told.push(event);
    };
    try {
      const result = await work({ ...running.agent, postoffice: { ...postoffice, tell: both } }, running.configuration);
      return { result, told, for: call };
    } finally {
      call.screen.clearProgress();
    }
  };
  const done = await running.inTurn(onIt, call.signal, name);
  // It was done for another who asked for the same.
  if (done.for !== call) for (const event of done.told) tell(event);
  return done.result;
}

function teller(call: Invocation): (event: CycleEvent) => void {
  const told = new Set<string>();
  return (event) => {
    // What does not work stays so while a command polls; said once it is known.
    const again = event.level !== 'info' && told.has(event.text);
    told.add(event.text);
    if (!again) show(call, event);
  };
}

/** Events as they happen: to the standard output for people; warnings and errors to the standard error with --json. */
function show({ screen, verbose }: Invocation, { time, level, text, details }: CycleEvent): void {
  const mark = level === 'info' ? '' : `${level}: `;
  if (screen.json) {
    if (level !== 'info') screen.problem(printable(`${time} ${mark}${text}`));
    return;
  }
  screen.line(`${time}  ${mark}${text}`);
  if (verbose && details !== undefined) screen.line(`      ${JSON.stringify(details)}`);
}

export function folderOf(call: Invocation): string {
  return dirname(call.configFile);
}
