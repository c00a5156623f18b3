/**
 * T3, first step: what the transports have becomes durable in spool/incoming. A message file for another incarnation of
 * this postoffice is left where it is, for the copy that it is for (rule 13).
 */
import { createHash } from 'node:crypto';
import { DirpostError, generationOf, loadOwn, type OwnRecord, type Transport } from '@dirpost/core';
import type { Postoffice } from './postoffice.ts';

/** Resolves to how many were taken. A transport that fails is reported, and holds up no other. */
export async function receive(postoffice: Postoffice, signal: AbortSignal): Promise<number> {
  const own = await postoffice.store.read(loadOwn);
  const takeFrom = async ({ name }: Transport, bytes: Uint8Array): Promise<boolean> => {
    if (postoffice.probes?.take(bytes) === true) return true;
    if (isForAnother(postoffice, bytes, own)) return false;
    await postoffice.spool.put('incoming', spoolName(bytes, name), bytes);
    return true;
  };
  // Who was invited or let in this very second is heard, too.
  await postoffice.joining?.refresh(true);
  let taken = 0;
  for (const transport of postoffice.inbound) {
    try {
      taken += await transport.collect((bytes) => takeFrom(transport, bytes), signal);
      postoffice.routes.asked(transport.name, true);
      await postoffice.collectFailures?.worked(transport.name);
    } catch (error) {
      if (!(error instanceof DirpostError) || signal.aborted || error.code === 'disk-full') throw error;
      postoffice.routes.asked(transport.name, false);
      await postoffice.collectFailures?.failed(transport.name, error);
      const text = `${transport.name}: nothing could be collected: ${error.message}${error.hint === undefined ? '' : ` ${error.hint}`}`;
      const details = { transport: transport.name, code: error.code };
      postoffice.tell({ time: 'T3', level: 'warning', text, quotesNoEntry: true, details });
    }
  }
  return taken;
}

/**
 * What is for a lower generation is for a life that is over: it is taken, so that it does not lie there for ever. A
 * postoffice that has stopped leaves everything to the copy that lives, which may be of the same incarnation.
 */
function isForAnother({ name, sealer }: Postoffice, bytes: Uint8Array, own: OwnRecord): boolean {
  const envelope = sealer.outside(bytes);
  if (envelope?.to !== name || envelope.forIncarnation === null) return false;
  if (own.stopped !== null) return true;
  if (envelope.forIncarnation === own.incarnation) return false;
  return generationOf(envelope.forIncarnation) >= generationOf(own.incarnation);
}

/** By content, so that an exact repeat replaces itself; nothing of what a sender wrote becomes part of a path. */
function spoolName(bytes: Uint8Array, transport: string): string {
  return `${createHash('sha256').update(bytes).digest('hex').slice(0, 32)}_${transport}.dpm`;
}

/** By which transport a file in the spool came. */
export function arrivedBy(name: string): string | null {
  return /_([a-z]+)\.dpm$/.exec(name)?.[1] ?? null;
}
