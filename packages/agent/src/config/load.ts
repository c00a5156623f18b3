/**
 * Reading the configuration: YAML, then the schema, then the cross-checks; every fault of the file is told at once, with
 * its line. Paths come out absolute, seen from the folder of the file.
 */
import { createHash } from 'node:crypto';
import { basename, dirname, resolve } from 'node:path';
import { fileError, readBounded } from '@dirpost/adapters';
import { DirpostError, type Limits, type PostofficeName } from '@dirpost/core';
import { LineCounter, parseDocument } from 'yaml';
import { crossCheck } from './cross-checks.ts';
import type { DirectoryConfiguration } from './directory.ts';
import { type ConfigurationFault, describeIssues, placeFault, type PlacedFault } from './faults.ts';
import { resolvePath } from './fields.ts';
import { CONFIGURATION_FILE_NAME } from './file-name.ts';
import { resolveLdap } from './ldap-connection.ts';
import { type MailConfiguration, resolveMail } from './mail.ts';
import { strangeKeyAt, tooDeepAt } from './nesting.ts';
import { configurationSchema, type ConfigurationValues, type ListConfiguration } from './schema.ts';
import { MAX_CONFIGURATION_BYTES, sourceOf } from './source.ts';

/** What a postoffice works with. All paths are absolute. */
export interface Configuration {
  postoffice: PostofficeName;
  role: 'server' | 'requestor';
  /** Name of the directory server postoffice; the own one on the server. */
  server: PostofficeName;
  dataFolder: string;
  directories: DirectoryConfiguration[];
  transports: Omit<ConfigurationValues['transports'], 'mail'> & { mail?: MailConfiguration };
  schedule: ConfigurationValues['schedule'];
  holds: ConfigurationValues['holds'];
  log: ConfigurationValues['log'];
  limits: Limits;
  retry: ConfigurationValues['retry'];
  spool: ConfigurationValues['spool'];
  retentionMs: number;
  lists: ListConfiguration[];
  unique: ConfigurationValues['unique'];
  postQuantum: boolean;
  requestors: ConfigurationValues['requestors'];
}

/** Throws DirpostError `not-initialized` where there is none, `config-invalid` with all faults in `context.faults`. */
export async function loadConfiguration(path: string): Promise<Configuration> {
  return (await loadWithSource(path)).configuration;
}

/** As loadConfiguration; `source`: of the bytes that were read (source.ts). */
export async function loadWithSource(path: string): Promise<{ configuration: Configuration; source: string }> {
  const file = resolve(path);
  let bytes: Buffer;
  try {
    bytes = await readBounded(file, MAX_CONFIGURATION_BYTES);
  } catch (error) {
    const cause = fileError(error, `read ${file}`);
    if (cause.code !== 'file-missing') throw cause;
    throw new DirpostError('not-initialized', `There is no configuration ${file}.`, {
      retry: 'operator',
      hint: 'Make one with `dirpost init`, or name another with --config.',
      cause,
    });
  }
  const configuration = parseConfiguration(bytes.toString('utf8'), dirname(file), basename(file));
  return { configuration, source: sourceOf(file, bytes) };
}

/** The same for the same settings, whatever comments and forms the file has. Tells nothing of what they are. */
export function fingerprintOf(configuration: Configuration): string {
  return createHash('sha256').update(JSON.stringify(configuration)).digest('hex');
}

/** `folder`: absolute, for the paths in it. `fileName`: for the faults. Throws as loadConfiguration does. */
export function parseConfiguration(
  text: string,
  folder: string,
  fileName: string = CONFIGURATION_FILE_NAME,
): Configuration {
  const { values, faults } = readConfiguration(text, folder);
  if (values === undefined) throw invalid(faults, fileName);
  return resolveConfiguration(values, folder);
}

/** All faults of a text, in the order of its lines; empty for one that is in order. */
export function configurationFaults(text: string, folder: string): ConfigurationFault[] {
  return readConfiguration(text, folder).faults;
}

