import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfiguration } from './load.ts';
import { dataFolderIn, sourceOf } from './source.ts';

const REST = 'postoffice: hq\nrole: server\n';
const FOLDER = resolve('/srv/hq');
const guess = (text: string) => dataFolderIn(text, FOLDER);
const truth = (text: string) => parseConfiguration(text, FOLDER).dataFolder;

describe('the data folder of a text', () => {
  it.each([
    '',
    '# data folder: here\n',
    'data: .\n',
    'data: data\n',
    'data:   /var/lib/dirpost   # where it lives\n',
    'data: "../with space"\n',
    "data: 'it\"s'\n",
    'data: C:\\dirpost\n',
    'data: a#b\n',
    'data: a\r\n',
  ])('is found where it is plain: %j', (line) => {
    for (const text of [line + REST, REST + line]) expect(guess(text)).toBe(truth(text));
  });

  it.each([
    'data: with space\n',
    'data: "a\\x41"\n',
    "data: 'it''s'\n",
    'data: >-\n  folded\n',
    'data: &anchor a\n',
    'data:\n  a\n',
    'data: a\n  b\n',
    'data: a\n\n  b\n',
    '"d\\x61ta": a\n',
    '"data": a\n',
    '? data\n: a\n',
    'data : a\n',
    '# data: old\ndata: new\n',
  ])('is the right one or none where only YAML can tell: %j', (line) => {
    for (const text of [line + REST, REST + line]) expect([null, truth(text)]).toContain(guess(text));
  });

  it('is none where it stands twice, or within braces', () => {
    expect(guess('data: a\ndata: b\n')).toBeNull();
    expect(guess('{ postoffice: hq, role: server, data: a }')).toBeNull();
  });
});

it('a source is that of a file and its bytes', () => {
  const sources = [
    ['/a', 'x'],
    ['/b', 'x'],
    ['/a', 'y'],
    ['/a', 'x '],
  ].map(([file = '', text = '']) => sourceOf(file, Buffer.from(text)));
  expect(new Set(sources).size).toBe(sources.length);
  expect(sourceOf('/a', Buffer.from('x'))).toBe(sources[0]);
});
