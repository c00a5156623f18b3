/** `dirpost run` as a process whose log (JSON, debug) is read as it is written, and kept in a file. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { type Office, start } from '../demo/office.ts';

/** A line of the log, with the details of its event. */
export interface LogLine {
  level: string;
  msg: string;
  [detail: string]: unknown;
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  ms: number;
}

export class AgentProcess {
  readonly ended: Promise<Ended>;
  isReady = false;
  /** Somebody has sent it a signal: its end is no surprise. */
  isAsked = false;
  err = '';
  readonly #child: ChildProcess;
  readonly #hear: (line: LogLine) => void;
  readonly #file: string;
  #rest = '';
  #askedMs = 0;

  /** `file`: where the log is kept, of all processes of this office. */
  constructor(office: Office, file: string, hear: (line: LogLine) => void) {
    this.#hear = hear;
    this.#file = file;
    this.#child = start(['--config', office.config, 'run']);
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.err += text));
    this.ended = once(this.#child, 'close').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      ms: performance.now() - this.#askedMs,
    }));
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<Ended> {
    this.isAsked = true;
    this.#askedMs = performance.now();
    this.#child.kill(signal);
    return this.ended;
  }

  #read(text: string): void {
    appendFileSync(this.#file, text);
    const lines = (this.#rest + text).split('\n');
    // What a killed process had half written stays here.
    this.#rest = lines.pop()!;
    for (const line of lines) {
      const heard = JSON.parse(line) as LogLine;
      if (heard.msg.startsWith('ready')) this.isReady = true;
      this.#hear(heard);
    }
  }
}
