/** How a command that was typed finds its function: each is loaded when it is called. */
import type { ExitCode, Invocation } from './command.ts';

export type Action<Arguments extends unknown[]> = (call: Invocation, ...args: Arguments) => Promise<ExitCode>;
/** Makes an action of ours into one of commander, which gives arguments, options and the command, in this order. */
export type Run = <Arguments extends unknown[]>(
  load: () => Promise<Action<Arguments>>,
  /** Whether what was typed runs in the agent, where there is one, and nowhere else: then nothing is loaded for it here. */
  runsInAgent?: (...args: Arguments) => boolean,
) => (...args: unknown[]) => Promise<void>;
