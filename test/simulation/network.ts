/**
 * What lies between the postoffices. A transport hands a message file over to the network, where it is in flight until
 * the world delivers it into a mailbox: never, once, several times, late, out of order, or damaged.
 */
import { createHash } from 'node:crypto';
import { DirpostError, type MessageFile, type Transport } from '@dirpost/core';
import type { Gate } from './gate.ts';
import type { Surroundings } from './machine.ts';

export interface Letter {
  to: string;
  bytes: Uint8Array;
  /** Damaged on the way: has to end in `corrupt`. */
  damaged: boolean;
}

export class Network {
  readonly inFlight: Letter[] = [];
  readonly #mailboxes = new Map<string, Letter[]>();
  messages = 0;
  octets = 0;
  /** Over everything that any transport was handed, in order: two runs of one seed must agree. */
  readonly #wire = createHash('sha256');

  post(file: MessageFile): void {
    this.messages++;
    this.octets += file.bytes.length;
    this.#wire.update(file.bytes);
    this.inFlight.push({ to: file.to, bytes: Uint8Array.from(file.bytes), damaged: false });
  }

  /** Of a name: copies of a postoffice share it. */
  mailbox(name: string): Letter[] {
    let letters = this.#mailboxes.get(name);
    if (letters === undefined) {
      letters = [];
      this.#mailboxes.set(name, letters);
    }
    return letters;
  }

  wireHash(): string {
    return this.#wire.copy().digest('hex');
  }
}

/** What a server that listens asks of whoever comes. */
export interface Door {
  /** Does it, and once more where it is refused and more can be proven. */
  prove<T>(work: () => Promise<T>): Promise<T>;
  /** null: he collects. Throws DirpostError `transport-failed`. */
  pass(file: Uint8Array | null): void;
}

/** Everything goes through, as by mail and folder. */
export const openDoor: Door = { prove: (work) => work(), pass() {} };

export class SimulatedTransport implements Transport {
  readonly name = 'network';
  readonly maxMessageBytes = 16 * 1024 * 1024;

  constructor(
    private readonly network: Network,
    private readonly mailbox: Letter[],
    private readonly gate: Gate,
    private readonly fails: () => boolean,
    private readonly spooled: (letter: Letter) => void,
    private readonly sizes: Pick<Surroundings, 'takes' | 'turnsOutTooLarge'>,
    private readonly door: Door,
  ) {}

  maxMessageBytesTo(peer: string): number {
    return this.sizes.takes(peer);
  }

  deliver(file: MessageFile): Promise<void> {
    return this.door.prove(() => this.#deliver(file));
  }

  async #deliver(file: MessageFile): Promise<void> {
    this.gate.pass('deliver');
    if (this.fails()) throw new DirpostError('transport-failed', 'The line is down.', { retry: 'later' });
    this.door.pass(file.bytes);
    const tooLarge = this.sizes.turnsOutTooLarge(file);
    if (tooLarge === 'refused') throw new DirpostError('transport-failed', 'It is too large.', { retry: 'later' });
    if (tooLarge === null) this.network.post(file);
    this.gate.pass('deliver, done');
  }

  collect(spool: (bytes: Uint8Array) => Promise<boolean>): Promise<number> {
    return this.door.prove(() => this.#collect(spool));
  }

  async #collect(spool: (bytes: Uint8Array) => Promise<boolean>): Promise<number> {
    this.gate.pass('collect');
    if (this.fails()) throw new DirpostError('transport-failed', 'The line is down.', { retry: 'later' });
    this.door.pass(null);
    let collected = 0;
    for (let left = 0; this.mailbox.length > left; ) {
      if (!(await spool(this.mailbox[left]!.bytes))) {
        left++;
        continue;
      }
      for (const letter of this.mailbox.splice(left, 1)) this.spooled(letter);
      this.gate.pass('collect, done');
      collected++;
    }
    return collected;
  }
}

/** The hops of the server's own line are the real memory transport; it gets a gate and a count. */
export function gated(transport: Transport, network: Network, gate: Gate): Transport {
  return {
    name: transport.name,
    maxMessageBytes: transport.maxMessageBytes,
    async deliver(file, signal) {
      gate.pass('deliver');
      network.messages++;
      await transport.deliver(file, signal);
      gate.pass('deliver, done');
    },
    async collect(spool, signal) {
      gate.pass('collect');
      return transport.collect(spool, signal);
    },
  };
}
