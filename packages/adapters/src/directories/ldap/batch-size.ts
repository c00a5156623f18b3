/**
 * How many changes a batch of a write has (write.ts): so many as the server carries out in about 200 ms, because a transaction
 * holds its only writer, and others wait meanwhile.
 */

const AIM_MS = 200;
export const FIRST_BATCH = 16;
const SMALLEST_BATCH = 8;
const LARGEST_BATCH = 4_000;
/** Of what an earlier write has learnt: the server may have become slow since. */
const LARGEST_FIRST_BATCH = 1_000;
/** By so much batches grow at most, from one to the next; they shrink to the half. */
const GROWTH = 4;

/** `learnt`: as the last write found that the server takes them; absent before the first. */
export function firstBatchSize(learnt: number | undefined): number {
  return Math.min(learnt ?? FIRST_BATCH, LARGEST_FIRST_BATCH);
}

/**
 * After a batch of so many changes that took so long. `size`: what it might have had. A few changes take as long as their
 * round trips, which says nothing about many.
 */
export function nextBatchSize(size: number, changes: number, tookMs: number): number {
  if (changes < Math.min(size, FIRST_BATCH)) return size;
  const fitting = Math.round((changes * AIM_MS) / Math.max(1, tookMs));
  const near = clamp(fitting, Math.ceil(size / 2), size * GROWTH);
  return clamp(near, SMALLEST_BATCH, LARGEST_BATCH);
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(most, value));
}
