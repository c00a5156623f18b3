/**
 * An incarnation is one unbroken life of a postoffice's store: (generation, random), written "3.9f86d081884c7d65".
 * A restored store takes a new one, of the highest generation that its maker has seen, plus one (rule 1).
 */
import { createHash } from 'node:crypto';
export type Incarnation = string;

/** Of what can be read and written (format.md). */
export const MAX_GENERATION = 999_999_999;
/**
 * A server that was restored hears of lives that it has forgotten; of more than these nobody can speak truly. Else one
 * message of one requestor could use up all generations.
 */
export const MAX_LIVES_FORGOTTEN = 1_000;

/** The generation; -1 for none, so that any incarnation is newer than none. */
export function generationOf(incarnation: Incarnation | null): number {
  return incarnation === null ? -1 : Number.parseInt(incarnation, 10);
}

/** `random` gives that many random bytes. */
export function newIncarnation(random: (bytes: number) => Uint8Array, ...seen: (Incarnation | null)[]): Incarnation {
  const generation = seen.reduce((highest, one) => Math.max(highest, generationOf(one)), -1) + 1;
  return `${generation}.${Buffer.from(random(8)).toString('hex')}`;
}

/**
 * The stamp: the server's word for the newest exchange that it processed, its incarnation and payload hash.
 * A submission that replaces names the stamp that it replaces (rule 5). Empty: nothing processed yet.
 */
export type Stamp = string;

export function stampOf(incarnation: Incarnation, payloadHash: Uint8Array): Stamp {
  return `${incarnation}#${Buffer.from(payloadHash.subarray(0, 16)).toString('hex')}`;
}

/** `partHashes`: SHA-256 of the payload of each part of the exchange, in hexadecimal digits, in their order. */
export function stampOfExchange(incarnation: Incarnation, partHashes: string[]): Stamp {
  return stampOf(incarnation, createHash('sha256').update(partHashes.join()).digest());
}

export function incarnationOfStamp(stamp: Stamp): Incarnation | null {
  return stamp === '' ? null : stamp.slice(0, stamp.indexOf('#'));
}
