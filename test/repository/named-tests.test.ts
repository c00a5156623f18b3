/** docs/threats.md and docs/protocol.md name tests: each of them is there, under that name. */
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';

const root = new URL('../../', import.meta.url).pathname;

/** File and words of a test, as the last cell of each row says them; "the same": that of the row above. */
function namedIn(document: string): { file: string; words: string }[] {
  const named: { file: string; words: string }[] = [];
  let file = '';
  for (const row of document.split('\n').filter((line) => line.startsWith('| '))) {
    const cell = row.split(' | ').at(-1)!;
    if (!/^(?:`test\/|`packages\/|the same,)/.test(cell)) continue;
    for (const [, path, words] of cell.matchAll(/`([^`]+)`|"([^"]+)"/g)) {
      if (path !== undefined) file = path;
      if (words !== undefined) named.push({ file, words });
      else if (path!.endsWith('.test.ts')) named.push({ file: path!, words: '' });
    }
  }
  return named;
}

it.each(['threats', 'protocol'])('tests that docs/%s.md names are there', async (document) => {
  const named = namedIn(await readFile(`${root}docs/${document}.md`, 'utf8'));
  expect(named.length).toBeGreaterThan(20);
  const missing: string[] = [];
  for (const { file, words } of named) {
    const text = await readFile(`${root}${file}`, 'utf8').catch(() => '');
    if (!text.includes(words) || text === '') missing.push(`${file}: ${words}`);
  }
  expect(missing).toEqual([]);
});
