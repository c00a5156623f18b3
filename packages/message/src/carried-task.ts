/** Changes on their way to a thread (encoding-threads.ts): all octets of them in a few arrays, which are transferred. */
import type { AnchorHint, Change } from '@dirpost/core';
import { ID_BYTES, states } from './columns/table.ts';
import type { ColumnTask } from './kept-columns.ts';

export interface CarriedTask {
  make: ColumnTask['make'];
  columns: Uint8Array | null;
  anchors: AnchorHint[];
  owners: string[];
  ownerOf: Uint32Array;
  states: Uint8Array;
  numbers: Float64Array;
  /** Of those that have one. */
  ids: Uint8Array;
  hasId: Uint8Array;
  /** Of each change. */
  lengths: Uint32Array;
  octets: Uint8Array;
}

export function carryTask({ make, columns, changes, anchors }: ColumnTask): CarriedTask {
  const count = changes.length;
  const carried: CarriedTask = {
    make,
    columns: columns === null ? null : Uint8Array.from(columns),
    anchors: anchors.map(({ owner, space, attribute }) => ({ owner, space, attribute })),
    owners: [],
    ownerOf: new Uint32Array(count),
    states: new Uint8Array(count),
    numbers: new Float64Array(count),
    ids: new Uint8Array(count * ID_BYTES),
    hasId: new Uint8Array(count),
    lengths: new Uint32Array(count),
    octets: new Uint8Array(changes.reduce((sum, { bytes }) => sum + bytes.length, 0)),
  };
  let at = 0;
  const owners = new Map<string, number>();
  for (const [i, { number, id, owner, state, bytes }] of changes.entries()) {
    let index = owners.get(owner);
    if (index === undefined) owners.set(owner, (index = carried.owners.push(owner) - 1));
    carried.ownerOf[i] = index;
    carried.states[i] = states.indexOf(state);
    carried.numbers[i] = number;
    carried.lengths[i] = bytes.length;
    carried.octets.set(bytes, at);
    at += bytes.length;
    if (id === null) continue;
    carried.hasId[i] = 1;
    carried.ids.set(id, i * ID_BYTES);
  }
  return carried;
}

/** What of it need not be copied on the way. */
export function transferable(carried: CarriedTask): ArrayBuffer[] {
  const { columns, ownerOf, states, numbers, ids, hasId, lengths, octets } = carried;
  const arrays = [ownerOf, states, numbers, ids, hasId, lengths, octets, ...(columns === null ? [] : [columns])];
  return arrays.map(({ buffer }) => buffer as ArrayBuffer);
}

export function carriedTask(carried: CarriedTask): ColumnTask {
  const octets = Buffer.from(carried.octets.buffer);
  const ids = Buffer.from(carried.ids.buffer);
  let at = 0;
  const changes = Array.from(carried.numbers, (number, i): Change => {
    const bytes = octets.subarray(at, (at += carried.lengths[i]!));
    const id = carried.hasId[i] === 1 ? ids.subarray(i * ID_BYTES, (i + 1) * ID_BYTES) : null;
    return { number, id, owner: carried.owners[carried.ownerOf[i]!]!, state: states[carried.states[i]!]!, bytes };
  });
  const columns = carried.columns === null ? null : Buffer.from(carried.columns.buffer);
  return { make: carried.make, columns, changes, anchors: carried.anchors };
}
