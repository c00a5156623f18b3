import { createMemoryStore } from '@dirpost/adapters';
import { defaultLimits, type StoreTx } from '@dirpost/core';
import { expect, it } from 'vitest';
import { closeConflicts, countOpenConflicts, loadConflicts, type NewConflict, recordConflicts } from './conflicts.ts';
import { recorded, recordedWords, valuesText } from './values.ts';

const DAY_MS = 24 * 60 * 60_000;
const limits = { ...defaultLimits, maxConflicts: 4, maxConflictDays: 30 };

const conflict = (entry: string, more: Partial<NewConflict> = {}): NewConflict => ({
  about: 'container',
  directory: 'people',
  entry,
  name: 'Anna',
  owner: 'hq',
  editor: null,
  attribute: 'mobile',
  here: recorded([Buffer.from('1')]),
  network: recorded([Buffer.from('2')]),
  decided: 'network',
  because: 'network-wins',
  ...more,
});

const inStore = async <T>(work: (tx: StoreTx) => Promise<T>): Promise<T> => {
  const store = createMemoryStore();
  try {
    return await store.transaction(work);
  } finally {
    await store.close();
  }
};

it('the same is recorded once, and what waited gives way to what happened', async () => {
  await inStore(async (tx) => {
    const about = { limits, nowMs: 1_000 };
    const open = conflict('01', { decided: null, because: 'no-change' });
    expect(await recordConflicts(tx, [open, open], about)).toBe(1);
    expect(await countOpenConflicts(tx)).toBe(1);
    expect(await recordConflicts(tx, [open], { limits, nowMs: 2_000 })).toBe(0);
    expect(await recordConflicts(tx, [conflict('01')], { limits, nowMs: 3_000 })).toBe(1);
    expect(await countOpenConflicts(tx)).toBe(0);
    expect(await loadConflicts(tx)).toMatchObject([{ number: 2, atMs: 3_000, decided: 'network' }]);
    // Another attribute is another matter.
    expect(await recordConflicts(tx, [conflict('01', { attribute: 'title' })], about)).toBe(1);
  });
});

it('the oldest go when there are too many or they are too old, and those that wait go last', async () => {
  await inStore(async (tx) => {
    const open = (entry: string) => conflict(entry, { decided: null });
    await recordConflicts(tx, [open('01'), conflict('02'), conflict('03')], { limits, nowMs: 0 });
    await recordConflicts(tx, [conflict('04'), conflict('05')], { limits, nowMs: 1_000 });
    const entries = async () => (await loadConflicts(tx)).map(({ entry }) => entry);
    expect(await entries()).toEqual(['01', '03', '04', '05']);
    await recordConflicts(tx, [conflict('06')], { limits, nowMs: 31 * DAY_MS });
    expect(await entries()).toEqual(['01', '06']);
    const waiting = ['07', '08', '09', '10'].map(open);
    await recordConflicts(tx, waiting, { limits, nowMs: 31 * DAY_MS });
    expect(await entries()).toEqual(['07', '08', '09', '10']);
  });
});

it('what waits is over when both sides agree, and what was decided stays on record', async () => {
  await inStore(async (tx) => {
    const about = { limits, nowMs: 0 };
    await recordConflicts(tx, [conflict('01', { decided: null }), conflict('02')], about);
    await closeConflicts(tx, 'others', [{ entry: '01', attribute: 'mobile' }]);
    expect(await countOpenConflicts(tx)).toBe(1);
    const agreed = ['01', '02'].map((entry) => ({ entry, attribute: 'mobile' }));
    await closeConflicts(tx, 'people', agreed);
    expect(await loadConflicts(tx)).toMatchObject([{ entry: '02' }]);
  });
});

it('values are the same in any order, and large ones are recorded by their size', () => {
  const of = (...texts: string[]) => texts.map((text) => Buffer.from(text));
  expect(valuesText(of('a', 'b'))).toBe(valuesText(of('b', 'a', 'a')));
  expect(valuesText(of('a'))).not.toBe(valuesText(of('A')));
  expect(valuesText(of(''))).not.toBe(valuesText([]));
  expect(recorded([Buffer.alloc(20_000)])).toEqual({ bytes: 20_000 });
  expect(recordedWords(recorded(of('a', 'b')))).toBe('a | b');
  expect(recordedWords(recorded([Buffer.from([0xff, 0])]))).toBe('(2 bytes)');
  expect(recordedWords(recorded([]))).toBe('(none)');
});
