/** The repository keeps the rules of the house; and a breach of each would be found. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  commentFaults,
  importFaults,
  importsOf,
  isTest,
  lengthFaults,
  machineFaults,
  nameFaults,
  type SourceFile,
  wordFaults,
} from './rules.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Path → why it may be longer than the others. */
const LONG_FILES: Record<string, string> = {};

const TEXT_FILE =
  /\.(?:ts|js|mjs|json|md|ya?ml|sh|toml|service|ldif|csv|txt|html|css)$|(?:^|\/)(?:run|LICENSE|Dockerfile|\.[a-z]+rc(?:\.json)?|\.gitignore)$/;
const SKIPPED_FOLDERS = new Set(['node_modules', 'dist', '.git', 'tmp']);
/** Copies that are there while `npm pack` runs. */
const PACKED_COPY = /^packages\/agent\/(?:README\.md|LICENSE|CHANGELOG\.md|docs|deploy)$/;

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((found) => {
    const path = folder === '' ? found.name : `${folder}/${found.name}`;
    if (PACKED_COPY.test(path)) return [];
    if (found.isDirectory()) {
      return SKIPPED_FOLDERS.has(found.name) || found.name.startsWith('tmp-') ? [] : filesBelow(path);
    }
    return found.isFile() && TEXT_FILE.test(path) ? [path] : [];
  });
}

const read = (path: string): SourceFile => ({ path, text: readFileSync(join(root, path), 'utf8') });
const everything = filesBelow('').map(read);
const sources = everything.filter(({ path }) => /^(?:packages\/[^/]+\/src|test)\/.*\.ts$/.test(path));
const packaged = sources.filter(({ path }) => path.startsWith('packages/'));

const dependencies = new Map<string, Set<string>>();
function dependenciesOf(path: string): Set<string> {
  const [, folder = ''] = path.split('/');
  if (!dependencies.has(folder)) {
    const manifest = JSON.parse(read(`packages/${folder}/package.json`).text) as Record<string, object | undefined>;
    // Those of the packed program that travel inside of it are development dependencies (deploy/pack/pack.ts).
    const names = [manifest['dependencies'], manifest['devDependencies']].flatMap((some) => Object.keys(some ?? {}));
    dependencies.set(folder, new Set(names));
  }
  return dependencies.get(folder)!;
}

describe('the repository', () => {
  it('is looked at', () => {
    expect(packaged.length).toBeGreaterThan(30);
    expect(everything.map(({ path }) => path)).toEqual(expect.arrayContaining(['LICENSE', '.ci/run', 'package.json']));
  });

  it('imports go one way', () => {
    const own = packaged.filter(({ path }) => !isTest(path));
    expect(own.flatMap((file) => importFaults(file, dependenciesOf(file.path)))).toEqual([]);
  });

  it('files are named for what is in them', () => {
    expect(sources.flatMap(({ path }) => nameFaults(path))).toEqual([]);
  });

  it('every file says what it is for', () => {
    expect(sources.flatMap(commentFaults)).toEqual([]);
  });

  it('no file is too long', () => {
    expect(lengthFaults(sources, LONG_FILES)).toEqual([]);
  });

  it('nothing names a machine or a private registry', () => {
    expect(everything.filter(({ path }) => !path.startsWith('test/repository/')).flatMap(machineFaults)).toEqual([]);
  });

  it('the words are those of the glossary', () => {
    const told = everything.filter(({ path }) => !path.startsWith('test/repository/') && path !== 'LICENSE');
    expect(told.flatMap(wordFaults)).toEqual([]);
  });
});

