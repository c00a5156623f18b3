/** Tables that fit a terminal: what is cut, and what is not. */
import { describe, expect, it } from 'vitest';
import { type Column, formatTable } from './screen.ts';

interface Row {
  name: string;
  text: string;
}

const columns = (wraps: boolean): Column<Row>[] => [
  { title: 'checked', value: (one) => one.name },
  { title: 'found', value: (one) => one.text, wraps },
];
const rows = [
  { name: 'people', text: 'changes are found by whole: contextCSN is not there' },
  { name: 'network', text: 'ok' },
];

describe('a table', () => {
  it('is not touched where there is room', () => {
    expect(formatTable(rows, columns(true), Infinity)).toEqual(formatTable(rows, columns(false), Infinity));
  });

  it('cuts names, and wraps sentences under themselves, so that every word can be read in 30 columns', () => {
    expect(formatTable(rows, columns(false), 30)[1]).toBe('people   changes are found by…');
    expect(formatTable(rows, columns(true), 30)).toEqual([
      'checked  found',
      'people   changes are found by',
      '         whole: contextCSN is',
      '         not there',
      'network  ok',
    ]);
  });

  it('wraps within a word that is wider than its column, and loses no character', () => {
    const dn = `uid=anna,${'ou=people,'.repeat(5)}dc=org`;
    const lines = formatTable([{ name: 'people', text: dn }], columns(true), 30).slice(1);
    expect(lines.map((line) => line.slice(9)).join('')).toBe(dn);
    expect(Math.max(...lines.map((line) => line.length))).toBe(30);
  });
});
