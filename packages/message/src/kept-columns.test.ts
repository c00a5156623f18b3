import { type AnchorHint, type Change, deriveEntryId, encodeEntry } from '@dirpost/core';
import { beforeEach, describe, expect, test } from 'vitest';
import { KeptColumns } from './kept-columns.ts';

const HINTS: AnchorHint[] = [{ owner: 'oslo', space: 'uid', attribute: 'uid' }];

/** Numbers from `first`. */
function people(count: number, first = 1): Change[] {
  return Array.from({ length: count }, (_, i) => {
    const id = deriveEntryId('oslo', 'uid', Buffer.from(`${i}`));
    const attributes = new Map([['cn', [Buffer.from(`Person number ${i} of many`)]]]);
    const bytes = encodeEntry({ id, owner: 'oslo', kind: 'person', attributes });
    return { number: first + i, id, owner: 'oslo', state: 'whole', bytes };
  });
}

let made: string[];
beforeEach(() => {
  made = [];
});

function kept(mostBytes: number): KeptColumns {
  return new KeptColumns(mostBytes, {
    encode: (changes) => {
      made.push('encoded');
      return Buffer.alloc(changes.length * 10);
    },
    renumber: (columns) => {
      made.push('renumbered');
      return columns;
    },
  });
}

describe('columns that are needed again', () => {
  test('are not encoded again, by whatever objects the changes are named', () => {
    const columns = kept(1_000_000);
    columns.get(people(100), HINTS);
    columns.get(people(100), [...HINTS]);
    expect(made).toEqual(['encoded']);
  });

  test('get other numbers where the changes have others', () => {
    const columns = kept(1_000_000);
    columns.get(people(100), HINTS);
    columns.get(people(100, 501), HINTS);
    expect(made).toEqual(['encoded', 'renumbered']);
  });

  test('are those that an owner sent', () => {
    const columns = kept(1_000_000);
    columns.note(people(100), HINTS, Buffer.alloc(900, 7));
    expect(columns.get(people(100), HINTS)).toEqual(Buffer.alloc(900, 7));
    expect(made).toEqual([]);
  });

  test('are not those that an owner sent where they waste space', () => {
    const columns = kept(1_000_000);
    columns.note(people(100), HINTS, Buffer.alloc(9_000));
    columns.get(people(100), HINTS);
    expect(made).toEqual(['encoded']);
  });

  test.each([
    ['another value', people(100).with(50, people(101)[100]!), HINTS],
    ['another order', people(100).toReversed(), HINTS],
    ['other anchors', people(100), []],
  ])('are others with %s', (_, changes, hints) => {
    const columns = kept(1_000_000);
    columns.get(people(100), HINTS);
    columns.get(changes, hints);
    expect(made).toEqual(['encoded', 'encoded']);
  });

  test('are forgotten when there is no room, those first that were not needed for longest', () => {
    // Columns of 200 changes and their numbers take 3,600 octets: there is room for 30.
    const columns = kept(110_000);
    const hints = (i: number): AnchorHint[] => [{ ...HINTS[0]!, space: `uid ${i}` }];
    const all = people(200);
    for (let i = 0; i < 31; i++) columns.get(all, hints(i));
    made = [];
    columns.get(all, hints(30));
    expect(made).toEqual([]);
    columns.get(all, hints(0));
    expect(made).toEqual(['encoded']);
  });
});
