/** A command's end of the local socket (local-protocol.ts): the command runs in the agent, and what it says is shown here. */
import { connect, type Socket } from 'node:net';
import { DirpostError, isDirpostError } from '@dirpost/core';
import {
  aboutAgent,
  type AboutAgent,
  checkOwnFolder,
  LineReader,
  LOCAL_PROTOCOL_VERSION,
  localAddress,
  localAnswer,
  MAX_ANSWER_LINE_BYTES,
  parseLine,
} from '../local-protocol.ts';
import type { ExitCode, Invocation } from './command.ts';

/**
 * What to do when the data folder is in use: if that is by an agent, it runs the command; its exit code. Else `error`
 * is thrown again, in words that fit.
 */
export async function runInsteadOf(error: unknown, call: Invocation, dataFolder: string): Promise<ExitCode> {
  if (!isDirpostError(error, 'locked')) throw error;
  const socket = await reach(dataFolder);
  if (socket === null) throw lockedByCommand(error);
  return converse(socket, call);
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
          if (line !== undefined) resolve(parseLine(line, aboutAgent) ?? null);
        } catch (error) {
          reject(error);
        }
      });
      socket.on('error', () => resolve(null)).on('close', () => resolve(null));
      socket.setTimeout(ANSWER_WITHIN_MS, () => resolve(null));
      socket.write(`${JSON.stringify({ v: LOCAL_PROTOCOL_VERSION, about: true })}\n`);
    });
  } finally {
    socket.destroy();
  }
}

/** null: nobody listens. */
async function reach(dataFolder: string): Promise<Socket | null> {
  const { path, folder } = localAddress(dataFolder);
  try {
    if (folder !== null) await checkOwnFolder(folder);
  } catch (error) {
    if (error instanceof DirpostError) throw error;
    return null;
  }
  return new Promise((resolve) => {
    const socket = connect(path, () => resolve(socket));
    socket.once('error', () => resolve(null));
  });
}

function lockedByCommand({ message, context, cause }: DirpostError): DirpostError {
  return new DirpostError('locked', message, {
    retry: 'later',
    hint: 'It is no agent that could take this command (or one that is just starting): wait until it has ended, and try again.',
    context,
    cause,
  });
}

function converse(socket: Socket, call: Invocation): Promise<ExitCode> {
  const { streams } = call.screen;
  const lines = new LineReader(MAX_ANSWER_LINE_BYTES);
  const request = {
    v: LOCAL_PROTOCOL_VERSION,
    argv: call.argv,
    cwd: call.cwd,
    columns: streams.out.columns,
    tty: { out: streams.out.isTTY === true, err: streams.err.isTTY === true },
  };
  return new Promise<ExitCode>((resolve, reject) => {
    const interrupt = () => {
      reject(call.signal.reason);
      socket.destroy();
    };
    const take = (line: string): void => {
      const answer = parseLine(line, localAnswer);
      if (answer === undefined) throw strange('it says something that this version does not understand');
      if ('out' in answer) streams.out.write(answer.out);
      else if ('err' in answer) streams.err.write(answer.err);
      else if ('exit' in answer) resolve(answer.exit as ExitCode);
      else throw strange(answer.refused);
    };
    socket.on('data', (chunk) => {
      try {
        for (const line of lines.take(chunk)) take(line);
      } catch (error) {
        reject(error);
        socket.destroy();
      }
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      call.signal.removeEventListener('abort', interrupt);
      // Without effect where the command has ended.
      reject(ended());
    });
    if (call.signal.aborted) return interrupt();
    call.signal.addEventListener('abort', interrupt, { once: true });
    socket.write(`${JSON.stringify(request)}\n`);
  });
}

function strange(why: string): DirpostError {
  return new DirpostError('wrong-use', `The agent that runs did not take the command: ${why}.`, {
    retry: 'operator',
    hint: 'Is it of another version of dirpost? Restart it.',
  });
}

function ended(): DirpostError {
  return new DirpostError('interrupted', 'The agent ended before the command did.', {
    retry: 'later',
    hint: 'What was done stays done, and nothing is lost. Look at its log, start it again, and repeat the command.',
  });
}
