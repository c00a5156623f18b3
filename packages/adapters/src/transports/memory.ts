/**
 * Transport `memory`: carries message files between the server and its own requestor, which live in one process and
 * have one name. Two queues; each end delivers into the other's. Nothing survives the process, which is safe: a
 * transport may lose anything, and what was lost is composed again.
 */
import { defaultLimits, DirpostError, type MessageFile, type Transport } from '@dirpost/core';

export interface MemoryTransportOptions {
  maxMessageBytes?: number;
  /** Message files that may wait at one end. */
  maxWaiting?: number;
}

/** The two ends of one line. */
export function connectMemoryTransports(options: MemoryTransportOptions = {}): [MemoryTransport, MemoryTransport] {
  const one = new Queue();
  const other = new Queue();
  return [new MemoryTransport(one, other, options), new MemoryTransport(other, one, options)];
}

/** By message id, in the order of arrival: a repeat takes the place of the first. */
class Queue {
  readonly files = new Map<string, Uint8Array>();
  readonly wakers = new Set<() => void>();
}

class MemoryTransport implements Transport {
  readonly name = 'memory';
  readonly maxMessageBytes: number;
  readonly #inbox: Queue;
  readonly #outbox: Queue;
  readonly #maxWaiting: number;

  constructor(inbox: Queue, outbox: Queue, options: MemoryTransportOptions) {
    this.#inbox = inbox;
    this.#outbox = outbox;
    this.maxMessageBytes = options.maxMessageBytes ?? defaultLimits.maxMessageBytes;
    this.#maxWaiting = options.maxWaiting ?? defaultLimits.maxOutgoing;
  }

  async deliver(file: MessageFile, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const context = { id: file.id, bytes: file.bytes.length, maxBytes: this.maxMessageBytes };
    if (file.bytes.length > this.maxMessageBytes) {
      const what = `Message file ${file.id} has ${context.bytes} bytes; this transport takes at most ${context.maxBytes}.`;
      throw new DirpostError('message-too-large', what, { retry: 'operator', context });
    }
    const { files, wakers } = this.#outbox;
    if (!files.has(file.id) && files.size >= this.#maxWaiting) {
      throw new DirpostError('transport-failed', `${files.size} message files wait already in this process.`, {
        retry: 'later',
        context,
      });
    }
    files.set(file.id, Uint8Array.from(file.bytes));
    for (const wake of wakers) wake();
  }

  async collect(spool: (bytes: Uint8Array) => Promise<boolean>, signal: AbortSignal): Promise<number> {
    const { files } = this.#inbox;
    let collected = 0;
    // What arrives while this runs waits for the next call, so that it ends.
    for (const [id, bytes] of Array.from(files)) {
      signal.throwIfAborted();
      if (!(await spool(bytes))) continue;
      if (files.get(id) === bytes) files.delete(id);
      collected++;
    }
    return collected;
  }

  async watch(wake: () => void, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { wakers } = this.#inbox;
    wakers.add(wake);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    wakers.delete(wake);
  }
}

export type { MemoryTransport };
