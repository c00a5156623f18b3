import { describe, expect, it } from 'vitest';
import { decodeEntry, deriveEntryId, encodeEntry, entryHash } from './entry.ts';
import { type AddressListDefinition, compileList, listEffect, listFor } from './list.ts';
import type { EntryRow } from './seams/store.ts';

const define = (change: Partial<AddressListDefinition>) =>
  compileList({ name: 'all', filter: '(objectClass=*)', attributes: ['*'], receivers: '*', ...change });

function rowOf(attributes: Record<string, string>, change: Partial<EntryRow> = {}): EntryRow {
  const id = deriveEntryId('oslo', 'uid', Buffer.from('anna'));
  const values = new Map(Object.entries(attributes).map(([name, value]) => [name, [Buffer.from(value)]]));
  const bytes = encodeEntry({ id, owner: 'oslo', kind: 'person', attributes: values });
  const fixed = {
    number: 7,
    id,
    owner: 'oslo',
    seq: 1,
    deleted: false,
    peerNumber: 1,
    introduced: 0,
    changed: null,
    note: null,
    held: null,
    withheld: null,
  };
  return { ...fixed, bytes, hash: entryHash(bytes), ...change };
}

describe('a list', () => {
  it('releases the wanted attributes, with their options', () => {
    const list = define({ attributes: ['cn', 'mail'] });
    const released = list.release(rowOf({ cn: 'Anna', 'cn;lang-no': 'Anna', mobile: '1' }).bytes!)!;
    expect([...decodeEntry(released.bytes).attributes.keys()]).toEqual(['cn', 'cn;lang-no']);
    expect(released.hash).toEqual(entryHash(released.bytes));
  });

  it('can ask for the owner and the kind', () => {
    const { bytes } = rowOf({ cn: 'Anna' });
    expect(define({ filter: '(postoffice=oslo)' }).release(bytes!)).not.toBeNull();
    expect(define({ filter: '(postoffice=lima)' }).release(bytes!)).toBeNull();
    expect(define({ filter: '(kind=group)' }).release(bytes!)).toBeNull();
  });

  it('of a requestor is the one that names it, else the one for all', () => {
    const lists = [define({ name: 'rest' }), define({ name: 'few', receivers: ['oslo'] })];
    expect(listFor(lists, 'oslo')?.definition.name).toBe('few');
    expect(listFor(lists, 'lima')?.definition.name).toBe('rest');
    expect(listFor([lists[1]!], 'lima')).toBeUndefined();
  });
});

describe('what a change means for a list', () => {
  const list = define({ filter: '(mail=*)', attributes: ['cn', 'mail'] });
  const on = listEffect(list, rowOf({ cn: 'Anna', mail: 'a@x' }), undefined, 5)!;

  it('entering', () => {
    expect(on.row).toMatchObject({ number: 7, seq: 5, left: false, first: 5, entered: 5, introduced: 5 });
    expect(on.subtract).toBeNull();
  });

  it('a change of what is not released is none', () => {
    const row = rowOf({ cn: 'Anna', mail: 'a@x', mobile: '1' }, { changed: { mobile: 6 } });
    expect(listEffect(list, row, on.row, 6)).toBeNull();
  });

  it('a change of what is released keeps the times of entering', () => {
    const row = rowOf({ cn: 'Anne', mail: 'a@x' }, { changed: { cn: 6 } });
    expect(listEffect(list, row, on.row, 6)!.row).toMatchObject({ seq: 6, entered: 5, introduced: 5 });
  });

  it('leaving by the filter, by deletion, or by a refusal leaves a tombstone', () => {
    const gone = [
      rowOf({ cn: 'Anna' }),
      rowOf({ mail: 'a@x' }, { deleted: true }),
      rowOf({ mail: 'a@x' }, { note: 'kind-not-allowed' }),
    ];
    for (const row of gone) {
      const effect = listEffect(list, row, on.row, 8)!;
      expect(effect.row).toMatchObject({ left: true, seq: 8, first: 5 });
      expect([effect.add, effect.subtract]).toEqual([null, on.row.hash]);
    }
  });

  it('what was never on it leaves no trace', () => {
    expect(listEffect(list, rowOf({ cn: 'Anna' }), undefined, 8)).toBeNull();
  });

  it('coming back is entering again, and remembers the first time', () => {
    const left = listEffect(list, rowOf({ cn: 'Anna' }), on.row, 8)!.row;
    const back = listEffect(list, rowOf({ cn: 'Anna', mail: 'a@x' }), left, 9)!.row;
    expect(back).toMatchObject({ left: false, seq: 9, first: 5, entered: 9, introduced: 9 });
  });
});
