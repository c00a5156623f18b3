/** docs/threats.md names the test of each attack: that file is there, and has a test of that name. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string) => readFileSync(`${root}${path}`, 'utf8');
const [, table = ''] = read('docs/threats.md').split('## What is tried, and what it meets');
const rows = table
  .split('\n## ')[0]!
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| attempt'));

it('there are attacks', () => {
  expect(rows.length).toBeGreaterThan(18);
});

it.each(rows)('%s', (row) => {
  const place = row.split(' | ').at(-1)!;
  const files = [...place.matchAll(/`([^`]+)`/g)].map(([, path]) => path!).filter((path) => path.includes('/'));
  const names = [...place.matchAll(/"([^"]+)"/g)].map(([, name]) => name!);
  const before = rows[rows.indexOf(row) - 1] ?? '';
  // "the same": the file of the row above, wherever that is named.
  const path = /the same/.test(place) ? lastFile(rows.slice(0, rows.indexOf(row))) : undefined;
  const all = path === undefined ? files : [path, ...files];
  expect(all.length, before).toBeGreaterThan(0);
  expect(all.filter((file) => !existsSync(`${root}${file}`))).toEqual([]);
  const texts = all
    .filter((file) => file.endsWith('.ts'))
    .map(read)
    .join('\n')
    .replaceAll("\\'", "'");
  expect(names.filter((name) => !texts.includes(name))).toEqual([]);
});

function lastFile(above: string[]): string | undefined {
  return [...above.join('\n').matchAll(/`([^`]+\.ts)`/g)].at(-1)?.[1];
}
