/**
 * What is installed: exactly the versions that were tested, whose content is known by its hash, and which run nothing when
 * they are installed but the build of SQLite. Whether one of them has a known weakness only the registry can say: `npm audit`,
 * CONTRIBUTING.md, "Releases".
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { PUBLIC_REGISTRY } from './rules.ts';

interface Manifest {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  overrides?: Record<string, string>;
  allowScripts?: Record<string, boolean>;
  scripts?: Record<string, string>;
}

interface Locked extends Manifest {
  version?: string;
  integrity?: string;
  resolved?: string;
  link?: boolean;
  dev?: boolean;
  optional?: boolean;
  hasInstallScript?: boolean;
}

const root = new URL('../../', import.meta.url);
const json = (path: string): unknown => JSON.parse(readFileSync(fileURLToPath(new URL(path, root)), 'utf8'));
const folders = ['', ...readdirSync(new URL('packages/', root)).map((name) => `packages/${name}`)];
const manifests = folders.map((folder) => ({
  folder,
  manifest: json(`${folder === '' ? '.' : folder}/package.json`) as Manifest,
}));
const lock = json('package-lock.json') as { lockfileVersion: number; packages: Record<string, Locked> };
const installed = Object.entries(lock.packages).filter(
  ([path, { link }]) => path.includes('node_modules/') && link !== true,
);

describe('dependencies', () => {
  it('are named by one version each', () => {
    const ranges = manifests.flatMap(({ folder, manifest: { dependencies, devDependencies, overrides } }) =>
      Object.entries({ ...dependencies, ...devDependencies, ...overrides })
        .filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))
        .map(([name, version]) => `${folder}/package.json: ${name} ${version}`),
    );
    expect(ranges).toEqual([]);
  });

  it('stand in the lockfile as they stand in the manifests', () => {
    for (const { folder, manifest } of manifests) {
      const { dependencies, devDependencies } = lock.packages[folder] ?? {};
      expect({ folder, dependencies, devDependencies }).toEqual({
        folder,
        dependencies: manifest.dependencies,
        devDependencies: manifest.devDependencies,
      });
    }
  });

  it('are known by their hash, and come from nowhere but the registry', () => {
    expect(lock.lockfileVersion).toBe(3);
    expect(installed.length).toBeGreaterThan(50);
    // Programs for developing on other systems than the one that the lockfile was made on have none; they travel with nothing.
    const strange = installed
      .filter(([, { dev, optional }]) => dev !== true || optional !== true)
      .filter(
        ([, { integrity = '', resolved = PUBLIC_REGISTRY }]) =>
          !integrity.startsWith('sha512-') || !resolved.startsWith(PUBLIC_REGISTRY),
      );
    expect(strange.map(([path]) => path)).toEqual([]);
  });

  it('run nothing when they are installed, but the build of SQLite', () => {
    const scripted = installed
      .filter(([, { hasInstallScript }]) => hasInstallScript === true)
      .map(([path]) => nameOf(path));
    const { allowScripts = {} } = manifests[0]!.manifest;
    // A dependency that is new in this list has to be decided on.
    expect([...new Set(scripted)].sort()).toEqual(Object.keys(allowScripts).sort());
    expect(Object.keys(allowScripts).filter((name) => allowScripts[name] === true)).toEqual(['better-sqlite3']);
  });

  it('of ours that are published run nothing when they are installed', () => {
    const lifecycle = ['preinstall', 'install', 'postinstall'];
    const found = manifests.flatMap(({ folder, manifest: { scripts = {} } }) =>
      lifecycle.filter((name) => name in scripts).map((name) => `${folder}: ${name}`),
    );
    expect(found).toEqual([]);
  });
});

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
}
