/**
 * What `npm pack -w dirpost` runs before and after (prepack, postpack in packages/agent/package.json). The packages of
 * this repository are on no registry, so they travel inside, bundled into a few files: that also halves the time that a
 * command takes to start. The `dependencies` of packages/agent stay outside and are installed by npm; everything else
 * that is imported is bundled, and its licence goes with it.
 */
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));
const target = join(root, 'packages', 'agent');
const bundle = join(target, 'dist', 'packed');
/** Beside the program, for whoever sets it up. */
const documents = ['README.md', 'LICENSE', 'CHANGELOG.md', 'docs', 'deploy/systemd', 'deploy/examples'];

interface Manifest {
  version: string;
  dependencies: Record<string, string>;
}

async function make(): Promise<void> {
  clear();
  const manifest = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8')) as Manifest;
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: {
      program: 'packages/agent/src/cli/program.ts',
      worker: 'packages/adapters/src/stores/sqlite/worker.ts',
      'encoding-worker': 'packages/message/src/encoding-worker.ts',
    },
    outdir: bundle,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    conditions: ['development'],
    external: Object.keys(manifest.dependencies),
    // For what is bundled and loads modules of Node by `require`.
    banner: {
      js: "import { createRequire as makeRequire } from 'node:module';\nconst require = makeRequire(import.meta.url);",
    },
    legalComments: 'none',
    plugins: [version(manifest.version), englishOnly],
    metafile: true,
    logLevel: 'warning',
  });
  writeFileSync(join(bundle, 'LICENSES.txt'), licences(Object.keys(metafile.inputs)));
  for (const name of documents) cpSync(join(root, name), join(target, name), { recursive: true });
}

function clear(): void {
  rmSync(bundle, { recursive: true, force: true });
  for (const name of documents) rmSync(join(target, name.replace(/\/.*/, '')), { recursive: true, force: true });
}

/** In the repository it is read from the package.json, which a bundle would look for in the wrong place. */
function version(value: string): Plugin {
  const contents = `export const VERSION = ${JSON.stringify(value)};`;
  return {
    name: 'version',
    setup: ({ onLoad }) => onLoad({ filter: /[/\\]agent[/\\]src[/\\]version\.ts$/ }, () => ({ contents })),
  };
}

/** The faults of a configuration are told in English; the other fifty languages of zod are a third of the bundle. */
const englishOnly: Plugin = {
  name: 'english only',
  setup: ({ onLoad }) =>
    onLoad({ filter: /[/\\]zod[/\\]v4[/\\]locales[/\\]index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js';",
    })),
};

/** `inputs`: paths of all files that went into the bundle. */
function licences(inputs: string[]): string {
  const found = inputs.map((path) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]);
  const packages = [...new Set(found.filter((folder) => folder !== undefined))].sort();
  const texts = packages.map((folder) => {
    const file = readdirSync(join(root, folder)).find((name) => /^licen[cs]e/i.test(name));
    if (file === undefined) throw new Error(`${folder} has no licence file, so it cannot travel inside of dirpost`);
    const { name, version: its } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as {
      name: string;
      version: string;
    };
    return `${name} ${its}\n\n${readFileSync(join(root, folder, file), 'utf8').trim()}\n`;
  });
  return `These packages are part of the files in this folder.\n\n${texts.join(`\n${'-'.repeat(80)}\n\n`)}`;
}

if (process.argv[2] === 'make') await make();
else if (process.argv[2] === 'clear') clear();
else throw new Error('pack.ts make, or pack.ts clear');
