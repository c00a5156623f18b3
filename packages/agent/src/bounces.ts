/**
 * Mails that came back (RFC 3464): what the other side said of them is kept for an administrator, and mail is used less.
 *
 *   transport, while it collects ─▶ note ─▶ store: bounces/<peer> ─▶ queue, status, an alert
 *                                             ├─▶ routes.ts: another way is preferred where the address does not work
 *                                             └─▶ send.ts: one mail at a time, each time after twice as long
 *   a message of that peer by mail ─▶ forgotten          what came back is acknowledged after all ─▶ forgotten, that one
 *
 * A bounce is never an acknowledgement: no cursor moves, and nothing leaves the outbox.
 */
import type { Bounce } from '@dirpost/adapters';
import { type Clock, DirpostError, type Outgoing, type PostofficeName, type Store, type StoreTx } from '@dirpost/core';
import type { CycleEvent } from './events.ts';
import type { RetryTimes } from './postoffice.ts';
import { doubling } from './send.ts';

/** The transport whose message files can come back. */
const MAIL = 'mail';
const MOST_KEPT = 20;
/** An address that is used comes back again within that time. */
const FORGET_AFTER_MS = 30 * 24 * 3_600_000;

/** A message file that came back. */
export interface FailedMessage {
  /** Of the message file; null where the other side did not name it. */
  id: string | null;
  kind: Outgoing['kind'] | null;
  number: number | null;
  atMs: number;
  /** Mail address that was not reached. */
  recipient: string | null;
  /** RFC 3463, such as 5.1.1. */
  status: string | null;
  /** What the other side said. */
  diagnostic: string;
  isTooLarge: boolean;
}

export interface PeerBounces {
  /** Oldest first. */
  failed: FailedMessage[];
  /** How often in a row the other side said that the address does not work (5.1.X), and when it last did. */
  wrongAddress: number;
  wrongAddressMs: number | null;
}

export interface BouncesOptions {
  store: Store;
  clock: Clock;
  retry: RetryTimes;
  /** What is sent from a server to others is updates. */
  isServer: boolean;
  tell(event: CycleEvent): void;
}

const PREFIX = 'bounces/';
const documentOf = (peer: PostofficeName) => `${PREFIX}${peer}`;
const NONE: PeerBounces = { failed: [], wrongAddress: 0, wrongAddressMs: null };

export class Bounces {
  readonly #options: BouncesOptions;
  /** As in the store. */
  #peers: Map<PostofficeName, PeerBounces> | null = null;
  /** Peer → when a mail to it was last handed over. */
  readonly #mailedMs = new Map<PostofficeName, number>();
  /** One after another: they come from transports, at any time. */
  #last: Promise<void> = Promise.resolve();

  constructor(options: BouncesOptions) {
    this.#options = options;
  }

  /** Told by a transport while it collects. Returns at once; `settled` says when it is in the store. */
  note(bounce: Bounce): void {
    this.#last = this.#last.then(() => this.#note(bounce)).catch((error) => this.#tellUnwritten(error));
  }

  async settled(): Promise<void> {
    await this.#last;
  }

