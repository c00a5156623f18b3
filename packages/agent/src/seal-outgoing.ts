/**
 * T1: the message file of what waits in the outbox. One that could not be delivered lies sealed in spool/outgoing: so a repeat
 * sends the same octets, and an administrator can carry the file himself. It is sealed anew where other keys sign by now, or the
 * receiver has turned out to need statements of keys (announcing.ts) that it does not have.
 */
import { isDirpostError, type OutgoingSummary } from '@dirpost/core';
import { headerOf, keyId, publicSigningKey } from '@dirpost/message';
import type { Postoffice } from './postoffice.ts';

export function fileName(id: string): string {
  return `${id}.dpm`;
}

/** Throws DirpostError as sealing does, and as the spool is read. */
export async function sealOutgoing(
  postoffice: Postoffice,
  message: OutgoingSummary,
  payload: Uint8Array,
): Promise<Uint8Array> {
  const { id, to, forIncarnation, createdMs } = message;
  const kept = message.attempts > 0 ? await keptOf(postoffice, id) : null;
  if (kept !== null && provesEnough(postoffice, to, kept)) return kept;
  return postoffice.sealer.seal({ id, from: postoffice.name, to, forIncarnation, createdMs }, payload);
}

async function keptOf({ spool }: Postoffice, id: string): Promise<Uint8Array | null> {
  const name = fileName(id);
  const queued = await spool.list('outgoing');
  return queued.some((file) => file.name === name) ? spool.read('outgoing', name) : null;
}

function provesEnough({ joining, limits }: Postoffice, to: string, file: Uint8Array): boolean {
  if (joining === undefined) return true;
  const needed = joining.statementsFor(to);
  try {
    const { signingKeyId, statements } = headerOf(file, limits);
    const isSame = statements.length === needed.length && needed.every((one, i) => sameOctets(one, statements[i]!));
    // More than are needed do no harm.
    const isProven = needed.length === 0 || isSame;
    return isProven && sameOctets(signingKeyId, keyId(publicSigningKey(joining.keys.signing)));
  } catch (error) {
    // Damaged on this disk.
    if (!isDirpostError(error)) throw error;
    return false;
  }
}

function sameOctets(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
