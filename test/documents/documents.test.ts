/** Documents and examples that are made from the code, or read by it, are current and in order. */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configurationFaults } from '../../packages/agent/src/config/load.ts';
import { documentPath, documents } from './make.ts';

const read = (name: string) => readFileSync(documentPath(name), 'utf8').replaceAll('\r\n', '\n');

it.each(Object.keys(documents))('%s is current (else: npm run docs)', (name) => {
  expect(read(name)).toBe(documents[name]!());
});

describe('examples are configurations without a fault', () => {
  const examples = readdirSync(documentPath('deploy/examples')).filter((name) => name.endsWith('.yaml'));
  it('there are some', () => expect(examples.length).toBeGreaterThan(1));
  it.each(examples)('deploy/examples/%s', (name) => {
    expect(configurationFaults(read(`deploy/examples/${name}`), resolve('/etc/dirpost'))).toEqual([]);
  });
});

/** Markdown files of the repository that administrators read. */
function pages(): string[] {
  const docs = readdirSync(documentPath('docs'), { recursive: true, encoding: 'utf8' });
  const root = readdirSync(documentPath('.')).filter((name) => name.endsWith('.md'));
  return [...root, ...docs.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];
}

/** The ```yaml blocks of a page, with the line that each begins at. */
export function yamlBlocks(page: string): { line: number; text: string }[] {
  return [...page.matchAll(/^```ya?ml\n([\s\S]*?)^```/gm)].map((found) => ({
    line: page.slice(0, found.index).split('\n').length + 1,
    text: found[1]!,
  }));
}

/** A block that is a part of a configuration only lacks things; a whole one lacks nothing. */
export function blockFaults(text: string): string[] {
  const whole = /^postoffice:/m.test(text);
  return configurationFaults(text, resolve('/etc/dirpost'))
    .map(({ line, path, message }) => `${line} ${path}: ${message}`)
    .filter((fault) => whole || !/: is missing|follows no list/.test(fault));
}

describe('YAML in the documents is dirpost configuration', () => {
  const blocks = pages().flatMap((page) => yamlBlocks(read(page)).map(({ line, text }) => ({ page, line, text })));
  it.each(blocks)('$page:$line', ({ text }) => expect(blockFaults(text)).toEqual([]));

  it('a wrong block would be found', () => {
    const [block] = yamlBlocks('text\n\n```yaml\nretry: { exchangeAftr: 1m }\n```\n');
    expect(block?.line).toBe(4);
    expect(blockFaults(block!.text)).toEqual([expect.stringContaining('did you mean exchangeAfter?')]);
  });
});
