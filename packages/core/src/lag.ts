/**
 * How far requestors are behind the server (for its administrator): what of its list each has not verified, and since
 * when. Rows of the store carry seqs and no times, so the server keeps samples of (seq, time), written by the transaction
 * that processes an exchange (T2).
 */
import { type ListRecord, listDocument, type RequestorRecord } from './records.ts';
import type { ListRow, StoreTx } from './seams/store.ts';

/** Up to `seq` was numbered within a minute of `ms`, and nothing of it before the sample before. */
export interface SeqTime {
  seq: number;
  ms: number;
}

/** Apart from the others, so that a busy minute writes some octets and not all samples each time. */
const NEWEST = 'server/time';
const EARLIER = 'server/times';
const SAMPLE_MS = 60_000;
const SAMPLES_KEPT = 1_000;

/** At most one sample a minute; nothing is written where nothing was numbered. */
export async function noteSeqTime(tx: StoreTx, seq: number, nowMs: number): Promise<void> {
  const newest = await tx.getDocument<SeqTime>(NEWEST);
  if (newest?.seq === seq) return;
  const sameMinute = newest !== undefined && nowMs >= newest.ms && nowMs - newest.ms < SAMPLE_MS;
  if (newest !== undefined && !sameMinute) {
    const earlier = (await tx.getDocument<SeqTime[]>(EARLIER)) ?? [];
    await tx.putDocument(EARLIER, thinned([...earlier, newest], nowMs));
  }
  await tx.putDocument(NEWEST, { seq, ms: sameMinute ? newest.ms : nowMs } satisfies SeqTime);
}

/** Drops what a clock that was ahead wrote; then samples whose loss makes a time wrong by the least part of its age. */
function thinned(samples: SeqTime[], nowMs: number): SeqTime[] {
  const kept = samples.filter(({ ms }) => ms <= nowMs);
  while (kept.length > SAMPLES_KEPT) {
    let least = 1;
    let leastError = Infinity;
    for (let i = 1; i < kept.length - 1; i++) {
      const error = (kept[i + 1]!.ms - kept[i - 1]!.ms) / (nowMs - kept[i]!.ms + SAMPLE_MS);
      if (error < leastError) [least, leastError] = [i, error];
    }
    kept.splice(least, 1);
  }
  return kept;
}

/** Ascending; empty before the first exchange. */
export async function seqTimes(tx: StoreTx): Promise<SeqTime[]> {
  const newest = await tx.getDocument<SeqTime>(NEWEST);
  if (newest === undefined) return [];
  return [...((await tx.getDocument<SeqTime[]>(EARLIER)) ?? []), newest];
}

/** When this seq was given: no more than a minute later than that; null where no sample reaches it. */
export function timeOfSeq(times: SeqTime[], seq: number): number | null {
  return times.find((sample) => sample.seq >= seq)?.ms ?? null;
}

export interface Lag {
  /** Of the list that it follows now; null when it has verified nothing of it. */
  verifiedSeq: number | null;
  /** Entries of its list, not its own, that changed, came or left and that it has not verified. */
  lacking: number;
  /** `lacking` is where counting ended; there are more. */
  more: boolean;
  /** When the oldest of them was numbered; null when it lacks nothing, or no sample says. */
  sinceMs: number | null;
}

export interface LagLimits {
  /** Counted per requestor; above it only `more` is told. */
  maxCounted: number;
  /** Rows read at once. */
  batch: number;
}

const defaultLagLimits: LagLimits = { maxCounted: 10_000, batch: 2_000 };

/**
 * Of all requestors that follow one list, by name: the list is read once for all of them, backwards from the newest seq,
 * and no further than the slowest or twice `maxCounted` rows. `serverSeq` is the newest.
 */
