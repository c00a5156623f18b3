/** What a person is asked at a terminal. Whoever calls has seen that one is there. */
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { DirpostError } from '@dirpost/core';
import type { Invocation } from './command.ts';

/** Without spaces around it. Throws DirpostError `interrupted` where nothing was typed but Ctrl-C or Ctrl-D. */
export async function answerTo({ signal }: Invocation, question: string): Promise<string> {
  return typedInto(createInterface({ input: process.stdin, output: process.stderr }), question, signal);
}

/** As answerTo; what is typed is not shown. */
export async function secretAnswerTo({ signal }: Invocation, question: string): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  // From here on the terminal shows nothing by itself: only now somebody may begin to type.
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true, historySize: 0 });
  process.stderr.write(question);
  try {
    return await typedInto(terminal, '', signal);
  } finally {
    process.stderr.write('\n');
  }
}

async function typedInto(
  terminal: ReturnType<typeof createInterface>,
  question: string,
  signal: AbortSignal,
): Promise<string> {
  try {
    return (await terminal.question(question, { signal })).trim();
  } catch (cause) {
    if (!(cause instanceof Error) || cause.name !== 'AbortError') throw cause;
    throw new DirpostError('interrupted', 'Interrupted: nothing was typed, and nothing was changed.', {
      retry: 'later',
      cause,
    });
  } finally {
    terminal.close();
  }
}
