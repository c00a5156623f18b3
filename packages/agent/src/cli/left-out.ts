/** Attributes that a directory has no place for, and that are left out of what is written there: told by preview and check. */
import { LdapDirectory } from '@dirpost/adapters';
import { decodeEntry, DirpostError, type EntryKind, isEdit, writtenNames } from '@dirpost/core';
import { type Agent, openAgent } from '../agent.ts';
import type { Configuration } from '../config/load.ts';
import type { SubscribingDirectory, Postoffice } from '../postoffice.ts';
import type { Invocation } from './command.ts';
import { type Finding, finding } from './findings.ts';
import type { Column } from './screen.ts';

export interface LeftOut {
  /** In lower case. */
  attribute: string;
  entries: number;
}

const BATCH = 2_000;
/** Of more names nobody reads; they come from outside. */
const MOST_NAMED = 1_000;

export const leftOutColumns: Column<LeftOut & { directory: string }>[] = [
  { title: 'directory', value: (one) => one.directory },
  { title: 'has no place for', value: (one) => one.attribute },
  { title: 'entries', value: (one) => one.entries, align: 'right' },
];

export class LeftOutCounts {
  readonly #entries = new Map<string, number>();

  count(attribute: string, entries = 1): void {
    const before = this.#entries.get(attribute);
    if (before !== undefined || this.#entries.size < MOST_NAMED) this.#entries.set(attribute, (before ?? 0) + entries);
  }

  /** Those of most entries first. */
  all(): LeftOut[] {
    return Array.from(this.#entries, ([attribute, entries]) => ({ attribute, entries })).sort(
      (a, b) => b.entries - a.entries || (a.attribute < b.attribute ? -1 : 1),
    );
  }

  /** RFC 2849: comments, one to a line. */
  comments(directory: string): string[] {
    const plain = (text: string) => text.replaceAll(/[^\w;.-]/g, '?');
    return this.all().map(
      ({ attribute, entries }) =>
        `# left out, since ${plain(directory)} has no place for it: ${plain(attribute)} (${entries})\n`,
    );
  }
}

/** Of all entries of the replica. Opens the store to read; where it cannot be opened its own check says so. */
export async function leftOutFindings(
  { signal }: Invocation,
  configuration: Configuration,
  name: string,
): Promise<Finding[]> {
  let agent: Agent;
  try {
    agent = await openAgent(configuration, { readOnly: true });
  } catch (error) {
    if (!(error instanceof DirpostError)) throw error;
    return [];
  }
  try {
    const target = agent.postoffice.subscribing.find(({ directory }) => directory.name === name);
    if (target === undefined) return [];
    return await finding(name, () => findLeftOut(agent.postoffice, target, signal));
  } finally {
    await agent.close();
  }
}

async function findLeftOut(
  { store }: Pick<Postoffice, 'store'>,
  { directory, options }: SubscribingDirectory,
  signal: AbortSignal,
): Promise<Finding[]> {
  if (!(directory instanceof LdapDirectory)) return [];
  const named = new Map<EntryKind, Map<string, number>>();
  for (let after = 0; ; ) {
    signal.throwIfAborted();
    const rows = await store.read((tx) => tx.scanEntries('replica', after, BATCH));
    if (rows.length === 0) break;
    after = rows.at(-1)!.number;
    for (const { bytes } of rows) {
      if (bytes === null || isEdit(bytes)) continue;
      const entry = decodeEntry(bytes);
      const counts = named.get(entry.kind) ?? new Map<string, number>();
      named.set(entry.kind, counts);
      for (const one of writtenNames(options, entry)) counts.set(one, (counts.get(one) ?? 0) + 1);
    }
  }
  if (named.size === 0) return [];
  const counts = new LeftOutCounts();
  const names = new Map(Array.from(named, ([kind, all]) => [kind, [...all.keys()]]));
  for (const [kind, all] of await directory.leftOut(names, signal)) {
    for (const one of all) counts.count(one, named.get(kind)!.get(one));
  }
  const all = counts.all();
  if (all.length === 0) return [];
  const text = all.map(({ attribute, entries }) => `${attribute} (${entries})`).join(', ');
  return [{ what: directory.name, result: 'ok', text: `no place there, and left out of so many entries: ${text}` }];
}
