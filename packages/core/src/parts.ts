/**
 * Cutting a large update or submission into parts (T1, T2; rule 11). Every part names how many there are, which is known
 * only when the last is encoded: so the parts are put into the store one by one, with memory for one, and get their
 * final heads at the end.
 */
import type { Change, MessageHead, PostofficeName } from './change.ts';
import { DirpostError, isDirpostError } from './errors.ts';
import { heardLater } from './heard-later.ts';
import type { Incarnation } from './incarnation.ts';
import type { Limits } from './limits.ts';
import type { Clock, Random } from './seams/clock.ts';
import type { BesideEncoder, Codec } from './seams/codec.ts';
import type { Outgoing, OutgoingSummary, StoreTx } from './seams/store.ts';
import type { SharedDelta } from './shared-delta.ts';

/** Parts are a quarter of what a receiver takes: memory on both sides goes with their size, the wire gains little by more. */
const PART_FILL = 0.25;
/** A part may be larger by as much where several owners are in it. */
const MOST_OVER = 1.5;
/** Parts; see encodeAhead. */
const ENCODED_HERE = 4;

/** What composing needs besides the store. */
export interface Workshop {
  codec: Codec;
  clock: Clock;
  random: Random;
  limits: Limits;
  /** Largest payload that any transport to this peer takes, bytes; sealing adds less than 1 kB and 0.1 %. */
  maxPayloadBytes(to: PostofficeName): number;
}

export interface Totals {
  parts: number;
  total: number;
  removals: number;
}

/** `introducing`: owners of which this part has whole entries; only their anchors need to be named. */
export type HeadOf = (part: number, totals: Totals, introducing: ReadonlySet<PostofficeName>) => MessageHead;

export interface Envelope {
  to: PostofficeName;
  forIncarnation: Incarnation | null;
  incarnation: Incarnation;
  number: number;
  kind: Outgoing['kind'];
}

/**
 * Encodes the changes in order into as few parts as fit and puts them to be sent. `headOf` is asked twice for
 * messages of several parts; `onlyPart` is given the payload of a message of one. Resolves to the totals.
 */
export async function composeParts(
  tx: StoreTx,
  shop: Workshop,
  envelope: Envelope,
  batches: AsyncIterable<Change[]> | Iterable<Change[]>,
  headOf: HeadOf,
  onlyPart: (payload: Uint8Array) => void = () => {},
): Promise<Totals> {
  const totals: Totals = { parts: 0, total: 0, removals: 0 };
  let last: Uint8Array | undefined;
  const ids: string[] = [];
  const introducing: Set<PostofficeName>[] = [];
  const headBefore = (part: number, changes: Change[], owners: ReadonlySet<PostofficeName>) =>
    headOf(part, { parts: part + 1, total: changes.length, removals: removalsIn(changes) }, owners);
  const put = async (changes: Change[], ahead?: Ahead): Promise<void> => {
    const owners = introducedBy(changes);
    const head = headBefore(ids.length, changes, owners);
    const encode = async () => ahead?.payload(ids.length, head) ?? shop.codec.encode(head, changes);
    const payload = await encodedWithin(shop, envelope.to, changes, encode);
    if (payload === null) {
      const half = changes.length >> 1;
      await put(changes.slice(0, half));
      return put(changes.slice(half));
    }
    if (ids.length >= shop.limits.maxParts) {
      throw new DirpostError('limit-exceeded', `A message to ${envelope.to} would need more than ${ids.length} parts.`);
    }
    ids.push(await putOutgoing(tx, shop, envelope, payload, ids.length, ids.length + 1));
    last = payload;
    introducing.push(owners);
    totals.total += changes.length;
    totals.removals += removalsIn(changes);
  };
  const headFor = (part: number, changes: Change[]) => headBefore(part, changes, introducedBy(changes));
  const cut = cutParts(batches, shop.limits);
  for await (const { changes, ahead } of encodeAhead(shop.codec, cut, headFor)) await put(changes, ahead);
  if (ids.length === 0) await put([]);
  totals.parts = ids.length;
  if (ids.length === 1) onlyPart(last!);
  else await giveFinalHeads(tx, shop, envelope, ids, (part) => headOf(part, totals, introducing[part]!));
  return totals;
}

/** null: it has to be cut, because the ways take less, or there are more attributes than a part may have. */
async function encodedWithin(
  { maxPayloadBytes }: Workshop,
  to: PostofficeName,
  changes: Change[],
  encode: () => Promise<Uint8Array>,
): Promise<Uint8Array | null> {
  if (changes.length < 2) return encode();
  try {
    const payload = await encode();
    return payload.length > maxPayloadBytes(to) ? null : payload;
  } catch (error) {
    if (!isDirpostError(error, 'limit-exceeded')) throw error;
    return null;
  }
}

interface Ahead {
  /** Under the head of that part. Throws as Codec.encode. */
  payload(part: number, head: MessageHead): Promise<Uint8Array>;
}

/**
 * In their order. Several parts are encoded at once, where the codec can: by its means, and here while all of those are in use.
 * The first parts are encoded here: until a thread is as quick as the main one, small messages are through.
 */
