/**
 * What `npm pack -w dirpost` makes: the right files, dependencies that npm can install, and a program that works outside
 * of the repository. `npm run install-check` installs it for good, which compiles SQLite and takes minutes.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ended, Office, type Runner } from '../demo/office.ts';
import { makeStaff } from '../demo/people.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const MAX_PACKED_BYTES = 1_000_000;

interface Manifest {
  version: string;
  dependencies: Record<string, string>;
  devDependencies?: Record<string, string>;
  overrides?: Record<string, string>;
}
const manifest = (path: string) => JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')) as Manifest;
const packed = manifest('packages/agent');

let folder: string;
let files: string[];
let size: number;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dirpost-pack-'));
  const args = ['pack', '--workspace', 'dirpost', '--json', '--pack-destination', folder];
  const ran = spawnSync('npm', args, { cwd: root, encoding: 'utf8', shell: process.platform === 'win32' });
  expect({ status: ran.status, end: ran.status === 0 ? '' : ran.stderr.slice(-2_000) }).toEqual({ status: 0, end: '' });
  // Older versions of npm give a list, newer ones an object by name.
  const told = Object.values(JSON.parse(ran.stdout) as Record<string, { size: number; files: { path: string }[] }>);
  expect(told).toHaveLength(1);
  size = told[0]!.size;
  files = told[0]!.files.map(({ path }) => path);
  const tar = spawnSync('tar', ['-xzf', join(folder, `dirpost-${packed.version}.tgz`), '-C', folder]);
  expect(tar.status).toBe(0);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the package', () => {
  it('holds the program, what an administrator reads, and licences', () => {
    expect(files).toEqual(
      expect.arrayContaining([
        'package.json',
        'README.md',
        'LICENSE',
        'CHANGELOG.md',
        'bin/dirpost.js',
        'dist/packed/program.js',
        'dist/packed/worker.js',
        'dist/packed/LICENSES.txt',
        'docs/operating.md',
        'docs/configuration.md',
        'deploy/systemd/dirpost.service',
        'deploy/examples/server.yaml',
      ]),
    );
  });

  it('holds nothing else: no sources, no tests, nothing of development', () => {
    const kinds = /^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md|bin\/dirpost\.js|docs\/[\w./-]+\.(?:md|json))$/;
    const ours = /^(?:dist\/packed\/[\w-]+\.js|dist\/packed\/LICENSES\.txt|deploy\/(?:systemd|examples)\/[\w@.-]+)$/;
    expect(files.filter((path) => !kinds.test(path) && !ours.test(path))).toEqual([]);
    expect(size).toBeLessThan(MAX_PACKED_BYTES);
  });

  it('leaves nothing behind in the repository', async () => {
    const left = (await readdir(join(root, 'packages', 'agent'))).filter(
      (name) => !/^(?:bin|dist|src|node_modules|package\.json|tsconfig\.json)$/.test(name),
    );
    expect(left).toEqual([]);
  });

  it('names the licence of everything that travels inside', async () => {
    const texts = await readFile(join(folder, 'package', 'dist', 'packed', 'LICENSES.txt'), 'utf8');
    for (const name of ['commander', 'csv-parse', 'yaml', 'zod'])
      expect(texts).toMatch(new RegExp(`^${name} \\d+\\.`, 'm'));
  });

  it('names no place of the machine that made it', async () => {
    for (const path of files) {
      expect({ path, found: (await readFile(join(folder, 'package', path), 'utf8')).includes(root) }).toEqual({
        path,
        found: false,
      });
    }
  });
});

describe('its dependencies', () => {
  it('are exact, and none is a package of this repository: those are on no registry', () => {
    for (const [name, version] of Object.entries(packed.dependencies)) {
      expect(name).not.toMatch(/^@dirpost\//);
      expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    }
  });

  it.each(['core', 'message', 'adapters'])('are, with the same versions, those of %s, or travel inside', (name) => {
    const own = Object.entries(manifest(`packages/${name}`).dependencies ?? {});
    const drivers = Object.fromEntries(own.filter(([one]) => !one.startsWith('@dirpost/')));
    expect({ ...packed.devDependencies, ...packed.dependencies }).toMatchObject(drivers);
  });

  it('pin what this repository overrides, since overrides do not travel', () => {
    expect(packed.dependencies).toMatchObject(manifest('.').overrides ?? {});
  });
});

describe('the packed program', () => {
  let run: Runner;

  beforeAll(async () => {
    // As npm would lay it out, and no more than it names: of the repository's packages it may find none.
    for (const name of Object.keys(packed.dependencies)) {
      const link = join(folder, 'package', 'node_modules', name);
      await mkdir(dirname(link), { recursive: true });
      await symlink(join(root, 'node_modules', name), link, 'junction');
    }
    const binary = join(folder, 'package', 'bin', 'dirpost.js');
    run = (args) =>
      ended(spawn(process.execPath, [binary, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] }), args);
  });

  it('knows its version', async () => {
    expect(await run(['--version'])).toMatchObject({ code: 0, out: `${packed.version}\n`, err: '' });
  });

  it('makes a postoffice and runs a cycle, with its thread for large transactions', async () => {
    const office = new Office(folder, 'hq', run);
    await mkdir(join(folder, 'directories', 'hq'), { recursive: true });
    const paths = ['--publish', '../directories/hq/people.ldif', '--subscribe', '../directories/hq/network.ldif'];
    await office.must('init', 'hq', '--role', 'server', ...paths);
    await office.writePeople(makeStaff('hq', 800, 5));
    const { err } = await office.must('sync');
    expect(err).toBe('');
    const { own } = await office.status();
    expect(own.live).toBe(805);
    await office.must('backup', '--plain', join(folder, 'backup'));
  });

  it('ends quietly when nobody reads on', () => {
    const binary = join(folder, 'package', 'bin', 'dirpost.js');
    const ran = spawnSync('sh', ['-c', '"$0" "$@" | true', process.execPath, binary, '--help'], { encoding: 'utf8' });
    expect(ran.stderr).toBe('');
  });
});
