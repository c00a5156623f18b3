/** How changes are found: the best way that the server offers and that this account may use, with the reason for `dirpost check`. */
import type { DeltaMethod } from './options.ts';
import type { Method } from './read-delta.ts';
import type { ReadContext } from './read-whole.ts';
import { SYNC_REQUEST } from './root-dse.ts';

export interface Chosen {
  method: Method;
  why: string;
}

export async function chooseMethod({ dse }: ReadContext, wanted: DeltaMethod): Promise<Chosen> {
  if (wanted !== 'auto') return { method: wanted, why: 'it is configured' };
  if (dse.controls.has(SYNC_REQUEST))
    return { method: 'syncrepl', why: `${dse.vendor} offers content synchronization` };
  return { method: 'whole', why: 'the server offers nothing better: each time everything is read and compared' };
}
