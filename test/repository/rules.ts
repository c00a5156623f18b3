/**
 * The rules of the house that a program can check (design section 9, CONTRIBUTING.md), as functions of a file's path and
 * text. layout.test.ts runs them over the repository, and over samples that break them.
 */
import { posix } from 'node:path';

/** Path from the root of the repository, with `/`. */
export interface SourceFile {
  path: string;
  text: string;
}

const PACKAGES: Record<string, { name: string; mayImport: string[] }> = {
  core: { name: '@dirpost/core', mayImport: [] },
  message: { name: '@dirpost/message', mayImport: ['@dirpost/core'] },
  adapters: { name: '@dirpost/adapters', mayImport: ['@dirpost/core'] },
  agent: { name: 'dirpost', mayImport: ['@dirpost/core', '@dirpost/message', '@dirpost/adapters'] },
};
const OURS = new Set(Object.values(PACKAGES).map(({ name }) => name));

/** core does no I/O: it may compute hashes and handle octets. */
const CORE_NODE_MODULES = new Set(['node:crypto', 'node:buffer']);

const FORBIDDEN_NAMES =
  /^(?:utils?|helpers?|common|types?|shared|misc|lib|constants|managers?|.*-(?:utils?|helpers?|manager))$/;

export const MAX_LINES = 400;

export function isTest(path: string): boolean {
  return path.endsWith('.test.ts');
}

/** Everything that a module imports or exports from elsewhere. */
export function importsOf(text: string): string[] {
  const withoutComments = text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const pattern =
    /(?:^|[\n;])\s*(?:import|export)\s(?:[^'"`;]*?\sfrom\s)?\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;
  return [...withoutComments.matchAll(pattern)].map((found) => found[1] ?? found[2]!);
}

/** `dependencies`: names in the package.json of the file's package. */
export function importFaults(file: SourceFile, dependencies: ReadonlySet<string>): string[] {
  const [, folder = ''] = /^packages\/([^/]+)\/src\//.exec(file.path) ?? [];
  return importsOf(file.text).flatMap((specifier) => {
    const fault = specifier.startsWith('.')
      ? relativeFault(file.path, folder, specifier)
      : packageFault(folder, specifier, dependencies);
    return fault === undefined ? [] : [`${file.path} imports ${specifier}: ${fault}`];
  });
}

function relativeFault(path: string, folder: string, specifier: string): string | undefined {
  const root = `packages/${folder}/src/`;
  const target = posix.join(posix.dirname(path), specifier);
  if (!target.startsWith(root)) return 'it is outside of the package; import the package by its name';
  if (!/\.(?:ts|json)$/.test(specifier)) return 'relative imports end in .ts';
  if (folder !== 'adapters') return undefined;
  const [from, to] = [adapterOf(path, root), adapterOf(target, root)];
  if (to === undefined || from === to || path === `${root}index.ts`) return undefined;
  return from === undefined ? 'what adapters build on does not import them' : 'adapters do not import each other';
}

const ADAPTERS = new Set(['directories', 'stores', 'transports']);

/**
 * "directories/ldif" for directories/ldif.ts and all below directories/ldif/; undefined for what adapters build on:
 * files above them, and formats (ldif/).
 */
function adapterOf(path: string, root: string): string | undefined {
  const [kind = '', adapter] = path.slice(root.length).split('/');
  return adapter === undefined || !ADAPTERS.has(kind) ? undefined : `${kind}/${adapter.replace(/\.ts$/, '')}`;
}

function packageFault(folder: string, specifier: string, dependencies: ReadonlySet<string>): string | undefined {
  if (specifier.startsWith('node:')) {
    return folder === 'core' && !CORE_NODE_MODULES.has(specifier) ? 'core does no I/O' : undefined;
  }
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  if (OURS.has(name)) {
    if (name !== specifier) return 'only the root of a package is imported';
    return PACKAGES[folder]?.mayImport.includes(name) ? undefined : `${folder} does not import ${name}`;
  }
  if (folder === 'core') return 'core has no dependencies';
  return dependencies.has(name) ? undefined : `${name} is not among the dependencies of ${folder}`;
}

export function nameFaults(path: string): string[] {
  const name = posix.basename(path).replace(/(?:\.test)?\.[a-z]+$/, '');
  const folders = posix.dirname(path).split('/');
  const faults: string[] = [];
  for (const one of [...folders, name]) {
    if (FORBIDDEN_NAMES.test(one)) faults.push(`${path}: "${one}" does not say what is in it`);
  }
  if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(name)) faults.push(`${path}: file names are in kebab-case`);
  if (name === 'index' && !/^packages\/[^/]+\/src\/index\.ts$/.test(path)) {
    faults.push(`${path}: index.ts stands at the root of a package only`);
  }
  return faults;
}

/** A test says what it is for by its names. */
export function commentFaults({ path, text }: SourceFile): string[] {
  if (isTest(path)) return [];
  return /^(?:#!.*\n)?\s*(?:\/\*\*?|\/\/)\s*\S/.test(text) ? [] : [`${path}: the first lines say what the file is for`];
}

/** `exceptions`: path → why it may be longer. */
export function lengthFaults(files: SourceFile[], exceptions: Record<string, string>): string[] {
  const isLong = ({ text }: SourceFile) => text.trimEnd().split('\n').length > MAX_LINES;
  const long = files.filter((file) => !isTest(file.path) && isLong(file)).map(({ path }) => path);
  return [
    ...long.filter((path) => exceptions[path] === undefined).map((path) => `${path}: over ${MAX_LINES} lines`),
    ...Object.keys(exceptions)
      .filter((path) => !long.includes(path))
      .map((path) => `${path}: is an exception without need`),
  ];
}

export const PUBLIC_REGISTRY = ['https://registry', 'npmjs.org/'].join('.');

/** What names one machine or one company's network has no place in a public repository. */
export function machineFaults({ path, text }: SourceFile): string[] {
  // A home directory alone is what LDAP's homeDirectory holds in samples; something below one is on a machine.
  const machine = /(?<![\w.:/-])\/(?:root\/|work\/|(?:home|Users)\/[\w.-]+\/)[\w.-]+/g;
  const drive = /\b[A-Z]:\\Users\\[\w.-]+/g;
  const registry = /https?:\/\/[\w.:-]*(?:registry|artifactory|nexus|mirror|proxy)[\w.:-]*\/|^\s*registry\s*=.*$/gm;
  const found = [...text.matchAll(machine), ...text.matchAll(drive), ...text.matchAll(registry)].map(([word]) => word);
  return found.filter((word) => word !== PUBLIC_REGISTRY).map((word) => `${path}: ${word}`);
}

/** Other words for what the glossary (design section 1) has a word for. */
const SYNONYMS: [RegExp, string][] = [
  [/\bsync(?:hronization)?[- ]server\b/gi, 'directory server postoffice'],
  [/\b(?:master|hub)[- ](?:server|node)\b/gi, 'directory server postoffice'],
  [/\b(?:slave|satellite|spoke)s?\b/gi, 'requestor'],
  [/\bwatermarks?\b/gi, 'cursor'],
  [/\bdead[- ]letters?\b/gi, 'corrupt'],
];

export function wordFaults({ path, text }: SourceFile): string[] {
  return SYNONYMS.flatMap(([pattern, word]) =>
    [...text.matchAll(pattern)].map(([synonym]) => `${path}: "${synonym}"; we say ${word}`),
  );
}