async function* encodeAhead(
  codec: Codec,
  parts: AsyncIterable<Change[]>,
  headFor: (part: number, changes: Change[]) => MessageHead,
): AsyncGenerator<{ changes: Change[]; ahead?: Ahead }> {
  const { beside } = codec;
  const begun: { changes: Change[]; ahead: Ahead }[] = [];
  let count = 0;
  let underWay = 0;
  const encodeBeside = (encoder: BesideEncoder, head: MessageHead, changes: Change[]) => {
    underWay++;
    return heardLater(encoder.encode(head, changes).finally(() => underWay--));
  };
  const begin = (encoder: BesideEncoder, changes: Change[]) => {
    const assumed = count++;
    const head = headFor(assumed, changes);
    // One waits, so that no thread has to wait for the next.
    const isBeside = underWay <= encoder.parts;
    const encoded = isBeside ? encodeBeside(encoder, head, changes) : encodeHere(codec, head, changes);
    // A part before it may have been too large, and have become two.
    const payload = async (part: number, now: MessageHead) =>
      part === assumed ? encoded : codec.replaceHead(await encoded, now);
    begun.push({ changes, ahead: { payload } });
  };
  for await (const changes of parts) {
    if (beside === undefined || count < ENCODED_HERE) {
      count++;
      yield { changes };
      continue;
    }
    begin(beside, changes);
    if (begun.length > beside.parts + 1) yield begun.shift()!;
  }
  yield* begun;
}

function encodeHere(codec: Codec, head: MessageHead, changes: Change[]): Promise<Uint8Array> {
  const encode = async () => codec.encode(head, changes);
  return heardLater(encode());
}

/** As composeParts, for changes that others get, too: encoded once where they fit into one part. `anchors`: all that heads may name. */
export async function composeShared(
  tx: StoreTx,
  shop: Workshop,
  envelope: Envelope,
  shared: SharedDelta,
  anchors: string,
  headOf: HeadOf,
): Promise<Totals> {
  const { changes, encoded } = shared;
  if (encoded?.anchors !== anchors) {
    return composeParts(tx, shop, envelope, [changes], headOf, (payload) => {
      shared.encoded = { payload, anchors };
    });
  }
  const totals = { parts: 1, total: changes.length, removals: removalsIn(changes) };
  const payload = shop.codec.replaceHead(encoded.payload, headOf(0, totals, introducedBy(changes)));
  if (payload.length > shop.maxPayloadBytes(envelope.to)) return composeParts(tx, shop, envelope, [changes], headOf);
  await putOutgoing(tx, shop, envelope, payload, 0, 1);
  return totals;
}

function introducedBy(changes: Change[]): Set<PostofficeName> {
  return new Set(changes.filter((change) => change.state === 'whole').map((change) => change.owner));
}

async function giveFinalHeads(
  tx: StoreTx,
  shop: Workshop,
  envelope: Envelope,
  ids: string[],
  headOf: (part: number) => MessageHead,
): Promise<void> {
  for (const [part, id] of ids.entries()) {
    const payload = shop.codec.replaceHead((await tx.outgoingPayload(id))!, headOf(part));
    await putOutgoing(tx, shop, envelope, payload, part, ids.length, id);
  }
}

async function putOutgoing(
  tx: StoreTx,
  shop: Workshop,
  envelope: Envelope,
  payload: Uint8Array,
  part: number,
  parts: number,
  id = Buffer.from(shop.random(16)).toString('hex'),
): Promise<string> {
  const createdMs = shop.clock.now();
  await tx.putOutgoing({
    ...envelope,
    id,
    part,
    parts,
    payload,
    createdMs,
    deliveredMs: null,
    attempts: 0,
    nextAttemptMs: createdMs,
    lastError: null,
  });
  return id;
}

/**
 * Gathers batches into parts by decoded size and number of changes. The entries of one owner are cut where he himself cut them,
 * whatever is before them: what came from him so goes on as he encoded it.
 */
export async function* cutParts(
  batches: AsyncIterable<Change[]> | Iterable<Change[]>,
  limits: Limits,
): AsyncGenerator<Change[]> {
  const wanted = limits.maxPartBytes * PART_FILL;
  let part: Change[] = [];
  let bytes = 0;
  /** Of one owner, since his first change or the last cut among his. */
  let ownBytes = 0;
  let owner: PostofficeName | undefined;
  for await (const batch of batches) {
    for (const change of batch) {
      const { length } = change.bytes;
      if (change.owner !== owner) ownBytes = 0;
      owner = change.owner;
      const endsOwn = ownBytes > 0 && ownBytes + length > wanted;
      const isFull = bytes + length > wanted * MOST_OVER || part.length >= limits.maxPartChanges;
      if (part.length > 0 && (endsOwn || isFull)) {
        yield part;
        part = [];
        bytes = 0;
      }
      if (endsOwn) ownBytes = 0;
      part.push(change);
      bytes += length;
      ownBytes += length;
    }
  }
  if (part.length > 0) yield part;
}

/** Whether a message is larger than the ways to its receiver take now, and smaller parts of it would not be. */
export async function hasToBeRecut(
  tx: StoreTx,
  shop: Pick<Workshop, 'codec' | 'maxPayloadBytes'>,
  message: OutgoingSummary,
): Promise<boolean> {
  if (message.payloadBytes <= shop.maxPayloadBytes(message.to)) return false;
  const payload = await tx.outgoingPayload(message.id);
  return payload !== undefined && shop.codec.changes(payload).length > 1;
}

function removalsIn(changes: Change[]): number {
  return changes.reduce((count, change) => count + (change.state === 'removed' ? 1 : 0), 0);
}