  /** Whether message files to that peer came back by that transport because its address does not work. */
  async avoids(peer: PostofficeName, transport: string): Promise<boolean> {
    return transport === MAIL && ((await this.#load()).get(peer)?.wrongAddress ?? 0) > 0;
  }

  /** When that transport may be tried again for that peer; null: now. */
  async waitsUntilMs(peer: PostofficeName, transport: string): Promise<number | null> {
    if (transport !== MAIL) return null;
    const { wrongAddress, wrongAddressMs } = (await this.#load()).get(peer) ?? NONE;
    if (wrongAddress === 0) return null;
    const { clock, retry } = this.#options;
    const nowMs = clock.now();
    const waitMs = doubling(retry.deliverAfterMs, wrongAddress - 1, retry.deliverAtMostMs);
    const lastMs = Math.max(wrongAddressMs ?? 0, this.#mailedMs.get(peer) ?? 0);
    // A time in the future was written before the clock went back.
    return lastMs <= nowMs && lastMs + waitMs > nowMs ? lastMs + waitMs : null;
  }

  /** A message file to that peer was handed to that transport. */
  delivered(peer: PostofficeName, transport: string): void {
    if (transport === MAIL && this.#peers?.has(peer) === true) this.#mailedMs.set(peer, this.#options.clock.now());
  }

  /** An authenticated message of that peer came that says something new: the way by mail works. */
  async arrived(peer: PostofficeName, transport: string): Promise<void> {
    await this.#last;
    if (transport !== MAIL || !(await this.#load()).has(peer)) return;
    await this.#save(peer, NONE);
    const text = `${MAIL}: works again with ${peer}; what came back is forgotten`;
    this.#options.tell({ time: 'T3', level: 'info', text, details: { peer } });
  }

  /** That peer has what was sent to it up to that number, by whatever way. Verifications ride in exchanges. */
  async acknowledged(peer: PostofficeName, kind: 'exchange' | 'update', number: number): Promise<void> {
    await this.#last;
    const before = (await this.#load()).get(peer);
    if (before === undefined) return;
    const isNot = (one: FailedMessage) =>
      one.number === null || one.number > number || (one.kind === 'update') !== (kind === 'update');
    const failed = before.failed.filter(isNot);
    if (failed.length < before.failed.length) await this.#save(peer, { ...before, failed });
  }

  /** Upkeep: what is so old that it says nothing any more. */
  async forgetOld(): Promise<void> {
    await this.#last;
    const nowMs = this.#options.clock.now();
    for (const [peer, { failed, wrongAddressMs }] of await this.#load()) {
      const newestMs = Math.max(wrongAddressMs ?? 0, ...failed.map(({ atMs }) => atMs));
      if (nowMs - newestMs > FORGET_AFTER_MS) await this.#save(peer, NONE);
    }
  }

  async #note(bounce: Bounce): Promise<void> {
    const { tell } = this.#options;
    const { peer, isAuthentic, action } = bounce;
    const details = { id: bounce.messageId, to: peer, status: bounce.status };
    if (!isAuthentic || peer === null) {
      const text = `${MAIL}: a mail says of another that it was not delivered, which was not sent from here or cannot be told; it changes nothing: ${bounce.diagnostic}`;
      return tell({ time: 'T3', level: 'warning', text, details });
    }
    if (action === 'delayed') {
      const text = `${MAIL}: a message file to ${peer} is delayed, its mail server goes on trying: ${bounce.diagnostic}`;
      return tell({ time: 'T3', level: 'warning', text, details });
    }
    const before = (await this.#load()).get(peer) ?? NONE;
    const failed = await this.#keep(peer, bounce);
    const text = `${MAIL}: ${failedWords(failed)} to ${peer} came back: ${said(failed)} ${adviceFor(failed, peer)}`;
    // What is known already is no alert.
    const known = before.failed.some(({ status }) => status === failed.status);
    tell({ time: 'T3', level: known ? 'info' : 'error', text, details });
  }

  async #keep(peer: PostofficeName, bounce: Bounce): Promise<FailedMessage> {
    const { store, clock, retry } = this.#options;
    const atMs = clock.now();
    const { failed, after } = await store.transaction(async (tx) => {
      const before = (await tx.getDocument<PeerBounces>(documentOf(peer))) ?? NONE;
      const kept = (await tx.outgoing({ to: peer })).find(({ id }) => id === bounce.messageId);
      const one = this.#failedMessage(bounce, kept?.kind ?? null, kept?.number ?? bounce.number ?? null, atMs);
      const others = before.failed.filter(({ id }) => id === null || id !== one.id);
      const isWrong = one.status?.startsWith('5.1.') === true;
      const next: PeerBounces = {
        failed: [...others, one].slice(-MOST_KEPT),
        wrongAddress: before.wrongAddress + (isWrong ? 1 : 0),
        wrongAddressMs: isWrong ? atMs : before.wrongAddressMs,
      };
      await tx.putDocument(documentOf(peer), next);
      // One of several parts is kept until it is acknowledged: sending finds that it is too large now, and cuts it anew.
      if (one.isTooLarge && kept !== undefined && kept.deliveredMs !== null) {
        const waitMs = doubling(retry.deliverAfterMs, kept.attempts - 1, retry.deliverAtMostMs);
        const again = { deliveredMs: null, nextAttemptMs: atMs + waitMs, lastError: `came back: ${one.diagnostic}` };
        await tx.updateOutgoing(kept.id, again);
      }
      return { failed: one, after: next };
    });
    (await this.#load()).set(peer, after);
    return failed;
  }

  #failedMessage(
    { messageId, recipient, status, diagnostic, isTooLarge }: Bounce,
    kept: Outgoing['kind'] | null,
    number: number | null,
    atMs: number,
  ): FailedMessage {
    const update = this.#options.isServer && number !== null ? 'update' : null;
    const kind = kept ?? (number === 0 ? 'enrolment' : update);
    return { id: messageId, kind, number, atMs, recipient, status, diagnostic, isTooLarge };
  }

  async #save(peer: PostofficeName, bounces: PeerBounces): Promise<void> {
    const isEmpty = bounces.failed.length === 0 && bounces.wrongAddress === 0;
    const name = documentOf(peer);
    await this.#options.store.transaction((tx) => (isEmpty ? tx.removeDocument(name) : tx.putDocument(name, bounces)));
    const peers = await this.#load();
    if (!isEmpty) return void peers.set(peer, bounces);
    peers.delete(peer);
    this.#mailedMs.delete(peer);
  }

  async #load(): Promise<Map<PostofficeName, PeerBounces>> {
    this.#peers ??= await this.#options.store.read(loadBounces);
    return this.#peers;
  }

  #tellUnwritten(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    const code = error instanceof DirpostError ? error.code : undefined;
    const text = `${MAIL}: that a message file came back could not be written down: ${why}`;
    this.#options.tell({ time: 'T3', level: 'error', text, details: { code } });
  }
}

/** Of all peers, also beside a running agent. */
export async function loadBounces(tx: StoreTx): Promise<Map<PostofficeName, PeerBounces>> {
  const found = new Map<PostofficeName, PeerBounces>();
  for (const name of await tx.documentNames(PREFIX)) {
    found.set(name.slice(PREFIX.length), (await tx.getDocument<PeerBounces>(name))!);
  }
  return found;
}

/** "update 12". */
export function failedWords({ kind, number }: FailedMessage): string {
  if (kind === 'enrolment') return 'the enrolment';
  return number === null ? 'a message file' : `${kind ?? 'message'} ${number}`;
}

/** What the other side said: "5.1.1 for oslo@example.org: User unknown." */
export function said({
  status,
  recipient,
  diagnostic,
}: Pick<FailedMessage, 'status' | 'recipient' | 'diagnostic'>): string {
  const who = [status, recipient === null ? null : `for ${recipient}`].filter((word) => word !== null).join(' ');
  const words = diagnostic === '' ? 'without a reason' : diagnostic;
  return `${who === '' ? '' : `${who}: `}${words}${/[.!?]$/.test(words) ? '' : '.'}`;
}

/** What an administrator can do, by the class of the status (RFC 3463 §3). */
export function adviceFor({ status, isTooLarge }: FailedMessage, peer: PostofficeName): string {
  if (isTooLarge) return 'Nothing to do: what goes there is made smaller.';
  const subject = /^\d\.(\d)\./.exec(status ?? '')?.[1];
  switch (subject) {
    case '1':
      return `Is the mail address of ${peer} in the configuration the right one? Mend it, then: dirpost sync`;
    case '2':
      return `The mailbox of ${peer} is full or closed: ask there.`;
    case '3':
    case '4':
      return `The mail server of ${peer} cannot be reached or does not work: ask there, or try later.`;
    case '7':
      return `Its mail server refuses mails from here: ask its administrator to let your address through.`;
    default:
      return 'Nothing is lost: what was in it is sent again until it is acknowledged.';
  }
}
