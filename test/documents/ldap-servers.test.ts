/** docs/ldap.md names, for each thing that is hard about a directory server and each server, a test: it is there. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string) => readFileSync(`${root}${path}`, 'utf8');

const [, section = ''] = read('docs/ldap.md').split('\n## What is tried with real servers\n');
const [header = [], , ...rows] = section
  .split('\n## ')[0]!
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .map((line) => line.slice(2, -2).split(' | '));

/** Of tests in this file, and in what it takes from beside it: suites that several files share. */
function titlesIn(path: string): RegExp[] {
  const text = read(path);
  const shared = [...text.matchAll(/from '\.\/([a-z0-9-]+\.ts)'/g)].map(([, name]) => read(`test/interop/${name}`));
  return [text, ...shared].flatMap((one) =>
    [...one.matchAll(/^ +it\((['`])(.*?)\1, (?:async )?\(/gm)].map(([, , title]) => {
      const parts = title!.split(/\$\{[^}]+\}/).map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
      return new RegExp(`^${parts.join('.+')}$`);
    }),
  );
}

/** "…" of a cell, with the file that was named last before each. */
function testsOf(cell: string): { path: string; title: string }[] {
  let path = '';
  return [...cell.matchAll(/`(ldap[a-z0-9-]*)` (?=")|"([^"]+)"/g)].flatMap(([, file, title]) => {
    if (file !== undefined) path = `test/interop/${file}.test.ts`;
    return title === undefined ? [] : [{ path, title }];
  });
}

const START: Record<string, RegExp> = { OpenLDAP: /describeSlapd/, '389-DS': /describe389/, Samba: /describeSamba/ };

it('all that is asked of servers has a row, and each row a test for each server', () => {
  expect(header).toEqual(['what', ...Object.keys(START)]);
  expect(rows.length).toBeGreaterThanOrEqual(18);
  expect(rows.filter((row) => row.length !== header.length || row.some((cell) => cell.trim() === ''))).toEqual([]);
});

describe.each(rows.map(([what, ...cells]) => ({ what, cells })))('$what', ({ cells }) => {
  it.each(cells.map((cell, i) => ({ server: header[i + 1]!, cell })))('with $server', ({ server, cell }) => {
    const tests = testsOf(cell);
    expect(tests.length).toBeGreaterThan(0);
    for (const { path, title } of tests) {
      expect(existsSync(`${root}${path}`), path).toBe(true);
      expect(read(path)).toMatch(START[server]!);
      expect(
        titlesIn(path).some((one) => one.test(title)),
        `${path}: ${title}`,
      ).toBe(true);
    }
  });
});
