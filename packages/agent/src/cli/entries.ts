/** `dirpost entries`: look into the replica, or into what is published or collected. */
import {
  compileFilter,
  decodeEntry,
  DirpostError,
  type Entry,
  type EntryTable,
  foldedRows,
  isEdit,
  lookupIn,
  shownBytes,
  type StoreTx,
} from '@dirpost/core';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';

const BATCH = 2_000;

export interface ShownEntry {
  id: string;
  owner: string;
  kind: string;
  attributes: Record<string, string[]>;
}

export async function entries(
  call: Invocation,
  filterText: string | undefined,
  options: { of: EntryTable; limit: string },
): Promise<ExitCode> {
  const limit = countOf(options.limit);
  return withAgent(call, { readOnly: true, quiet: true }, async ({ postoffice }) => {
    const { screen } = call;
    const { found, more } = await postoffice.store.read((tx) => find(tx, options.of, filterText ?? '(&)', limit));
    screen.data(found.map(shownEntry));
    screen.table(found, [
      { title: 'owner', value: (entry) => entry.owner },
      { title: 'kind', value: (entry) => entry.kind },
      { title: 'name', value: (entry) => textOf(entry, 'cn') ?? textOf(entry, 'displayname') ?? textOf(entry, 'uid') },
      { title: 'mail', value: (entry) => textOf(entry, 'mail') },
      { title: 'dn', value: (entry) => textOf(entry, 'entrydn') },
    ]);
    if (found.length === 0) screen.line('No entries.');
    else if (more) screen.line(`\nThe first ${limit}; more with --limit, or narrow it down with a filter.`);
    return EXIT.done;
  });
}

export function countOf(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1)
    throw new DirpostError('wrong-use', `"${text}" is not a number of entries.`);
  return count;
}

async function find(
  tx: StoreTx,
  table: EntryTable,
  filterText: string,
  limit: number,
): Promise<{ found: Entry[]; more: boolean }> {
  const filter = compileFilter(filterText);
  // Edits are no entries of a directory; who asks for them sees them.
  const wantsEdits = /\(kind=edit\)/i.test(filterText);
  const found: Entry[] = [];
  for (let after = 0; ; ) {
    const rows = await tx.scanEntries(table, after, BATCH);
    if (rows.length === 0) return { found, more: false };
    // In the replica with edits folded in, as directories are shown it.
    const folded = table === 'replica' && !wantsEdits ? await foldedRows(tx, rows) : null;
    for (const [i, row] of rows.entries()) {
      // What is held is listed as the directories and lists still show it.
      const bytes = folded === null ? shownBytes(row) : folded[i]!;
      if (bytes === null || (!wantsEdits && isEdit(bytes)) || filter.matches(lookupIn(bytes)) !== true) continue;
      if (found.length === limit) return { found, more: true };
      found.push(decodeEntry(bytes));
    }
    after = rows.at(-1)!.number;
  }
}

export function textOf(entry: Entry, name: string): string | undefined {
  const value = entry.attributes.get(name)?.[0];
  return value === undefined ? undefined : Buffer.from(value).toString('utf8');
}

/** Octets that are no UTF-8 text, and entry ids, as hexadecimal text. */
export function shownEntry(entry: Entry): ShownEntry {
  const attributes: Record<string, string[]> = {};
  for (const [name, values] of entry.attributes) attributes[name] = values.map((value) => shownValue(name, value));
  return { id: Buffer.from(entry.id).toString('hex'), owner: entry.owner, kind: entry.kind, attributes };
}

export function shownValue(name: string, value: Uint8Array): string {
  const octets = Buffer.from(value);
  const text = octets.toString('utf8');
  return name.endsWith(';entryid') || !Buffer.from(text).equals(octets) ? `0x${octets.toString('hex')}` : text;
}
