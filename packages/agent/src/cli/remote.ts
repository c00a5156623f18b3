/** A command's end of the local socket (local-protocol.ts): the command runs in the agent, and what it says is shown here. */
import { connect, type Socket } from 'node:net';
import {
  type AboutAgent,
  checkOwnFolder,
  LineReader,
  LOCAL_PROTOCOL_VERSION,
  localAddress,
  type LocalAnswer,
  type LocalRequest,
  MAX_ANSWER_LINE_BYTES,
  parseAbout,
  parseAnswer,
} from '../local-protocol.ts';
import type { ExitCode, Invocation } from './command.ts';

/**
 * What to do when the data folder is in use: if that is by an agent, it runs the command; its exit code. Else `error`
 * is thrown again, in words that fit.
 */
export async function runInsteadOf(error: unknown, call: Invocation, dataFolder: string): Promise<ExitCode> {
  const { isLocked, lockedByCommand, notTaken } = await import('../local-failure.ts');
  if (!isLocked(error)) throw error;
  const socket = await reach(dataFolder);
  if (socket === null) throw lockedByCommand(error);
  const code = await converse(socket, call);
  if (code === null) throw notTaken('it was started with another configuration');
  return code;
}

/**
 * Has the command run by the agent of that data folder if it was started with the configuration `source`
 * (config/source.ts). null: nothing was done, since no agent is there, or it has another configuration.
 */
export async function runIfSame(call: Invocation, dataFolder: string, source: string): Promise<ExitCode | null> {
  const socket = await reach(dataFolder).catch(() => null);
  return socket === null ? null : converse(socket, call, source);
}

const ANSWER_WITHIN_MS = 5_000;

/** With what an agent was started; null: none runs, or one that does not say. */
export async function askAgent(dataFolder: string): Promise<AboutAgent | null> {
  const socket = await reach(dataFolder);
  if (socket === null) return null;
  const lines = new LineReader(MAX_ANSWER_LINE_BYTES);
  try {
    return await new Promise<AboutAgent | null>((resolve, reject) => {
      socket.on('data', (chunk) => {
        try {
          const [line] = lines.take(chunk);
          if (line !== undefined) resolve(parseAbout(line) ?? null);
        } catch (error) {
          reject(error);
        }
      });
      socket.on('error', () => resolve(null)).on('close', () => resolve(null));
      socket.setTimeout(ANSWER_WITHIN_MS, () => resolve(null));
      socket.write(`${JSON.stringify({ v: LOCAL_PROTOCOL_VERSION, about: true })}\n`);
    });
  } catch (error) {
    throw await tooLong(error);
  } finally {
    socket.destroy();
  }
}

/** null: nobody listens. Throws DirpostError `file-denied` for a socket that others could have made. */
async function reach(dataFolder: string): Promise<Socket | null> {
  const { path, folder } = localAddress(dataFolder);
  try {
    if (folder !== null) await checkOwnFolder(folder);
  } catch (error) {
    // Of the system: there is no such folder, so nobody listens in it.
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    return null;
  }
  return new Promise((resolve) => {
    const socket = connect(path, () => resolve(socket));
    socket.once('error', () => resolve(null));
  });
}

/** How a conversation ended, other than by an answer that ends a command. */
type Broken = { interrupted: unknown } | { garbage: true } | { thrown: unknown } | { closed: true };
type Ending = Exclude<LocalAnswer, { out: string } | { err: string }> | Broken;

/** null: the agent has another configuration than `source`, and has done nothing. */
async function converse(socket: Socket, call: Invocation, source?: string): Promise<ExitCode | null> {
  const ending = await listen(socket, call, source);
  if ('exit' in ending) return ending.exit as ExitCode;
  if ('differs' in ending) return null;
  if ('interrupted' in ending) throw ending.interrupted;
  if ('thrown' in ending) throw await tooLong(ending.thrown);
  const { endedBefore, notTaken } = await import('../local-failure.ts');
  if ('closed' in ending) throw endedBefore();
  throw notTaken('garbage' in ending ? 'it says something that this version does not understand' : ending.refused);
}

function listen(socket: Socket, call: Invocation, source: string | undefined): Promise<Ending> {
  const { streams } = call.screen;
  const lines = new LineReader(MAX_ANSWER_LINE_BYTES);
  const request: LocalRequest = {
    v: LOCAL_PROTOCOL_VERSION,
    argv: call.argv,
    cwd: call.cwd,
    columns: streams.out.columns,
    tty: { out: streams.out.isTTY === true, err: streams.err.isTTY === true },
    source,
  };
  return new Promise<Ending>((resolve) => {
    const breakOff = (why: Broken): void => {
      resolve(why);
      socket.destroy();
    };
    const interrupt = (): void => breakOff({ interrupted: call.signal.reason });
    const take = (line: string): void => {
      const answer = parseAnswer(line);
      if (answer === undefined) breakOff({ garbage: true });
      else if ('out' in answer) streams.out.write(answer.out);
      else if ('err' in answer) streams.err.write(answer.err);
      else resolve(answer);
    };
    socket.on('data', (chunk) => {
      try {
        for (const line of lines.take(chunk)) {
          if (socket.destroyed) return;
          take(line);
        }
      } catch (error) {
        breakOff({ thrown: error });
      }
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      call.signal.removeEventListener('abort', interrupt);
      // Without effect where the command has ended.
      resolve({ closed: true });
    });
    if (call.signal.aborted) return interrupt();
    call.signal.addEventListener('abort', interrupt, { once: true });
    socket.write(`${JSON.stringify(request)}\n`);
  });
}

/** LineReader throws plain ones. Anything else goes through. */
async function tooLong(error: unknown): Promise<unknown> {
  if (!(error instanceof RangeError)) return error;
  return (await import('../local-failure.ts')).lineTooLong(error.message);
}
