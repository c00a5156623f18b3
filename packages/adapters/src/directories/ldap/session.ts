/**
 * One connection to an LDAP server (RFC 4511 §5): many operations in flight, each answered by its message id. Searches come
 * as batches of what the line brought, with back-pressure: while nobody takes them the socket is not read.
 *
 *   send ─▶ id ─▶ waiting ─┬─ entry, reference, intermediate ─▶ the search's queue ─▶ its reader
 *                          └─ result ─▶ resolved, forgotten
 *
 * An operation that takes too long is abandoned and fails alone. What is not LDAP, and a notice of disconnection, ends
 * all of them. Nothing here is repeated: that is for those who know what they asked.
 */
import { strict as assert } from 'node:assert';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { DirpostError } from '@dirpost/core';
import { BerError } from './ber.ts';
import { Framing, notTaken } from './framing.ts';
import {
  encodeAbandon,
  encodeOperation,
  encodeSearch,
  encodeUnbind,
  type LdapControl,
  type Operation,
  type SearchRequest,
} from './requests.ts';
import {
  controlsOf,
  entryOf,
  INTERMEDIATE,
  intermediateOf,
  type LdapResult,
  notificationName,
  referenceOf,
  type Response,
  resultOf,
  SEARCH_DONE,
  SEARCH_ENTRY,
  SEARCH_REFERENCE,
  type SearchItem,
} from './responses.ts';

export interface SessionOptions {
  /** The server, for messages: `ldap.example.org:636`. */
  server: string;
  /** An operation without any answer for so long is abandoned. */
  operationMs: number;
  /** One LDAP message: an entry with all its values. */
  maxMessageBytes: number;
}

export interface OperationOptions {
  controls?: LdapControl[];
  signal?: AbortSignal;
  /** Instead of the session's; 0: none, for searches that wait for changes. */
  timeoutMs?: number;
}

export interface SearchBatch {
  items: SearchItem[];
  /** With the last batch, and only there; whatever its code. */
  result?: LdapResult;
}

/** Who asked, and gets the answer. */
interface Asker {
  /** Of a search: takes items. */
  take?(item: SearchItem, octets: number): void;
  /** Nothing of what came for it waits to be read: whoever asked waits for the server. Absent: so it is. */
  isHungry?(): boolean;
  resolve(result: LdapResult): void;
  fail(error: DirpostError): void;
}

/** An operation in flight. There are many: an object, and no function of its own. */
interface Waiting {
  readonly asker: Asker;
  readonly signal: AbortSignal | undefined;
  readonly timer: NodeJS.Timeout | null;
}

/** Octets of results that wait for their reader, before the socket is not read any more. */
const MAX_QUEUED_BYTES = 8 * 1024 * 1024;
/** The reader of a search gets as much at once, where it comes as quickly: his work is cheaper by large batches. */
const BATCH_BYTES = 256 * 1024;
const BATCH_MS = 20;
/** RFC 4511 §4.4.1. */
const NOTICE_OF_DISCONNECTION = '1.3.6.1.4.1.1466.20036';

export class Session {
  readonly server: string;
  readonly #options: SessionOptions;
  #socket: Duplex;
  readonly #framing: Framing;
  #lastId = 0;
  readonly #waiting = new Map<number, Waiting>();
  /** One listener for all operations of a signal. */
  readonly #signals = new Set<AbortSignal>();
  /** Octets in the queues of all searches. */
  #queued = 0;
  #ended: DirpostError | null = null;
  /** Of this turn of the event loop. */
  #unsent: Buffer[] = [];

  constructor(socket: Duplex, options: SessionOptions) {
    this.server = options.server;
    this.#options = options;
    this.#framing = new Framing(options.maxMessageBytes);
    this.#socket = socket;
    this.#listen(socket);
  }

  /** Why it can be used no longer; null: it can. */
  get ended(): DirpostError | null {
    return this.#ended;
  }

  /** Nobody reads along who does not have the server's key. */
  get isTls(): boolean {
    return this.#socket instanceof TLSSocket;
  }

  /** `TLSv1.3`; null: the line is not encrypted. */
  get tlsProtocol(): string | null {
    return this.#socket instanceof TLSSocket ? this.#socket.getProtocol() : null;
  }

  /** The result, whatever its code. Throws DirpostError `directory-failed` where there is none. */
  request(operation: Operation, options: OperationOptions = {}): Promise<LdapResult> {
    return new Promise((resolve, reject) => {
      this.#start((id) => encodeOperation(id, operation, options.controls), options, { resolve, fail: reject });
    });
  }

