/** How an error ends a command: in words, or as JSON, and as an exit code. Loaded only when there is one. */
import { DirpostError, type ErrorCode } from '@dirpost/core';
import { EXIT, type ExitCode } from './command.ts';
import { printable, printableJson, type Streams } from './screen.ts';

export function interrupted(): DirpostError {
  return new DirpostError('interrupted', 'Interrupted.', {
    retry: 'later',
    hint: 'What was done stays done, and nothing is lost: the next sync goes on from there.',
  });
}

export function tellError(error: unknown, streams: Streams, json: boolean): ExitCode {
  if (!(error instanceof DirpostError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    streams.err.write(`dirpost: this is a fault of the program itself; please report it:\n${printable(text, true)}\n`);
    return EXIT.failed;
  }
  if (json) {
    const { code, message, hint, retry } = error;
    streams.err.write(`${printableJson({ error: { code, message, hint, retry } })}\n`);
  } else {
    streams.err.write(`dirpost: ${printable(error.message, true)}\n`);
    if (error.hint !== undefined) streams.err.write(`  ${printable(error.hint, true)}\n`);
  }
  return exitCodeOf(error);
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

function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof DirpostError)) return EXIT.failed;
  return WRONG_USE.has(error.code) ? EXIT.wrongUse : EXIT.failed;
}