function readConfiguration(
  text: string,
  folder: string,
): { values: ConfigurationValues | undefined; faults: ConfigurationFault[] } {
  const lines = new LineCounter();
  const line = tooDeepAt(text);
  if (line !== null) {
    return { values: undefined, faults: [{ line, column: 1, path: '', message: 'this is nested far too deeply' }] };
  }
  // `core` of YAML 1.2 and no merge keys: what stands there is what it says.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2', schema: 'core' });
  const yamlFaults = [...document.errors, ...document.warnings].map((error): ConfigurationFault => {
    const { line, col } = lines.linePos(error.pos[0]);
    return {
      line: Math.max(1, line),
      column: Math.max(1, col),
      path: '',
      message: yamlMessage(error.code, error.message),
    };
  });
  // A key that stands twice does not hide what else is wrong; a text that is no YAML does.
  if (document.errors.some(({ code }) => code !== 'DUPLICATE_KEY')) return { values: undefined, faults: yamlFaults };

  const strange = strangeKeyAt(document);
  if (strange !== null) {
    const { line, col } = lines.linePos(strange);
    const fault = {
      line: Math.max(1, line),
      column: Math.max(1, col),
      path: '',
      message: 'this is no name of a setting',
    };
    return { values: undefined, faults: [...yamlFaults, fault] };
  }
  let raw: unknown;
  try {
    raw = document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch {
    const message = 'the file uses too many aliases (*name)';
    return { values: undefined, faults: [{ line: 1, column: 1, path: '', message }] };
  }
  const parsed = configurationSchema.safeParse(raw);
  const placed: PlacedFault[] = [
    ...(parsed.success ? [] : describeIssues(parsed.error.issues, raw)),
    ...crossCheck(raw, folder),
  ];
  const faults = [...yamlFaults, ...placed.map((fault) => placeFault(fault, document, lines))];
  faults.sort((a, b) => a.line - b.line || a.column - b.column);
  return { values: faults.length === 0 ? parsed.data : undefined, faults };
}

function yamlMessage(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'this setting stands here twice';
  if (code === 'TAB_AS_INDENT') return 'a tab at the beginning of the line; use spaces';
  return `this is not YAML: ${message}`;
}

function resolveConfiguration(values: ConfigurationValues, folder: string): Configuration {
  const { data, retention, server, directories, transports, ...rest } = values;
  return {
    ...rest,
    server: server ?? values.postoffice,
    dataFolder: resolvePath(folder, data),
    directories: directories.map((directory) => resolveDirectory(directory, folder)),
    transports: resolveTransports(transports, folder),
    retentionMs: retention,
  };
}

function resolveDirectory(given: DirectoryConfiguration, folder: string): DirectoryConfiguration {
  if (given.type === 'ldap') return resolveLdap(given, (path) => resolvePath(folder, path));
  if (given.type !== 'command') return { ...given, path: resolvePath(folder, given.path) };
  const [program, ...args] = given.command;
  // A name alone is looked for in PATH.
  const found = /[/\\]/.test(program) ? resolvePath(folder, program) : program;
  return { ...given, command: [found, ...args], folder: resolvePath(folder, given.folder) };
}

function resolveTransports(given: ConfigurationValues['transports'], base: string): Configuration['transports'] {
  const { folder, http, mail, ...rest } = given;
  const at = (path: string) => resolvePath(base, path);
  return {
    ...rest,
    ...(folder && { folder: { path: at(folder.path) } }),
    ...(http && {
      http: {
        ...http,
        ...(http.tls && { tls: { certificate: at(http.tls.certificate), key: at(http.tls.key) } }),
        ...(http.ca && { ca: at(http.ca) }),
        ...(http.proxyLogin && { proxyLogin: at(http.proxyLogin) }),
      },
    }),
    ...(mail && { mail: resolveMail(mail, at) }),
  };
}

function invalid(faults: ConfigurationFault[], fileName: string): DirpostError {
  const told = faults.map(
    ({ line, path, message }) => `${fileName}:${line}: ${path === '' ? '' : `${path}: `}${message}`,
  );
  const count = faults.length === 1 ? 'a fault' : `${faults.length} faults`;
  return new DirpostError('config-invalid', `The configuration has ${count}:\n${told.join('\n')}`, {
    retry: 'operator',
    hint: 'docs/configuration.md names every setting.',
    context: { faults },
  });
}
