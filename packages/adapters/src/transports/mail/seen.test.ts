import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Seen } from './seen.ts';

const DAY_MS = 86_400_000;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dirpost-seen-'));
});
afterEach(() => rm(folder, { recursive: true }));

const at = (uidValidity: string, uidNext: number, atMs = 0) => ({ uidValidity, uidNext, atMs });
const mark = { uidValidity: '7', uidNext: 100, wholeAtMs: 0, again: [] };

it('a folder is examined anew when it was numbered anew, wiped, or a day has passed', async () => {
  const seen = await Seen.open(folder);
  expect(seen.mark('INBOX', at('7', 100))).toBeNull();
  seen.examined('INBOX', mark, true);
  expect(seen.mark('INBOX', at('7', 120))).toMatchObject({ uidNext: 100 });
  expect(seen.mark('INBOX', at('8', 120))).toBeNull();
  expect(seen.mark('INBOX', at('7', 50))).toBeNull();
  expect(seen.mark('INBOX', at('7', 120, DAY_MS))).toBeNull();
  expect(seen.mark('INBOX', at('7', 120, -DAY_MS))).toBeNull();
});

it('remembers after a restart, and writes only what is new', async () => {
  const seen = await Seen.open(folder);
  expect(seen.tell('a')).toBe(true);
  seen.examined('INBOX', { ...mark, again: [{ uid: 5, why: 'left', atMs: 9 }] }, true);
  await seen.save();
  const { mtimeMs, ino } = await stat(join(folder, 'seen.json'));
  const again = await Seen.open(folder);
  expect(again.tell('a')).toBe(false);
  expect(again.mark('INBOX', at('7', 100))?.again).toEqual([{ uid: 5, why: 'left', atMs: 9 }]);
  await again.save();
  expect(await stat(join(folder, 'seen.json'))).toMatchObject({ mtimeMs, ino });
  again.offerAgain();
  expect(again.mark('INBOX', at('7', 100))?.again).toEqual([{ uid: 5, why: 'left', atMs: 0 }]);
});

it('knows at most 10,000 things that were told, and forgets the oldest', async () => {
  const seen = await Seen.open(folder);
  for (let i = 0; i < 10_001; i++) seen.tell(String(i));
  expect(seen.tell('10000')).toBe(false);
  expect(seen.tell('0')).toBe(true);
  await seen.save();
  expect((await readFile(join(folder, 'seen.json'))).length).toBeLessThan(300_000);
  expect((await Seen.open(folder)).tell('10000')).toBe(false);
});

it.each(['', '{"version":1,', '{"version":2}', '{"version":1,"folders":{"a":{}},"told":[],"upkeepAtMs":0}', '[]'])(
  'begins anew with a damaged file: %s',
  async (content) => {
    await writeFile(join(folder, 'seen.json'), content);
    const seen = await Seen.open(folder);
    expect(seen.tell('a')).toBe(true);
    await seen.save();
    expect((await Seen.open(folder)).tell('a')).toBe(false);
  },
);
