/** Changes one after another, as they are. The first, simple form of the columns. */
import {
  type Change,
  type ChangeState,
  checkCanonicalAttributes,
  compareBytes,
  DirpostError,
  idOf,
  type Limits,
  ownerOf,
  readVarint,
} from '@dirpost/core';

const states: ChangeState[] = ['whole', 'part', 'removed'];

export function encodeColumns(changes: Change[], _limits: Limits): Buffer {
  const parts: Uint8Array[] = [varint(changes.length)];
  for (const change of [...changes].sort((a, b) => a.number - b.number)) {
    const owner = Buffer.from(change.owner);
    parts.push(Buffer.from([states.indexOf(change.state), change.id === null ? 0 : 1]), varint(change.number));
    if (change.id !== null) parts.push(change.id);
    parts.push(varint(owner.length), owner, varint(change.bytes.length), change.bytes);
  }
  return Buffer.concat(parts);
}

export function decodeColumns(columns: Buffer, limits: Limits): Change[] {
  const [count, start] = readVarint(columns, 0);
  if (count > limits.maxPartChanges) throw malformed('too many changes');
  const changes: Change[] = [];
  let at = start;
  const take = (bytes: number) => {
    if (at + bytes > columns.length) throw malformed('a change that ends early');
    return columns.subarray(at, (at += bytes));
  };
  const number = () => {
    const [value, next] = readVarint(columns, at);
    at = next;
    return value;
  };
  for (let i = 0; i < count; i++) {
    const [stateCode, hasId] = take(2);
    const state = states[stateCode!];
    if (state === undefined) throw malformed('an unknown state');
    const change: Change = {
      state,
      number: number(),
      id: hasId === 1 ? take(16) : null,
      owner: take(number()).toString(),
      bytes: take(number()),
    };
    if (state === 'whole') {
      const { id, owner, bytes } = change;
      if (id === null || bytes.length < 18 || compareBytes(idOf(bytes), id) !== 0 || ownerOf(bytes) !== owner) {
        throw malformed('an entry that is not the one it says');
      }
    }
    if (state !== 'removed')
      checkCanonicalAttributes(change.bytes, state === 'whole' ? 18 + Buffer.byteLength(change.owner) : 0, limits);
    changes.push(change);
  }
  return changes;
}

function varint(value: number): Buffer {
  const octets: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) octets.push((value % 0x80) | 0x80);
  return Buffer.from([...octets, value]);
}

function malformed(what: string): DirpostError {
  return new DirpostError('message-payload', `The changes hold ${what}.`);
}
