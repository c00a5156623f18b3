/** `dirpost run`: the agent, in the foreground. Its log goes to the standard output. */
import { DirpostError, loadOwn } from '@dirpost/core';
import { type Agent, openAgent } from '../agent.ts';
import { type Configuration, fingerprintOf, loadWithSource } from '../config/load.ts';
import { watchJoining } from '../joining/joining.ts';
import { type CommandStreams, listenLocally, type LocalSocket } from '../local-socket.ts';
import type { LocalRequest } from '../local-protocol.ts';
import { createLog, type Log } from '../log.ts';
import { RunningPostoffice, runOnce } from '../run.ts';
import { VERSION } from '../version.ts';
import { EXIT, type ExitCode, type Invocation, type RunningHere } from './command.ts';
import { runCommand } from './program.ts';

/** A service manager kills what does not end; before that, it ends by itself and says so. */
const STOP_WITHIN_MS = 10_000;

export async function run(call: Invocation, { once = false }: { once?: boolean }): Promise<ExitCode> {
  if (call.running !== null) throw new DirpostError('wrong-use', 'An agent is running already.');
  const { configuration, source } = await loadWithSource(call.configFile);
  const log = logOf(call, configuration);
  const agent = await openAgent(configuration, { tell: (event) => log.event(event) });
  try {
    await tellStarted(log, agent, configuration);
    if (once) return (await runOnce(agent.postoffice, configuration, call.signal)) ? EXIT.done : EXIT.failed;
    await runUntilStopped(call, agent, { configuration, source }, log);
  } catch (error) {
    if (!call.signal.aborted) throw error;
  } finally {
    await agent.close();
  }
  log.line('info', 'stopped');
  return EXIT.done;
}

function logOf({ screen, verbose }: Invocation, { log }: Configuration): Log {
  return createLog({
    format: screen.json ? 'json' : log.format,
    level: verbose ? 'debug' : log.level,
    write: (line) => screen.streams.out.write(line),
  });
}

async function tellStarted(log: Log, { postoffice }: Agent, { role }: Configuration): Promise<void> {
  const { name, requestor, inbound } = postoffice;
  const { incarnation, stopped } = await postoffice.store.read(loadOwn);
  const what = role === 'server' ? 'directory server' : `requestor of ${requestor.server}`;
  const transports = inbound.map((transport) => transport.name).filter((one) => one !== 'memory');
  const by = transports.length === 0 ? 'without a transport' : `by ${transports.join(', ')}`;
  const text = `dirpost ${VERSION}: postoffice ${name}, ${what}, ${by}, incarnation ${incarnation}, process ${process.pid}`;
  log.line('info', text, { version: VERSION, postoffice: name, role, incarnation, pid: process.pid });
  if (stopped !== null) {
    log.line('error', `${name} has stopped (${stopped}): it does nothing until \`dirpost recover --only-copy\``);
  }
}

async function runUntilStopped(
  call: Invocation,
  agent: Agent,
  { configuration, source }: { configuration: Configuration; source: string },
  log: Log,
): Promise<void> {
  const stop = new AbortController();
  const running = await RunningPostoffice.open(agent.postoffice, configuration, stop.signal);
  const here: RunningHere = {
    agent,
    configuration,
    configFile: call.configFile,
    inTurn: (work, signal, name) => running.command(work, signal, name),
  };
  const socket = await openSocket(here, source, log, () => running.askAtOnce());
  let hurry: NodeJS.Timeout | undefined;
  const onSignal = (): void => {
    log.line('info', 'stopping: what was begun ends, nothing more is begun');
    hurry = setTimeout(() => endHard(log), STOP_WITHIN_MS);
    stop.abort(call.signal.reason);
    // Nothing is lost by closing it while commands end: they are cancelled, too.
    void socket?.close();
  };
  if (call.signal.aborted) onSignal();
  else call.signal.addEventListener('abort', onSignal, { once: true });
  try {
    await watchJoining(configuration.dataFolder, agent.joining, stop.signal);
    const address = await agent.transports.listen();
    log.line(
      'info',
      address === null ? 'ready' : `ready; listening on ${address}`,
      address === null ? {} : { address },
    );
    await running.run();
  } finally {
    call.signal.removeEventListener('abort', onSignal);
    await socket?.close();
    clearTimeout(hurry);
  }
}

/** Whatever still runs is broken off as by a power cut, which every step stands. */
function endHard(log: Log): void {
  log.line('error', `something did not end within ${STOP_WITHIN_MS / 1_000} s and is broken off; nothing is lost`);
  process.exit(EXIT.failed);
}

/** An agent that no command reaches still does its work. */
async function openSocket(
  here: RunningHere,
  source: string,
  log: Log,
  onCommand: () => void,
): Promise<LocalSocket | null> {
  const handle = ({ argv, cwd }: LocalRequest, streams: CommandStreams, signal: AbortSignal): Promise<number> => {
    log.line('debug', `command: ${argv.join(' ')}`);
    onCommand();
    return runCommand(argv, streams, signal, { cwd, running: here });
  };
  try {
    const about = { configuration: fingerprintOf(here.configuration), pid: process.pid };
    return await listenLocally(here.configuration.dataFolder, handle, about, source);
  } catch (error) {
    if (!(error instanceof DirpostError)) throw error;
    const text = `commands that write will not reach this agent: ${error.message} ${error.hint ?? ''}`.trimEnd();
    log.line('warning', text, { code: error.code });
    return null;
  }
}
