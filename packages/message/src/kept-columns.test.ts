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
let isHarmless: boolean;
beforeEach(() => {
  made = [];
  isHarmless = true;
});

function kept(mostBytes: number): KeptColumns {
  return new KeptColumns(mostBytes, ({ make, columns, changes }) => {
    made.push(make);
    if (make === 'encode') return Buffer.alloc(changes.length * 10);
    return make === 'renumber' || isHarmless ? columns! : undefined;
  });
}

describe('columns that are needed again', () => {
  test('are not encoded again, by whatever objects the changes are named', () => {
    const columns = kept(1_000_000);
    columns.get(people(100), HINTS);
    columns.get(people(100), [...HINTS]);
    expect(made).toEqual(['encode']);
  });

  test('get other numbers where the changes have others', () => {
    const columns = kept(1_000_000);
    columns.get(people(100), HINTS);
    columns.get(people(100, 501), HINTS);
    expect(made).toEqual(['encode', 'renumber']);
  });

  test('are those that an owner sent, looked at once', () => {
    const columns = kept(1_000_000);
    columns.keep(columns.note(people(100), HINTS, Buffer.alloc(900, 7))!);
    for (let i = 0; i < 2; i++) expect(columns.get(people(100), HINTS)).toEqual(Buffer.alloc(900, 7));
    expect(made).toEqual(['passOn']);
  });

  test('are not those that an owner sent where they waste space or time', () => {
    const columns = kept(1_000_000);
    expect(columns.note(people(100), HINTS, Buffer.alloc(9_000))).toBeUndefined();
    isHarmless = false;
    columns.keep(columns.note(people(100), HINTS, Buffer.alloc(900))!);
    for (let i = 0; i < 2; i++) columns.get(people(100), HINTS);
    expect(made).toEqual(['passOn', 'encode']);
  });

  test('stay those that were made here', () => {
    const columns = kept(1_000_000);
    columns.get(people(100), HINTS);
    columns.keep(columns.note(people(100), HINTS, Buffer.alloc(900, 7))!);
    expect(columns.get(people(100), HINTS)).toEqual(Buffer.alloc(1_000));
  });

  test('hold the memory that is counted, also of single changes', () => {
    const columns = kept(1024 * 1024);
    const all = people(3_000);
    for (const one of all) columns.get([one], HINTS);
    made = [];
    for (const one of all.toReversed()) columns.get([one], HINTS);
    // At 600 octets and more for each there is no room for all.
    expect(made.length).toBeGreaterThan(1_000);
    expect(columns.note(people(64), HINTS, Buffer.alloc(9))!.columns.buffer.byteLength).toBe(9);
  });

  test.each([
    ['another value', people(100).with(50, people(101)[100]!), HINTS],
    ['another order', people(100).toReversed(), HINTS],
    ['other anchors', people(100), []],
  ])('are others with %s', (_, changes, hints) => {
    const columns = kept(1_000_000);
    columns.get(people(100), HINTS);
    columns.get(changes, hints);
    expect(made).toEqual(['encode', 'encode']);
  });

  test('are forgotten when there is no room, those first that were not needed for longest', () => {
    // Columns of 200 changes, their numbers and what is beside take 4,200 octets: there is room for 30.
    const columns = kept(126_000);
    const hints = (i: number): AnchorHint[] => [{ ...HINTS[0]!, space: `uid ${i}` }];
    const all = people(200);
    for (let i = 0; i < 31; i++) columns.get(all, hints(i));
    made = [];
    columns.get(all, hints(30));
    expect(made).toEqual([]);
    columns.get(all, hints(0));
    expect(made).toEqual(['encode']);
  });
});
