/**
 * The log of the agent: one line for each event of the cycle, for people or as JSON. Above `debug` no personal value
 * stands in it: of the details only numbers and the words that are listed here, and of the texts (which quote what a
 * directory or a transport answered) neither addresses nor DNs nor what stands in quotation marks; but where it is known that none of an
 * entry can be in a text it stays as it is, such as what a mail server answered.
 *
 *   2026-11-21 03:14:07Z T2 info    exchange 12 from oslo: accepted 3 changes; answered with 5 changes
 */
import { pino, stdTimeFunctions } from 'pino';
import type { Configuration } from './config/load.ts';
import type { CycleEvent } from './events.ts';
import { withoutPersonalValues } from './personal-values.ts';
import { escapedJson, printable } from './printable.ts';

export type LogLevel = Configuration['log']['level'];

export interface LogOptions {
  format: Configuration['log']['format'];
  level: LogLevel;
  write(line: string): unknown;
  /** For the lines for people, and for what is said again; JSON lines have the time of the system. */
  now?: () => number;
}

export interface Log {
  event(event: CycleEvent): void;
  /** Of the agent itself: started, stopped. */
  line(level: LogLevel, text: string, details?: Record<string, unknown>): void;
}

const levels: Record<LogLevel, number> = { error: 50, warning: 40, info: 30, debug: 20 };
/** A warning that is the same as before is told once in this time; `debug` shows each. */
const TOLD_AGAIN_MS = 3_600_000;
const MAX_REMEMBERED = 1_000;

interface LogLine {
  time: CycleEvent['time'] | null;
  level: LogLevel;
  text: string;
  quotesNoEntry?: boolean | undefined;
  details: Record<string, unknown>;
}

export function createLog({ format, level, write, now = () => Date.now() }: LogOptions): Log {
  const put = format === 'json' ? jsonWriter(level, write) : readableWriter(write, now);
  const shows = (one: LogLevel) => levels[one] >= levels[level];
  const isRepeat = repeats(now);
  const tell = (line: LogLine): void => {
    if (shows('debug')) put(line);
    else if (shows(line.level) && !(line.level !== 'info' && isRepeat(line))) put(withoutPersonalValues(line));
  };
  return {
    event: ({ time, level: of, text, quotesNoEntry, details = {} }) =>
      tell({ time, level: of, text, quotesNoEntry, details }),
    line: (of, text, details = {}) => tell({ time: null, level: of, text, details }),
  };
}

function repeats(now: () => number): (line: LogLine) => boolean {
  const told = new Map<string, number>();
  return ({ time, level, text }) => {
    const key = `${time} ${level} ${text}`;
    const sinceMs = now() - (told.get(key) ?? -Infinity);
    if (sinceMs >= 0 && sinceMs < TOLD_AGAIN_MS) return true;
    if (told.size >= MAX_REMEMBERED) told.clear();
    told.set(key, now());
    return false;
  };
}

function readableWriter(write: (line: string) => unknown, now: () => number): (line: LogLine) => void {
  return ({ time, level, text, details }) => {
    const at = `${new Date(now()).toISOString().slice(0, 19).replace('T', ' ')}Z`;
    const shown = level === 'debug' && Object.keys(details).length > 0 ? ` ${JSON.stringify(details)}` : '';
    write(`${at} ${time ?? '--'} ${level.padEnd(7)} ${oneLine(`${text}${shown}`)}\n`);
  };
}

/** Line ends as spaces; what could speak to a terminal as numbers. */
function oneLine(text: string): string {
  return printable(text.replaceAll(/\s*\n\s*/g, ' '));
}

function jsonWriter(level: LogLevel, write: (line: string) => unknown): (line: LogLine) => void {
  const logger = pino(
    {
      level,
      customLevels: levels,
      useOnlyCustomLevels: true,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => void write(escapedJson(line)) },
  );
  return ({ time, level: of, text, details }) => {
    const { level: _level, time: _time, msg: _msg, t: _t, ...rest } = details;
    logger[of]({ ...(time !== null && { t: time }), ...rest }, text);
  };
}
