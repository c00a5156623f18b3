/**
 * Mails that came back (RFC 3464): what the other side said of them is kept for an administrator, and mail is used less.
 *
 *   transport, while it collects ─▶ note ─▶ store: bounces/<peer> ─▶ queue, status, an alert
 *                                             ├─▶ routes.ts: another way is preferred where the address does not work
 *                                             └─▶ send.ts: one mail at a time, each time after twice as long
 *   what went there by mail afterwards is acknowledged ─▶ forgotten     what came back is, after all ─▶ forgotten, that one
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
/** Another transport is preferred so long: the mailbox may have been made meanwhile. */
const AVOIDED_MS = 24 * 3_600_000;
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
  /** Which one that was; another one is not held up. null: not known. */
  address?: string | null;
  /** Numbers of exchanges or updates that went there by mail after the newest of `failed`; newest last. */
  mailed?: number[];
}

export interface BouncesOptions {
  store: Store;
  clock: Clock;
  retry: RetryTimes;
  /** What is sent from a server to others is updates. */
  isServer: boolean;
  /** Where mails to that peer go now; null: not known. */
  addressOf?: (peer: PostofficeName) => string | null;
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

  /** After what is under way, so that nothing that it writes is lost. Throws what the work throws. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async settled(): Promise<void> {
    await this.#last;
  }

  /** Whether message files to that peer came back by that transport because its address does not work. */
  async avoids(peer: PostofficeName, transport: string): Promise<boolean> {
    if (transport !== MAIL) return false;
    const { count, lastMs } = this.#wrongAddress(peer, (await this.#load()).get(peer));
    return count > 0 && Math.abs(this.#options.clock.now() - lastMs) < AVOIDED_MS;
  }

  /** When that transport may be tried again for that peer; null: now. */
  async waitsUntilMs(peer: PostofficeName, transport: string): Promise<number | null> {
    if (transport !== MAIL) return null;
    const { count, lastMs: wrongMs } = this.#wrongAddress(peer, (await this.#load()).get(peer));
    if (count === 0) return null;
    const { clock, retry } = this.#options;
    const nowMs = clock.now();
    const waitMs = doubling(retry.deliverAfterMs, count - 1, retry.deliverAtMostMs);
    const lastMs = Math.max(wrongMs, this.#mailedMs.get(peer) ?? 0);
    // A time in the future was written before the clock went back.
    return lastMs <= nowMs && lastMs + waitMs > nowMs ? lastMs + waitMs : null;
  }

  /** Of the address that is used now. */
  #wrongAddress(peer: PostofficeName, found: PeerBounces = NONE): { count: number; lastMs: number } {
    const isAnother = (found.address ?? null) !== this.#addressOf(peer);
    return isAnother ? { count: 0, lastMs: 0 } : { count: found.wrongAddress, lastMs: found.wrongAddressMs ?? 0 };
  }

  #addressOf(peer: PostofficeName): string | null {
    return this.#options.addressOf?.(peer) ?? null;
  }

  /** A message file to that peer was handed to that transport. `about`: missing where nobody knows what is in it. */
  async delivered(
    peer: PostofficeName,
    transport: string,
    about?: { kind: Outgoing['kind']; number: number },
  ): Promise<void> {
    if (transport !== MAIL || !(await this.#load()).has(peer)) return;
    this.#mailedMs.set(peer, this.#options.clock.now());
    // A verification has the number of what it answers; enrolments have none.
    if (about?.kind !== 'exchange' && about?.kind !== 'update') return;
    const { number } = about;
    await this.#inTurn(async () => {
      const before = (await this.#load()).get(peer);
      if (before === undefined || before.mailed?.includes(number) === true) return;
      await this.#save(peer, { ...before, mailed: [...(before.mailed ?? []), number].slice(-MOST_KEPT) });
    });
  }

  /**
   * That peer has what was sent to it up to that number, by whatever way. Where that number went by mail after the newest
   * that came back, the way by mail works; that a mail of the peer arrives here says nothing of the address there.
   */
  async acknowledged(peer: PostofficeName, kind: 'exchange' | 'update', number: number): Promise<void> {
    await this.#inTurn(() => this.#acknowledged(peer, kind, number));
  }

  async #acknowledged(peer: PostofficeName, kind: 'exchange' | 'update', number: number): Promise<void> {
    const before = (await this.#load()).get(peer);
    if (before === undefined) return;
    if (before.mailed?.includes(number) === true && (kind === 'update') === this.#options.isServer) {
      await this.#save(peer, NONE);
      const text = `${MAIL}: works again with ${peer}; what came back is forgotten`;
      return this.#options.tell({ time: 'T3', level: 'info', text, details: { peer } });
    }
    const isNot = (one: FailedMessage) =>
      one.number === null || one.number > number || (one.kind === 'update') !== (kind === 'update');
    const failed = before.failed.filter(isNot);
    if (failed.length < before.failed.length) await this.#save(peer, { ...before, failed });
  }

  /** Upkeep: what is so old that it says nothing any more. */
  async forgetOld(): Promise<void> {
    await this.#inTurn(() => this.#forgetOld());
  }

  async #forgetOld(): Promise<void> {
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
    // It changes nothing; the transport has told it, and which mail it was.
    if (!isAuthentic || peer === null) return;
    if (action === 'delayed') {
      const text = `${MAIL}: a message file to ${peer} is delayed, its mail server goes on trying: ${bounce.diagnostic}`;
      return tell({ time: 'T3', level: 'warning', text, quotesNoEntry: true, details });
    }
    const before = (await this.#load()).get(peer) ?? NONE;
    const failed = await this.#keep(peer, bounce);
    const text = `${MAIL}: ${failedWords(failed)} to ${peer} came back: ${said(failed)} ${adviceFor(failed, peer)}`;
    // What is known already is no alert.
    const known = before.failed.some(({ status }) => status === failed.status);
    tell({ time: 'T3', level: known ? 'info' : 'error', text, quotesNoEntry: true, details });
  }

  async #keep(peer: PostofficeName, bounce: Bounce): Promise<FailedMessage> {
    const { store, clock, retry } = this.#options;
    const atMs = clock.now();
    const { failed, after } = await store.transaction(async (tx) => {
      const before = (await tx.getDocument<PeerBounces>(documentOf(peer))) ?? NONE;
      const kept = (await tx.outgoing({ to: peer })).find(({ id }) => id === bounce.messageId);
      const one = this.#failedMessage(bounce, kept?.kind ?? null, kept?.number ?? bounce.number ?? null, atMs);
      const others = before.failed.filter(({ id }) => id === null || id !== one.id);
      const next: PeerBounces = {
        failed: [...others, one].slice(-MOST_KEPT),
        ...(one.status?.startsWith('5.1.') === true ? this.#oneMore(peer, before, one) : wrongAddressIn(before)),
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

  #oneMore(peer: PostofficeName, before: PeerBounces, { recipient, atMs }: FailedMessage) {
    const now = this.#addressOf(peer);
    // Sent before the address was mended.
    if (before.wrongAddress > 0 && before.address !== now && recipient === before.address)
      return wrongAddressIn(before);
    const { count } = this.#wrongAddress(peer, before);
    return { wrongAddress: count + 1, wrongAddressMs: atMs, address: now };
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

function wrongAddressIn({ wrongAddress, wrongAddressMs, address = null }: PeerBounces) {
  return { wrongAddress, wrongAddressMs, address };
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
      return `Is the mail address of ${peer} in the configuration the right one? Mend it: transports.mail.peers, or at the server: dirpost requestor mail`;
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
