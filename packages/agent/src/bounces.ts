/**
 * Mails that came back (RFC 3464), or that the own mail server refused for good (RFC 5321 §4.2.1): what was said of them is
 * kept for an administrator, and mail is used less.
 *
 *   transport, while it collects ─▶ note ─┬─▶ store: bounces/<peer> ─▶ queue, status, an alert
 *   transport, while it delivers ─▶ refused ┘   ├─▶ routes.ts: another way is preferred where mail does not pass
 *                                               └─▶ send.ts: one mail at a time, each time after twice as long
 *   what went there by mail afterwards is acknowledged ─▶ forgotten     what came back is, after all ─▶ forgotten, that one
 *
 * A bounce is never an acknowledgement: no cursor moves, and nothing leaves the outbox.
 */
import type { Bounce, SmtpContext } from '@dirpost/adapters';
import {
  type Clock,
  DirpostError,
  type MessageFile,
  type Outgoing,
  type OutgoingSummary,
  type PostofficeName,
  type Store,
  type StoreTx,
} from '@dirpost/core';
import { adviceFor, type FailedMessage, failedWords, said } from './bounce-words.ts';
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

export interface PeerBounces {
  /** Oldest first. */
  failed: FailedMessage[];
  /** How many in a row came back for a reason that smaller parts do not mend, and when the last one did. */
  inARow: number;
  inARowMs: number | null;
  /** Address that they were for; another one is not held up. null: not known. */
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
const NONE: PeerBounces = { failed: [], inARow: 0, inARowMs: null };

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

  /** Told by a transport while it collects. Resolves when it is in the store, or was told not to be. */
  note(bounce: Bounce): Promise<void> {
    this.#last = this.#last.then(() => this.#note(bounce)).catch((error) => this.#tellUnwritten(error));
    return this.#last;
  }