export async function lagsOfList(
  tx: StoreTx,
  list: string,
  followers: RequestorRecord[],
  serverSeq: number,
  times: SeqTime[],
  limits: LagLimits = defaultLagLimits,
): Promise<Map<string, Lag>> {
  const record = await tx.getDocument<ListRecord>(listDocument(list));
  const lags = new Map<string, Lag>();
  const standing = followers.map((one) => ({
    one,
    seq: one.verified !== null && one.verified.list === record?.identity ? one.verified.seq : null,
  }));
  const lowest = Math.min(serverSeq, ...standing.map(({ seq }) => seq ?? serverSeq));
  const newest = await newestRows(tx, list, lowest, serverSeq, limits);
  for (const { one, seq } of standing) {
    if (record === undefined) lags.set(one.name, { verifiedSeq: null, lacking: 0, more: false, sinceMs: null });
    else if (seq === null) lags.set(one.name, await lagOfNewcomer(tx, record, one, limits));
    else lags.set(one.name, lagOf(one, seq, newest, times, limits));
  }
  return lags;
}

type ListedSeq = Pick<ListRow, 'seq' | 'owner' | 'left' | 'first'>;

interface NewestRows {
  /** Ascending by seq. */
  rows: ListedSeq[];
  /** All rows of the list above this seq are among them. */
  above: number;
}

async function newestRows(
  tx: StoreTx,
  list: string,
  lowest: number,
  serverSeq: number,
  { maxCounted, batch }: LagLimits,
): Promise<NewestRows> {
  const rows: ListedSeq[] = [];
  let above = serverSeq;
  for (let span = batch; above > lowest && rows.length < 2 * maxCounted; ) {
    const from = Math.max(lowest, above - span);
    const found = await rowsBetween(tx, list, from, above, batch);
    rows.unshift(...found);
    above = from;
    // Seqs are unique, so few rows in many seqs: the others are of other lists, or were overtaken.
    span = found.length < batch / 2 ? Math.min(2 * span, 16 * batch) : batch;
  }
  return { rows, above };
}

async function rowsBetween(tx: StoreTx, list: string, from: number, upTo: number, batch: number): Promise<ListedSeq[]> {
  const found: ListedSeq[] = [];
  for (let after = from; after < upTo; ) {
    const listed = await tx.listSince(list, after, '', batch);
    for (const { row } of listed) {
      const { seq, owner, left, first } = row;
      if (seq <= upTo) found.push({ seq, owner, left, first });
    }
    if (listed.length < batch) break;
    after = listed.at(-1)!.row.seq;
  }
  return found;
}

function lagOf(
  { name, sentSeq }: RequestorRecord,
  seq: number,
  { rows, above }: NewestRows,
  times: SeqTime[],
  { maxCounted }: LagLimits,
): Lag {
  let lacking = 0;
  let oldest: number | null = null;
  for (let i = rows.length - 1; i >= 0; i--) {
    const row = rows[i]!;
    if (row.seq <= seq) break;
    // As in answer.ts: who came and left since he was sent anything was never there for him.
    if (row.owner === name || (row.left && row.first > Math.max(seq, sentSeq))) continue;
    lacking++;
    oldest = row.seq;
  }
  const more = lacking > maxCounted || seq < above;
  const since = more ? seq + 1 : oldest;
  return {
    verifiedSeq: seq,
    lacking: Math.min(lacking, maxCounted),
    more,
    sinceMs: since === null ? null : timeOfSeq(times, since),
  };
}

/** Who has verified nothing of the list lacks all that is on it now. */
async function lagOfNewcomer(
  tx: StoreTx,
  record: ListRecord,
  { name, verified, firstHeardMs }: RequestorRecord,
  { maxCounted }: LagLimits,
): Promise<Lag> {
  const entries = record.count - ((await tx.sum(record.name, name))?.count ?? 0);
  // Nothing says when he was moved here from another list.
  const sinceMs = entries === 0 || verified !== null ? null : firstHeardMs;
  return { verifiedSeq: null, lacking: Math.min(entries, maxCounted), more: entries > maxCounted, sinceMs };
}
