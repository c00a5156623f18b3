/**
 * A directory that a program prints as LDIF (T0): `ldapsearch`, a query of a personnel system, a script. It says by its
 * exit code whether it printed everything; only then may anything be deleted because it was not printed (design rule
 * 5). It is only read.
 */
import {
  type Bookmark,
  defaultLimits,
  type Directory,
  type DirectoryChange,
  DirpostError,
  type Limits,
  MIB,
  type ReadBatch,
  type ReadCertificate,
  type WriteOutcome,
} from '@dirpost/core';
import { EntryReader } from '../../ldif/entries.ts';
import { LdifParser } from '../../ldif/parse.ts';
import { Program, type ProgramEnd } from './program.ts';

export interface CommandDirectoryOptions {
  name: string;
  /** Program and arguments; no shell comes between. */
  command: [string, ...string[]];
  limits?: Limits;
  /** The program is killed when it takes longer. Default: 5 minutes. */
  timeoutMs?: number;
  /** The program is killed when it prints more. Default: 256 MiB. */
  maxOutputBytes?: number;
  /** What it gets besides PATH, LANG and HOME (and what programs cannot do without on Windows). */
  environment?: Record<string, string>;
  /** Where it runs. Default: where dirpost runs. */
  folder?: string;
  /** From the polite signal to the one that cannot be ignored. Default: 5 seconds. */
  killAfterMs?: number;
}

const BATCH_ENTRIES = 250;
const LF = 10;

export class CommandDirectory implements Directory {
  readonly name: string;
  readonly writes = 'changes';
  readonly #options: CommandDirectoryOptions;

  constructor(options: CommandDirectoryOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /**
   * Every read runs the program anew. However the read ends (limit, fault, abort, or nobody wants more), the program
   * and what it started in its process group are gone before it does.
   */
  async *read(_since: Bookmark | null, signal: AbortSignal): AsyncGenerator<ReadBatch> {
    signal.throwIfAborted();
    const {
      timeoutMs = 300_000,
      maxOutputBytes = 256 * MIB,
      limits = defaultLimits,
      killAfterMs = 5_000,
    } = this.#options;
    const { command, environment = {}, folder } = this.#options;
    const [program] = command;
    const source = `Output of ${program}`;
    const running = await Program.start(
      { command, environment, folder, timeoutMs, maxOutputBytes, killAfterMs },
      signal,
    );
    try {
      const reader = new EntryReader({
        source,
        changeFault: 'a change record; a command prints entries',
        changeHint: 'Let the program print every entry as it is now, without "changetype: modify", delete or modrdn.',
      });
      // Few, so that what is no LDIF is noticed before its program has ended.
      const parser = new LdifParser({ source, limits, minScanBytes: 256 });
      let endsWithNewline = false;
      for await (const chunk of running.output()) {
        endsWithNewline = chunk.at(-1) === LF;
        for (const record of parser.push(chunk)) reader.take(record);
        if (reader.entries.length >= BATCH_ENTRIES) yield { entries: reader.takeEntries() };
      }
      const end = await running.end();
      signal.throwIfAborted();
      const whole = end.problem === undefined && endsWithNewline;
      for (const record of whole ? parser.end() : parser.endCutOff()) reader.take(record);
      yield { entries: reader.takeEntries(), certificate: certificateOf(program, reader, end, endsWithNewline) };
    } finally {
      await running.stop();
    }
  }

  /** Throws: there is no way back into a command. */
  write(_changes: AsyncIterable<DirectoryChange>, _signal: AbortSignal): AsyncIterable<WriteOutcome> {
    throw new DirpostError('wrong-use', `The directory ${this.name} is a command, which is only read.`);
  }
}

function certificateOf(
  program: string,
  reader: EntryReader,
  end: ProgramEnd,
  endsWithNewline: boolean,
): ReadCertificate {
  const remarks = reader.faults.list();
  if (end.problem !== undefined) remarks.unshift(end.problem);
  else if (reader.count === 0) remarks.unshift(`${program} printed no entry.`);
  else if (!endsWithNewline) {
    remarks.unshift(
      `What ${program} printed does not end with a newline: it may be cut off. Its last entry is left out.`,
    );
  }
  return {
    complete: remarks.length === 0,
    remarks,
    entries: reader.count,
    source: `${program} (${end.bytes} bytes, exit code ${end.exitCode ?? 'none'})`,
    bookmark: null,
  };
}