describe('a breach is found', () => {
  const sample = (path: string, text: string): SourceFile => ({ path, text });

  it.each([
    ['core', 'decide.ts', "import { readFile } from 'node:fs/promises';"],
    ['core', 'decide.ts', "import { z } from 'zod';"],
    ['core', 'decide.ts', "import type { Sealer } from '@dirpost/message';"],
    ['core', 'decide.ts', "import { a } from '../../message/src/seal.ts';"],
    ['core', 'decide.ts', "import { a } from './other';"],
    ['core', 'decide.ts', "const a = await import('node:net');"],
    ['message', 'seal.ts', "import { FolderTransport } from '@dirpost/adapters';"],
    ['message', 'seal.ts', "export * from 'dirpost';"],
    ['message', 'seal.ts', "import '@dirpost/adapters';"],
    ['adapters', 'transports/folder.ts', "import { seal } from '@dirpost/message';"],
    ['adapters', 'transports/folder.ts', "import { a } from './memory.ts';"],
    ['adapters', 'transports/folder.ts', "import {\n  a,\n  b,\n} from '../stores/sqlite/rows.ts';"],
    ['adapters', 'directories/csv.ts', "import { a } from './ldif/lines.ts';"],
    ['adapters', 'directories/csv/rows.ts', "import { a } from '../ldif/directory.ts';"],
    ['adapters', 'ldif/parse.ts', "import { a } from '../directories/ldif/directory.ts';"],
    ['adapters', 'durable-file.ts', "import { a } from './transports/folder.ts';"],
    ['agent', 'send.ts', "import { a } from '@dirpost/core/src/entry.ts';"],
    ['agent', 'send.ts', "import a from 'left-pad';"],
  ])('in imports: %s/src/%s: %s', (folder, name, text) => {
    expect(importFaults(sample(`packages/${folder}/src/${name}`, text), new Set(['zod']))).toHaveLength(1);
  });

  it('and what is allowed is not', () => {
    const allowed: [string, string][] = [
      ['packages/core/src/a.ts', "import { hash } from 'node:crypto';\nimport type { B } from './seams/b.ts';"],
      ['packages/adapters/src/stores/sqlite/a.ts', "import B from 'driver';\nimport { c } from './c.ts';"],
      ['packages/adapters/src/transports/folder.ts', "import { a } from '../durable-file.ts';"],
      ['packages/adapters/src/directories/ldif.ts', "import { a } from './ldif/lines.ts';"],
      ['packages/adapters/src/directories/command/directory.ts', "import { a } from '../../ldif/parse.ts';"],
      ['packages/adapters/src/index.ts', "export { a } from './directories/ldif/directory.ts';"],
      ['packages/agent/src/a.ts', "import { a } from '@dirpost/message';\n/** import x from 'left-pad' */"],
    ];
    for (const [path, text] of allowed) expect(importFaults(sample(path, text), new Set(['driver']))).toEqual([]);
    expect(importsOf("const text = 'import or export';\nimport 'a';\nexport { b } from 'b';")).toEqual(['a', 'b']);
  });

  it.each([
    'packages/core/src/utils.ts',
    'packages/core/src/common/entry.ts',
    'packages/agent/src/spool-manager.ts',
    'packages/agent/src/cli/index.ts',
    'packages/agent/src/Spool.ts',
    'test/helpers.ts',
  ])('in names: %s', (path) => expect(nameFaults(path)).not.toEqual([]));

  it('in first comments', () => {
    expect(commentFaults(sample('packages/core/src/a.ts', 'export const a = 1;'))).toHaveLength(1);
    expect(commentFaults(sample('packages/core/src/a.ts', '/** What it is for. */\n'))).toEqual([]);
  });

  it('in lengths, and in exceptions without need', () => {
    const long = sample('packages/core/src/a.ts', 'x\n'.repeat(401));
    expect(lengthFaults([long], {})).toHaveLength(1);
    expect(lengthFaults([long], { [long.path]: 'a table' })).toEqual([]);
    expect(lengthFaults([sample(long.path, 'x\n'.repeat(400))], { [long.path]: 'a table' })).toHaveLength(1);
  });

  it.each([
    "const a = '/home/anna/x';",
    ['see ', 'work', 'main'].join('/'),
    String.raw`C:\Users\anna`,
    '"resolved": "https://REG.example.com/zod.tgz"'.replace('REG', 'registry'),
    'registry=http://localhost/',
  ])('in what is said of machines: %s', (text) => {
    expect(machineFaults(sample('a.ts', text))).toHaveLength(1);
  });

  it('but the public registry and paths of URLs are no machine', () => {
    expect(
      machineFaults(
        sample('a.json', 'https://REG.npmjs.org/zod https://example.org/home/x'.replace('REG', 'registry')),
      ),
    ).toEqual([]);
  });

  it('in words', () => {
    expect(wordFaults(sample('a.md', 'the Sync Server and its slaves'))).toHaveLength(2);
  });
});
