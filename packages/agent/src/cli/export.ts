/** `dirpost export`: the replica as LDIF, or as JSON, each entry with the DN that it has at its owner, edits folded in. */
import { open, rename, rm } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { fileError, writeLdif } from '@dirpost/adapters';
import {
  type Attributes,
  decodeEntry,
  type DirectoryEntry,
  type Entry,
  foldedRows,
  shownBytes,
  type Store,
} from '@dirpost/core';
import { counted } from '../events.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { shownValue, textOf } from './entries.ts';
import { printableJson, type Screen } from './screen.ts';

const BATCH = 1_000;

export async function exportCommand(call: Invocation, file: string | undefined): Promise<ExitCode> {
  return withAgent(call, { readOnly: true, quiet: true }, async ({ postoffice }) => {
    const { screen } = call;
    let count = 0;
    const showing = async function* () {
      for await (const entry of replicaEntries(postoffice.store)) {
        screen.progress({ what: 'exporting', done: ++count });
        yield entry;
      }
    };
    if (file === undefined && screen.json) {
      await toJson(showing(), screen);
      return EXIT.done;
    }
    if (file === undefined) {
      const out = new Writable({
        write(chunk, _encoding, done) {
          screen.raw(String(chunk));
          done();
        },
      });
      await writeLdif(showing(), out);
      return EXIT.done;
    }
    await toFile(file, showing());
    screen.data({ file, entries: count });
    screen.line(`${counted(count, 'entry')} written to ${file}.`);
    return EXIT.done;
  });
}

/** One document, in which no more than an entry is held in memory. */
async function toJson(entries: AsyncIterable<DirectoryEntry>, screen: Screen): Promise<void> {
  screen.raw('[');
  let between = '\n';
  for await (const { dn, attributes } of entries) {
    const shown = [...attributes].map(([name, values]) => [name, values.map((value) => shownValue(name, value))]);
    screen.raw(`${between}${printableJson({ dn, attributes: Object.fromEntries(shown) })}`);
    between = ',\n';
  }
  screen.raw('\n]\n');
}

/** There whole or not at all. */
async function toFile(file: string, entries: AsyncIterable<DirectoryEntry>): Promise<void> {
  const temporary = `${file}.tmp`;
  try {
    const out = (await open(temporary, 'w', 0o600)).createWriteStream();
    await writeLdif(entries, out);
    out.end();
    await finished(out);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw fileError(error, `write ${file}`);
  }
}

/** Members that are known stand with the DNs that they have at their owners. */
async function* replicaEntries(store: Store): AsyncGenerator<DirectoryEntry> {
  for (let after = 0; ; ) {
    const from = after;
    const { rows, shown } = await store.read(async (tx) => {
      const batch = await tx.scanEntries('replica', from, BATCH);
      return { rows: batch, shown: await foldedRows(tx, batch) };
    });
    if (rows.length === 0) return;
    for (const bytes of shown) if (bytes !== null) yield await exported(store, decodeEntry(bytes));
    after = rows.at(-1)!.number;
  }
}

async function exported(store: Store, entry: Entry): Promise<DirectoryEntry> {
  const attributes: Attributes = new Map(entry.attributes);
  const dn = textOf(entry, 'entrydn') ?? `cn=${Buffer.from(entry.id).toString('hex')}`;
  attributes.delete('entrydn');
  const members = attributes.get('member;entryid');
  if (members !== undefined) {
    attributes.delete('member;entryid');
    const rows = await store.read((tx) => tx.entriesById('replica', members));
    const dns = rows.map((row) => (row === undefined ? undefined : textOf(decodeEntry(shownBytes(row)!), 'entrydn')));
    const known = dns.filter((one) => one !== undefined).map((one) => Buffer.from(one));
    if (known.length > 0) attributes.set('member', known);
  }
  return { dn, attributes };
}
