/**
 * Messages of senders that are unknown, suspended, or prove nothing: never answered, but counted by the name that they bear.
 * One document in the store, bounded, because anybody can write any name on a message file.
 */
import { DirpostError, isDirpostError, type StoreTx } from '@dirpost/core';
import type { OpenedMessage } from '@dirpost/message';
import type { Postoffice } from '../postoffice.ts';
import type { Joining } from './joining.ts';

export interface RefusedSender {
  /** As it says itself; whoever it is. */
  name: string;
  count: number;
  lastMs: number;
  why: string;
}

const REFUSED = 'refused-senders';
const MAX_NAMES = 1_000;

/** The latest first. */
export async function refusedSenders(tx: StoreTx): Promise<RefusedSender[]> {
  return (await tx.getDocument<RefusedSender[]>(REFUSED)) ?? [];
}

export async function countRefused(tx: StoreTx, name: string, why: string, nowMs: number, times = 1): Promise<void> {
  const senders = await refusedSenders(tx);
  const before = senders.find((sender) => sender.name === name)?.count ?? 0;
  const others = senders.filter((sender) => sender.name !== name);
  await tx.putDocument(REFUSED, [{ name, count: before + times, lastMs: nowMs, why }, ...others].slice(0, MAX_NAMES));
}

/** Forgets a name: it belongs to somebody now. */
export async function forgetRefused(tx: StoreTx, name: string): Promise<void> {
  const senders = await refusedSenders(tx);
  const others = senders.filter((sender) => sender.name !== name);
  if (others.length < senders.length) await tx.putDocument(REFUSED, others);
}

/** Opens a message file that arrived; counts the sender where it is nobody whom this postoffice believes. Throws as opening does. */
export async function openArrived(
  postoffice: Postoffice & { joining?: Joining },
  bytes: Uint8Array,
): Promise<OpenedMessage> {
  const { joining, sealer, store, clock } = postoffice;
  await joining?.refresh();
  try {
    return await sealer.open(bytes);
  } catch (error) {
    if (!isDirpostError(error, 'message-sender') || joining === undefined) throw error;
    // Somebody may have been invited, or resumed, this very second.
    await joining.refresh(true);
    try {
      return await sealer.open(bytes);
    } catch (again) {
      const from = sealer.outside(bytes)?.from;
      if (from !== undefined && isDirpostError(again, 'message-sender')) {
        await store.transaction((tx) => countRefused(tx, from, again.message, clock.now()));
      }
      throw again;
    }
  }
}

/** Not opened further, never answered: DirpostError `message-sender`, after it was counted. */
export async function refuseSender(postoffice: Postoffice, from: string, why: string): Promise<never> {
  await postoffice.store.transaction((tx) => countRefused(tx, from, why, postoffice.clock.now()));
  throw new DirpostError('message-sender', why, { context: { from } });
}
