/**
 * The agent's end of the local socket (local-protocol.ts): commands that write are run here, by the process that holds
 * the data folder. Only its own user reaches it: a file of mode 0600 in a folder of mode 0700, or a named pipe.
 */
import { chmod, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { DirpostError } from '@dirpost/core';
import { z } from 'zod';
import {
  type AboutAgent,
  LineReader,
  LOCAL_PROTOCOL_VERSION,
  type LocalAnswer,
  localAddress,
  type LocalQuestion,
  type LocalRequest,
  makeOwnFolder,
  MAX_REQUEST_BYTES,
} from './local-protocol.ts';

const MAX_CONNECTIONS = 32;
const REQUEST_TIMEOUT_MS = 10_000;
/** A command that does not read what it asked for is given up. */
const MAX_UNREAD_BYTES = 64 * 1024 * 1024;
const MAX_PIECE = 64 * 1024;

const localRequest: z.ZodType<LocalRequest> = z.object({
  v: z.literal(LOCAL_PROTOCOL_VERSION),
  argv: z.array(z.string()).max(1_000),
  cwd: z.string(),
  columns: z.int().min(20).max(10_000).optional(),
  tty: z.object({ out: z.boolean(), err: z.boolean() }).default({ out: false, err: false }),
  source: z.string().optional(),
});

const localQuestion: z.ZodType<LocalQuestion> = z.object({
  v: z.literal(LOCAL_PROTOCOL_VERSION),
  about: z.literal(true),
});

export interface CommandStreams {
  out: { write(text: string): void; isTTY: boolean; columns?: number };
  err: { write(text: string): void; isTTY: boolean };
}

/** Runs a command; its exit code. `signal`: the one who asked has gone. */
export type CommandHandler = (request: LocalRequest, streams: CommandStreams, signal: AbortSignal) => Promise<number>;

export interface LocalSocket {
  path: string;
  /** Takes no more, cancels what runs, waits for it, and removes the socket. */
  close(): Promise<void>;
}

/**
 * To be called by the one who holds the lock of the data folder: a socket that lies there is that of a dead agent.
 * `source`: config/source.ts, of the configuration that the agent was started with. Throws DirpostError `file-denied`, `file-failed`.
 */
export async function listenLocally(
  dataFolder: string,
  handler: CommandHandler,
  about: AboutAgent,
  source: string | null = null,
): Promise<LocalSocket> {
  const { path, folder } = localAddress(dataFolder);
  if (folder !== null) await makeOwnFolder(folder);
  const isFile = process.platform !== 'win32';
  if (isFile) await rm(path, { force: true });
  const talks = new Set<Talk>();
  const server = createServer((socket) => {
    const talk = new Talk(socket, handler, about, source);
    talks.add(talk);
    void talk.ended.finally(() => talks.delete(talk));
  });
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, path);
  if (isFile) await chmod(path, 0o600);
  return {
    path,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const talk of talks) talk.cancel();
      await Promise.all([...talks].map((talk) => talk.ended));
      await closed;
    },
  };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const message = `The local socket ${path} could not be opened: ${error.message}.`;
      reject(new DirpostError('file-failed', message, { retry: 'operator', cause: error }));
    });
    server.listen(path, resolve);
  });
}

/** One connection: a request, and a command. */
class Talk {
  /** Never rejects. */
  readonly ended: Promise<void>;
  readonly #socket: Socket;
  readonly #handler: CommandHandler;
  readonly #about: AboutAgent;
  readonly #source: string | null;
  readonly #lines = new LineReader(MAX_REQUEST_BYTES);
  readonly #abort = new AbortController();
  #running: Promise<void> | null = null;

  constructor(socket: Socket, handler: CommandHandler, about: AboutAgent, source: string | null) {
    this.#socket = socket;
    this.#handler = handler;
    this.#about = about;
    this.#source = source;
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    // Who has gone needs no error: the close that follows cancels the command.
    socket.on('error', () => {});
    socket.on('data', (chunk) => this.#take(chunk));
    socket.setTimeout(REQUEST_TIMEOUT_MS, () => {
      if (this.#running === null) this.#refuse('no request came');
    });
    this.ended = closed.then(async () => {
      this.#abort.abort(gone());
      await this.#running;
    });
  }

  cancel(): void {
    this.#abort.abort(gone());
    if (this.#running === null) this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    // One request a connection; more is not listened to.
    if (this.#running !== null) return;
    let lines: string[];
    try {
      lines = this.#lines.take(chunk);
    } catch {
      return this.#refuse('the request is too long');
    }
    const [line] = lines;
    if (line === undefined) return;
    if (parseLine(line, localQuestion) !== undefined) return this.#end(this.#about);
    const request = parseLine(line, localRequest);
    if (request === undefined) return this.#refuse(`this agent understands version ${LOCAL_PROTOCOL_VERSION} only`);
    if (request.source !== undefined && request.source !== this.#source) return this.#end({ differs: true });
    this.#running = this.#run(request);
  }

  async #run({ columns, source: _, ...request }: LocalRequest): Promise<void> {
    const write = (stream: 'out' | 'err') => (text: string) => {
      for (let at = 0; at < text.length; at += MAX_PIECE)
        this.#say({ [stream]: text.slice(at, at + MAX_PIECE) } as LocalAnswer);
    };
    const out = { write: write('out'), isTTY: request.tty.out, ...(columns !== undefined && { columns }) };
    const err = { write: write('err'), isTTY: request.tty.err };
    try {
      this.#say({ exit: await this.#handler(request, { out, err }, this.#abort.signal) });
    } catch (error) {
      this.#say({ refused: error instanceof Error ? error.message : String(error) });
    }
    this.#socket.end();
    // One that does not close its end is not waited for.
    this.#socket.setTimeout(REQUEST_TIMEOUT_MS, () => this.#socket.destroy());
    if (this.#abort.signal.aborted) this.#socket.destroySoon();
  }

  #say(answer: LocalAnswer | AboutAgent): void {
    if (this.#socket.destroyed) return;
    this.#socket.write(`${JSON.stringify(answer)}\n`);
    if (this.#socket.writableLength > MAX_UNREAD_BYTES) this.#socket.destroy();
  }

  #end(answer: LocalAnswer | AboutAgent): void {
    this.#say(answer);
    this.#socket.destroySoon();
  }

  #refuse(why: string): void {
    this.#end({ refused: why });
  }
}

function gone(): DirpostError {
  return new DirpostError('interrupted', 'Interrupted.', { retry: 'later' });
}

/** The value of a line if it is one of `schema`; undefined for garbage. */
function parseLine<T>(line: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