  /**
   * A transport did not take a message file. true: its mail server refused it for good, and it is noted as one that came
   * back; not so where the login was refused, which says nothing of the peer, or where it is cut smaller now.
   */
  async refused({ id, to, about }: MessageFile, transport: string, error: DirpostError): Promise<boolean> {
    const refusal = transport === MAIL ? refusalIn(error) : null;
    if (refusal === null) return false;
    const { kind, number } = about ?? { kind: null, number: null };
    await this.#inTurn(() => this.#noteFailed(to, { id, kind, number, atMs: this.#options.clock.now(), ...refusal }));
    return true;
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

  /** Whether message files to that peer came back by that transport. */
  async avoids(peer: PostofficeName, transport: string): Promise<boolean> {
    if (transport !== MAIL) return false;
    const { count, lastMs } = this.#inARow(peer, (await this.#load()).get(peer));
    return count > 0 && Math.abs(this.#options.clock.now() - lastMs) < AVOIDED_MS;
  }

  /** When that transport may be tried again for that peer; null: now. */
  async waitsUntilMs(peer: PostofficeName, transport: string): Promise<number | null> {
    if (transport !== MAIL) return null;
    const { count, lastMs: failedMs } = this.#inARow(peer, (await this.#load()).get(peer));
    if (count === 0) return null;
    const { clock, retry } = this.#options;
    const nowMs = clock.now();
    const waitMs = doubling(retry.deliverAfterMs, count - 1, retry.deliverAtMostMs);
    const lastMs = Math.max(failedMs, this.#mailedMs.get(peer) ?? 0);
    // A time in the future was written before the clock went back.
    return lastMs <= nowMs && lastMs + waitMs > nowMs ? lastMs + waitMs : null;
  }

  /** Of the address that is used now. */
  #inARow(peer: PostofficeName, found: PeerBounces = NONE): { count: number; lastMs: number } {
    const isAnother = (found.address ?? null) !== this.#addressOf(peer);
    return isAnother ? { count: 0, lastMs: 0 } : { count: found.inARow, lastMs: found.inARowMs ?? 0 };
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

  /** Of one who is no peer any more. */
  async forget(peer: PostofficeName): Promise<void> {
    await this.#inTurn(() => this.#save(peer, NONE));
  }

  /** Upkeep: what is so old that it says nothing any more. */
  async forgetOld(): Promise<void> {
    await this.#inTurn(() => this.#forgetOld());
  }

  async #forgetOld(): Promise<void> {
    const nowMs = this.#options.clock.now();
    for (const [peer, { failed, inARowMs }] of await this.#load()) {
      const newestMs = Math.max(inARowMs ?? 0, ...failed.map(({ atMs }) => atMs));
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
    const kept = await this.#outgoing(peer, bounce.messageId);
    const one = this.#failedMessage(bounce, kept?.kind ?? null, kept?.number ?? bounce.number ?? null);
    await this.#noteFailed(peer, one, kept);
  }

  /** `kept`: it is still in the outbox. */
  async #noteFailed(peer: PostofficeName, one: FailedMessage, kept?: OutgoingSummary): Promise<void> {
    const before = (await this.#load()).get(peer) ?? NONE;
    await this.#keep(peer, one, kept);
    const { id, status, diagnostic, isRefused } = one;
    const happened = isRefused === true ? 'was refused' : 'came back';
    const text = `${MAIL}: ${failedWords(one)} to ${peer} ${happened}: ${said(one)} ${adviceFor(one, peer)}`;
    // What is known already is no alert.
    const isKnown = before.failed.some(
      (other) =>
        other.status === status &&
        (status !== null || other.diagnostic === diagnostic) &&
        isMendedBySize(other) === isMendedBySize(one),
    );
    const level = isKnown ? 'info' : 'error';
    const time = isRefused === true ? 'T1' : 'T3';
    this.#options.tell({ time, level, text, quotesNoEntry: true, details: { id, to: peer, status } });
  }

  async #outgoing(peer: PostofficeName, id: string | null): Promise<OutgoingSummary | undefined> {
    return (await this.#options.store.read((tx) => tx.outgoing({ to: peer }))).find((message) => message.id === id);
  }

  async #keep(peer: PostofficeName, one: FailedMessage, kept: OutgoingSummary | undefined): Promise<void> {
    const { store, retry } = this.#options;
    const after = await store.transaction(async (tx) => {
      const before = (await tx.getDocument<PeerBounces>(documentOf(peer))) ?? NONE;
      const others = before.failed.filter(({ id }) => id === null || id !== one.id);
      const next: PeerBounces = {
        failed: [...others, one].slice(-MOST_KEPT),
        ...(isMendedBySize(one) ? rowOf(before) : this.#oneMore(peer, before, one)),
      };
      await tx.putDocument(documentOf(peer), next);
      // One of several parts is kept until it is acknowledged: sending finds that it is too large now, and cuts it anew.
      if (isMendedBySize(one) && kept !== undefined && kept.deliveredMs !== null) {
        const waitMs = doubling(retry.deliverAfterMs, kept.attempts - 1, retry.deliverAtMostMs);
        const again = {
          deliveredMs: null,
          nextAttemptMs: one.atMs + waitMs,
          lastError: `came back: ${one.diagnostic}`,
        };
        await tx.updateOutgoing(kept.id, again);
      }
      return next;
    });
    (await this.#load()).set(peer, after);
  }

  #oneMore(peer: PostofficeName, before: PeerBounces, { recipient, atMs }: FailedMessage) {
    const now = this.#addressOf(peer);
    // Sent before the address was mended.
    if (before.inARow > 0 && before.address !== now && recipient === before.address) return rowOf(before);
    const { count } = this.#inARow(peer, before);
    return { inARow: count + 1, inARowMs: atMs, address: now };
  }

  #failedMessage(bounce: Bounce, kept: Outgoing['kind'] | null, number: number | null): FailedMessage {
    const { messageId: id, recipient, status, diagnostic, isTooLarge, neededBytes = null } = bounce;
    const update = this.#options.isServer && number !== null ? 'update' : null;
    const kind = kept ?? (number === 0 ? 'enrolment' : update);
    const atMs = this.#options.clock.now();
    const needs = neededBytes === null ? {} : { neededBytes };
    return { id, kind, number, atMs, recipient, status, diagnostic, isTooLarge, ...needs };
  }

  async #save(peer: PostofficeName, bounces: PeerBounces): Promise<void> {
    const isEmpty = bounces.failed.length === 0 && bounces.inARow === 0;
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

function rowOf({ inARow, inARowMs, address = null }: PeerBounces) {
  return { inARow, inARowMs, address };
}

/** Parts to that peer are smaller now. */
function isMendedBySize({ isTooLarge, neededBytes }: FailedMessage): boolean {
  return isTooLarge && neededBytes === undefined;
}

/** Of an error of the mail transport: what its mail server said of that message; null: it was not refused for good. */
function refusalIn({
  message,
  hint,
  retry,
  context,
}: DirpostError): Omit<FailedMessage, 'id' | 'kind' | 'number' | 'atMs'> | null {
  const { reply, recipient = null, status = null, said: diagnostic = message } = context as Partial<SmtpContext>;
  const { isTooLarge = false, isLoginRefused = false, neededBytes } = context as Partial<SmtpContext>;
  if (retry === 'later' || reply == null || reply < 500 || recipient === null || isLoginRefused) return null;
  if (isTooLarge && neededBytes === undefined) return null;
  const needs = neededBytes === undefined ? {} : { neededBytes };
  return { recipient, status, diagnostic, isTooLarge, isRefused: true, ...needs, ...(hint !== undefined && { hint }) };
}

/** Of all peers, also beside a running agent. */
export async function loadBounces(tx: StoreTx): Promise<Map<PostofficeName, PeerBounces>> {
  const found = new Map<PostofficeName, PeerBounces>();
  for (const name of await tx.documentNames(PREFIX)) {
    found.set(name.slice(PREFIX.length), (await tx.getDocument<PeerBounces>(name))!);
  }
  return found;
}