  /** Ends with a batch that has the result. Leaving it early abandons the search. Throws as request. */
  async *search(request: SearchRequest, options: OperationOptions = {}): AsyncGenerator<SearchBatch> {
    let items: SearchItem[] = [];
    let octets = 0;
    /** Octets of the batch that the reader has now. */
    let given = 0;
    let result: LdapResult | null = null;
    let failure: DirpostError | null = null;
    let wake = () => {};
    /** Waited long enough for more. */
    let isLate = false;
    let timer: NodeJS.Timeout | undefined;
    const rest = () => {
      clearTimeout(timer);
      [timer, isLate] = [undefined, false];
    };
    const giveBack = () => {
      // 0 before it is looked whether he waits for more.
      const bytes = given;
      given = 0;
      this.#queue(-bytes);
    };
    // Of a search that waits for changes each comes at once.
    const worthwhileBytes = options.timeoutMs === 0 ? 0 : BATCH_BYTES;
    const id = this.#start((number) => encodeSearch(number, request, options.controls), options, {
      isHungry: () => given === 0 && octets < worthwhileBytes && !isLate,
      take: (item, bytes) => {
        items.push(item);
        octets += bytes;
        this.#queue(bytes);
        if (octets >= worthwhileBytes) wake();
        else
          timer ??= setTimeout(() => {
            isLate = true;
            wake();
          }, BATCH_MS);
      },
      resolve: (end) => {
        result = end;
        wake();
      },
      fail: (error) => {
        failure = error;
        wake();
      },
    });
    try {
      for (;;) {
        const isEnough = items.length > 0 && (octets >= worthwhileBytes || isLate);
        if (!isEnough && result === null && failure === null) await new Promise<void>((resolve) => (wake = resolve));
        rest();
        if (failure !== null) throw failure as DirpostError;
        const batch: SearchBatch = { items };
        [given, octets, items] = [octets, 0, []];
        if (result !== null) {
          // Nobody is bound to ask for more after the result.
          giveBack();
          return void (yield { ...batch, result });
        }
        if (batch.items.length > 0) yield batch;
        giveBack();
      }
    } finally {
      rest();
      this.#queue(-octets - given);
      if (result === null && this.#waiting.has(id)) this.#abandon(id);
    }
  }

  /**
   * After a StartTLS that the server agreed to (RFC 4511 §4.14.1): `upgrade` makes the TLS socket over the plain one. No
   * operation may be in flight.
   */
  async secure(upgrade: (plain: Duplex) => Promise<Duplex>): Promise<void> {
    assert(this.#waiting.size === 0, 'operations in flight while TLS begins');
    const plain = this.#socket;
    plain.removeAllListeners('data').removeAllListeners('close').removeAllListeners('error');
    // RFC 4511 §4.14.1: whatever came before TLS is not to be believed.
    this.#framing.reset();
    try {
      this.#socket = await upgrade(plain);
    } catch (error) {
      this.#end(error instanceof DirpostError ? error : this.#cut(error));
      throw error;
    }
    this.#listen(this.#socket);
  }

  /** Says goodbye; what is in flight fails. */
  close(): void {
    if (this.#ended === null && !this.#socket.destroyed) {
      this.#unsent.push(encodeUnbind(++this.#lastId));
      // What was asked in this turn is not written any more otherwise.
      this.#send();
    }
    this.#end(new DirpostError('directory-failed', `The connection to ${this.server} was closed.`, { retry: 'later' }));
  }

  #listen(socket: Duplex): void {
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#end(this.#cut(error)));
    socket.on('close', () => this.#end(this.#cut(null)));
  }

  #start(
    encode: (id: number) => Buffer,
    { signal, timeoutMs = this.#options.operationMs }: OperationOptions,
    asker: Asker,
  ): number {
    const id = ++this.#lastId;
    const refusal = this.#ended ?? (signal?.aborted ? interrupted(signal) : null);
    if (refusal !== null) {
      asker.fail(refusal);
      return id;
    }
    const timer = timeoutMs === 0 ? null : setTimeout(() => this.#timeIsUp(id, timeoutMs), timeoutMs);
    if (signal !== undefined) this.#listenTo(signal);
    this.#waiting.set(id, { asker, signal, timer });
    try {
      this.#write(encode(id));
    } catch (cause) {
      const message = `A request to ${this.server} cannot be made: ${cause instanceof Error ? cause.message : String(cause)}.`;
      this.#forget(id)?.fail(new DirpostError('wrong-use', message, { cause }));
      return id;
    }
    this.#queue(0);
    return id;
  }

  /** No answer is awaited any more. */
  #forget(id: number): Asker | undefined {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return undefined;
    if (waiting.timer !== null) clearTimeout(waiting.timer);
    this.#waiting.delete(id);
    return waiting.asker;
  }

  /** What is asked in one turn of the event loop leaves together: a call of the system for each would cost more than all else. */
  #write(octets: Buffer): void {
    if (this.#unsent.push(octets) === 1) process.nextTick(() => this.#send());
  }

  #send(): void {
    const unsent = this.#unsent;
    this.#unsent = [];
    if (unsent.length === 0 || this.#socket.destroyed) return;
    this.#socket.write(unsent.length === 1 ? unsent[0]! : Buffer.concat(unsent));
  }

  #listenTo(signal: AbortSignal): void {
    if (this.#signals.has(signal)) return;
    this.#signals.add(signal);
    signal.addEventListener('abort', this.#onAbort);
  }

  #onAbort = (): void => {
    for (const [id, { signal }] of this.#waiting) if (signal?.aborted) this.#giveUp(id, interrupted(signal));
  };

  /** While the socket is not read, that nothing comes is not the server's fault. */
  #timeIsUp(id: number, timeoutMs: number): void {
    if (this.#socket.isPaused()) this.#waiting.get(id)?.timer?.refresh();
    else this.#giveUp(id, this.#tooLong(timeoutMs));
  }

  #giveUp(id: number, error: DirpostError): void {
    this.#abandon(id)?.fail(error);
  }

  #abandon(id: number): Asker | undefined {
    const asker = this.#forget(id);
    if (asker !== undefined && this.#ended === null) this.#write(encodeAbandon(++this.#lastId, id));
    return asker;
  }

  #take(chunk: Buffer): void {
    try {
      this.#framing.take(chunk, (octets, response, bytes) => this.#dispatch(octets, response, bytes));
    } catch (cause) {
      if (!(cause instanceof BerError)) throw cause;
      this.#end(notTaken(this.server, cause));
    }
  }

  #dispatch(octets: Buffer, response: Response, bytes: number): void {
    if (response.id === 0) return this.#notified(octets, response);
    const waiting = this.#waiting.get(response.id);
    // Abandoned meanwhile.
    if (waiting === undefined) return;
    waiting.timer?.refresh();
    const { asker } = waiting;
    switch (response.operation.tag) {
      case SEARCH_ENTRY:
        return asker.take?.(entryOf(octets, response), bytes);
      case SEARCH_REFERENCE:
        return asker.take?.(referenceOf(octets, response), bytes);
      case INTERMEDIATE:
        return asker.take?.(intermediateOf(octets, response), bytes);
      default: {
        const isSearch = asker.take !== undefined;
        if (isSearch !== (response.operation.tag === SEARCH_DONE)) throw new BerError('an answer of another kind');
        const result = resultOf(octets, response);
        this.#forget(response.id)?.resolve(result);
      }
    }
  }

  #notified(octets: Buffer, response: Response): void {
    if (notificationName(octets, response) !== NOTICE_OF_DISCONNECTION) return;
    const { message } = resultOf(octets, { ...response, end: response.operation.end });
    const why = message === '' ? '' : `: ${message}`;
    this.#end(
      new DirpostError('directory-failed', `${this.server} ended the connection${why}.`, {
        retry: 'later',
        context: { controls: controlsOf(octets, response).length },
      }),
    );
  }

  /**
   * The socket rests while too much waits for readers; but not while somebody waits for the server, since that may be the
   * very reader, who asks for more about an entry.
   */
  #queue(bytes: number): void {
    this.#queued += bytes;
    const isFull = this.#queued > MAX_QUEUED_BYTES && !this.#isAnyHungry();
    if (isFull === this.#socket.isPaused() || this.#socket.destroyed) return;
    if (isFull) return void this.#socket.pause();
    this.#socket.resume();
    for (const { timer } of this.#waiting.values()) timer?.refresh();
  }

  #isAnyHungry(): boolean {
    return [...this.#waiting.values()].some(({ asker }) => asker.isHungry?.() ?? true);
  }

  #end(error: DirpostError): void {
    if (this.#ended !== null) return;
    this.#ended = error;
    this.#socket.destroy();
    for (const signal of this.#signals) signal.removeEventListener('abort', this.#onAbort);
    for (const id of this.#waiting.keys()) this.#forget(id)!.fail(error);
  }

  #cut(cause: unknown): DirpostError {
    const why = cause instanceof Error ? `: ${cause.message}` : '';
    return new DirpostError('directory-failed', `The connection to ${this.server} was cut${why}.`, {
      retry: 'later',
      cause,
    });
  }

  #tooLong(timeoutMs: number): DirpostError {
    return new DirpostError('directory-failed', `${this.server} did not answer within ${timeoutMs / 1_000} s.`, {
      retry: 'later',
      hint: 'The server is overloaded, or the line is; or an index is missing there.',
    });
  }
}

function interrupted(signal: AbortSignal): DirpostError {
  return new DirpostError('interrupted', 'Interrupted.', { retry: 'later', cause: signal.reason });
}
