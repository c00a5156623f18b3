/**
 * Message files that a server sends to its own mail address (`dirpost check --send`), to see that mails go out and arrive.
 * One that is back has done its work: it is taken from the mailbox, and not spooled. Only what this process has sent and
 * waits for counts, octet by octet.
 */
import { createHash } from 'node:crypto';
import type { PostofficeName, Random } from '@dirpost/core';
import type { Sealer } from '@dirpost/message';

export interface Probe {
  /** 32 hexadecimal digits. */
  id: string;
  bytes: Uint8Array;
}

/** Nothing of it is read. */
const CONTENT_BYTES = 1_024;

export class Probes {
  /** Hashes of their octets by id; those that are back have none. */
  readonly #waiting = new Map<string, string | null>();

  async make({ name, sealer, random }: { name: PostofficeName; sealer: Sealer; random: Random }): Promise<Probe> {
    const id = Buffer.from(random(16)).toString('hex');
    const envelope = { id, from: name, to: name, forIncarnation: null, createdMs: Date.now() };
    const bytes = await sealer.seal(envelope, random(CONTENT_BYTES));
    this.#waiting.set(id, hashOf(bytes));
    return { id, bytes };
  }

  has(file: Uint8Array): boolean {
    return this.#idOf(file) !== undefined;
  }

  /** Whether the file was one, which is noted. */
  take(file: Uint8Array): boolean {
    const id = this.#idOf(file);
    if (id !== undefined) this.#waiting.set(id, null);
    return id !== undefined;
  }

  isBack(id: string): boolean {
    return this.#waiting.get(id) === null;
  }

  /** One that comes later is a stranger's. */
  forget(id: string): void {
    this.#waiting.delete(id);
  }

  #idOf(file: Uint8Array): string | undefined {
    if (this.#waiting.size === 0) return undefined;
    const hash = hashOf(file);
    return [...this.#waiting].find(([, one]) => one === hash)?.[0];
  }
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
