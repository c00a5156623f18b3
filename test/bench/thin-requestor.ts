/**
 * A requestor that keeps no replica: it says what a real one would say (exchange, verification), with real keys, seals
 * and HTTP, and believes the digests of the server. So that a hundred of them leave the machine to the server.
 */
import { randomBytes } from 'node:crypto';
import { HttpClientTransport } from '@dirpost/adapters';
import {
  type CookieJar,
  defaultLimits,
  EMPTY_DIGEST,
  type Exchange,
  type Heard,
  type MessageHead,
  type Report,
} from '@dirpost/core';
import {
  createCodec,
  createSealer,
  type PeerKeys,
  type PrivateKeys,
  requestSigner,
  type Sealer,
} from '@dirpost/message';

const codec = createCodec(defaultLimits);
const REPORT: Report = { writtenUpTo: 0, refusedCount: 0, refused: [], heldCount: 0, nextContactMs: null };
const never = new AbortController().signal;

export interface ThinRequestorOptions {
  name: string;
  keys: PrivateKeys;
  server: { name: string; url: string; keys: PeerKeys };
  /** What the list holds for it now: it claims to have that already. */
  digest: string;
  /** Of the server. */
  cookies: CookieJar;
}

export class ThinRequestor {
  readonly name: string;
  readonly transport: HttpClientTransport;
  /** Sealed octets, both ways. */
  octets = 0;
  /** Changes in the last update. */
  changes = 0;
  readonly #sealer: Sealer;
  readonly #server: string;
  readonly #incarnation = `0.${randomBytes(8).toString('hex')}`;
  readonly #cookies: CookieJar;
  #number = 0;
  #heard: Heard | null = null;
  #cursor: Uint8Array | null = null;
  #digest: string;

  constructor({ name, keys, server, digest, cookies }: ThinRequestorOptions) {
    this.#cookies = cookies;
    this.name = name;
    this.#server = server.name;
    this.#digest = digest;
    const peers = (peer: string) => (peer === server.name ? server.keys : undefined);
    this.#sealer = createSealer({ name, keys, peers, limits: defaultLimits });
    this.transport = new HttpClientTransport({
      url: server.url,
      server: server.name,
      signer: requestSigner(name, keys),
    });
  }

  /** Exchange → update → verification. */
  async cycle(): Promise<void> {
    await this.#send(this.#exchange());
    const update = await this.#receive();
    this.#cursor = this.#number === 1 ? this.#asAfterSnapshot(update.cursor!) : update.cursor;
    this.#heard = { incarnation: update.incarnation, number: update.number };
    if (update.mode !== 'delta') throw new Error(`${this.name} was answered with ${update.mode}`);
    this.#digest = update.to.digest;
    this.changes = update.total;
    await this.#send({
      kind: 'verification',
      incarnation: this.#incarnation,
      number: this.#number,
      answers: this.#heard,
      cursor: this.#cursor,
      heard: this.#heard,
      report: { ...REPORT, writtenUpTo: update.to.seq },
    });
  }

  /** Who was in step from the start knows no entry numbers; after a snapshot he knows all. */
  #asAfterSnapshot(cookie: Uint8Array): Uint8Array {
    return this.#cookies.seal({ ...this.#cookies.open(cookie, this.name)!, named: -1 }, this.name);
  }

  #exchange(): Exchange {
    const nothing = { seq: 0, digest: EMPTY_DIGEST };
    return {
      kind: 'exchange',
      incarnation: this.#incarnation,
      number: ++this.#number,
      part: 0,
      parts: 1,
      cursor: this.#cursor,
      heard: this.#heard,
      partsHeld: null,
      submission: { from: nothing, to: nothing, full: false, replaces: null, certified: true },
      anchors: [],
      request: 'changes',
      replicaDigest: this.#digest,
      buckets: null,
      report: REPORT,
      version: 'bench',
    };
  }

  async #send(head: MessageHead): Promise<void> {
    const id = randomBytes(16).toString('hex');
    const envelope = { id, from: this.name, to: this.#server, forIncarnation: null, createdMs: Date.now() };
    const bytes = await this.#sealer.seal(envelope, codec.encode(head, []));
    this.octets += bytes.length;
    await this.transport.deliver({ id, from: this.name, to: this.#server, bytes }, never);
  }

  async #receive() {
    for (;;) {
      let found: Uint8Array | undefined;
      await this.#arrival();
      await this.transport.collect(async (bytes) => {
        found = Uint8Array.from(bytes);
        return true;
      }, never);
      if (found === undefined) continue;
      this.octets += found.length;
      const head = codec.head((await this.#sealer.open(found)).payload);
      if (head.kind !== 'update') throw new Error(`${this.name} got ${head.kind}`);
      return head;
    }
  }

  /** Long poll. */
  async #arrival(): Promise<void> {
    const arrived = new AbortController();
    await this.transport.watch(() => arrived.abort(), arrived.signal).catch(() => {});
  }
}
