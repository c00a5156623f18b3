/**
 * How a command reaches the agent that runs: where its socket is, and what is said there. Both sides write one JSON value
 * a line; the command asks once, the agent answers with what the command says, and at last how it ended.
 *
 *   command ▶ {"v":1,"argv":["sync","--wait","5"],"cwd":"/srv/oslo","columns":120,"tty":{"out":true,"err":true}}
 *   agent   ▶ {"out":"…"} {"err":"…"} …            ▶ {"exit":0}  or  {"refused":"…"}
 *
 * A command that goes away is cancelled. One that has not read the configuration (cli/straight.ts) says which it means by
 * `source` (config/source.ts); an agent that was started with another runs nothing and answers {"differs":true}.
 *
 * What only wants to know with which configuration the agent was started asks:
 *
 *   {"v":1,"about":true}  ▶  {"configuration":"<fingerprint>","pid":712}
 *
 * Every command loads this file before it has reached the agent: nothing large is imported here.
 */
import { createHash } from 'node:crypto';
import { lstat, mkdir } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';

export const LOCAL_PROTOCOL_VERSION = 1;

export const MAX_REQUEST_BYTES = 256 * 1024;
export const MAX_ANSWER_LINE_BYTES = 1024 * 1024;

/** sockaddr_un.sun_path without its NUL: 108 octets on Linux, 104 elsewhere (unix(7), unix(4)). */
const MAX_SOCKET_PATH_BYTES = process.platform === 'linux' ? 107 : 103;

export interface LocalRequest {
  v: typeof LOCAL_PROTOCOL_VERSION;
  argv: string[];
  cwd: string;
  columns?: number | undefined;
  tty: { out: boolean; err: boolean };
  source?: string | undefined;
}

export interface LocalQuestion {
  v: typeof LOCAL_PROTOCOL_VERSION;
  about: true;
}

/** `configuration`: config/load.ts, fingerprintOf. */
export interface AboutAgent {
  configuration: string;
  pid: number;
}

export type LocalAnswer =
  | { out: string }
  | { err: string }
  | { exit: number }
  | { refused: string }
  | { differs: true };

/** Where the agent of that data folder listens. `folder`: to be made and checked before; null: it is the data folder. */
export function localAddress(dataFolder: string): { path: string; folder: string | null } {
  const full = resolve(dataFolder);
  const hash = createHash('sha256').update(full).digest('hex').slice(0, 16);
  if (process.platform === 'win32') return { path: `\\\\.\\pipe\\dirpost-${hash}`, folder: null };
  const path = join(full, 'agent.sock');
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES) return { path, folder: null };
  const folder = join(tmpdir(), `dirpost-${userInfo().uid}-${hash}`);
  return { path: join(folder, 'agent.sock'), folder };
}

/** Anybody may make a folder in the temporary folder: only one that is ours and closed to others is used. Throws file-denied. */
export async function makeOwnFolder(folder: string): Promise<void> {
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await checkOwnFolder(folder);
}

export async function checkOwnFolder(folder: string): Promise<void> {
  const found = await lstat(folder);
  if (found.isDirectory() && found.uid === userInfo().uid && (found.mode & 0o077) === 0) return;
  throw (await import('./local-failure.ts')).foreignFolder(folder);
}

/** Cuts what arrives into lines. Throws RangeError as soon as a line is longer than allowed. */
export class LineReader {
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  take(chunk: Buffer): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      this.#add(chunk.subarray(from, end));
      lines.push(Buffer.concat(this.#pieces).toString('utf8'));
      this.#pieces = [];
      this.#bytes = 0;
      from = end + 1;
    }
    this.#add(chunk.subarray(from));
    return lines;
  }

  #add(piece: Buffer): void {
    this.#bytes += piece.length;
    if (this.#bytes > this.#maxBytes) {
      throw new RangeError(`A line on the local socket has more than ${this.#maxBytes} bytes.`);
    }
    if (piece.length > 0) this.#pieces.push(piece);
  }
}

/** undefined for garbage. */
export function parseAnswer(line: string): LocalAnswer | undefined {
  const { out, err, exit, refused, differs } = parseObject(line);
  if (typeof out === 'string') return { out };
  if (typeof err === 'string') return { err };
  if (Number.isSafeInteger(exit)) return { exit: exit as number };
  if (typeof refused === 'string') return { refused };
  return differs === true ? { differs } : undefined;
}

/** undefined for garbage. */
export function parseAbout(line: string): AboutAgent | undefined {
  const { configuration, pid } = parseObject(line);
  if (typeof configuration !== 'string' || !Number.isSafeInteger(pid)) return undefined;
  return { configuration, pid: pid as number };
}

/** Without members for what is no object. */
function parseObject(line: string): Record<string, unknown> {
  try {
    return { ...JSON.parse(line) };
  } catch {
    return {};
  }
}
