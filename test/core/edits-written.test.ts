/** T3 into directories that are written entry by entry: entries with the edits of others folded in, and no edits. */
import {
  applyDelta,
  type Attributes,
  baseOf,
  type Change,
  decodeEntry,
  defaultHolds,
  DigestSum,
  encodeEdit,
  encodeEntry,
  type Entry,
  entryHash,
  loadOwn,
  proposeEdit,
  saveOwn,
  type Update,
  withdrawEdit,
  withSettled,
} from '@dirpost/core';
import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { carriedOut } from '../../packages/core/src/planned-state.ts';
import { entryOf, idOf, Office } from './target-tree.ts';

let office: Office;
beforeEach(async () => {
  office = await new Office().begin();
  await comes(entryOf('anna', { title: 'clerk' }));
  await comes(entryOf('bo', { title: 'clerk' }));
  await office.write();
});

const values = (title: string): Attributes => new Map([['title', [Buffer.from(title)]]]);
const lima = { name: 'lima', random: randomBytes };

function edit(editor: string, title: string): Entry {
  const bases = [baseOf(values('clerk'), ['title'])];
  return encodeEdit(editor, { target: idOf('anna'), bases, serial: Buffer.alloc(8), values: values(title) });
}

let number = 0;

/** As an update brings it; `bytes` null: it goes. */
async function update(id: Uint8Array, owner: string, bytes: Buffer | null): Promise<void> {
  await office.store.transaction(async (tx) => {
    const own = await loadOwn(tx);
    const [row] = await tx.entriesById('replica', [id]);
    const sum = DigestSum.from(own.replica.digest);
    if (row !== undefined) sum.subtract(row.hash);
    if (bytes !== null) sum.add(entryHash(bytes));
    const state = bytes === null ? 'removed' : 'whole';
    const change: Change = { number: ++number, id, owner, state, bytes: bytes ?? Buffer.alloc(0) };
    const head = { mode: 'delta', to: { seq: number, digest: sum.digest() }, number } as Update;
    const parts = (async function* () {
      yield [change];
    })();
    const context = { name: 'lima', holds: defaultHolds, clock: { now: () => 0 } };
    own.replica = await applyDelta(tx, context, own.replica, head, parts);
    await saveOwn(tx, own);
  });
}

const comes = (entry: Entry) => update(entry.id, entry.owner, encodeEntry(entry));
const goes = (entry: Entry) => update(entry.id, entry.owner, null);

/** Who is written, and his title. */
async function written(): Promise<string[]> {
  const changes = await office.write();
  if (onlyChanged) await office.store.transaction((tx) => carriedOut(tx, office.options.name));
  return changes.map(
    ({ dn, attributes, kind }) => `${kind} ${dn.split(',')[0]} ${String(attributes.get('title')?.[0])}`,
  );
}

/** Plans look at what changed since the last one only. */
let onlyChanged = false;

describe.each([
  ['everything is looked at', false],
  ['only what changed is looked at', true],
])('where %s', (_, only) => {
  beforeEach(async () => {
    onlyChanged = only;
    await written();
  });

  it('a change that is proposed is written with its entry, once, and no container for who proposes it', async () => {
    await comes(edit('rome', 'chief'));
    expect(await written()).toEqual(['person cn=anna chief']);
    expect(await office.plan()).toEqual([]);
    await comes(entryOf('carl'));
    expect(await written()).toEqual(['person cn=carl undefined']);
  });

  it('what was settled is no longer shown, and its mark never', async () => {
    const proposed = edit('rome', 'chief');
    await comes(proposed);
    await written();
    const marks = [entryHash(encodeEntry(proposed))];
    await comes(decodeEntry(withSettled(encodeEntry(entryOf('anna', { title: 'clerk' })), marks)));
    const [change] = await office.write();
    expect([...change!.attributes.keys()].sort()).toEqual(['cn', 'title']);
    expect(String(change!.attributes.get('title'))).toBe('clerk');
    await goes(proposed);
    await comes(entryOf('anna', { title: 'clerk' }));
    expect(await office.plan()).toEqual([]);
  });

  it('an edit that goes, where nothing else changes, is taken out again', async () => {
    const proposed = edit('rome', 'chief');
    await comes(proposed);
    await office.write();
    await goes(proposed);
    expect(await written()).toEqual(['person cn=anna clerk']);
    expect(await office.plan()).toEqual([]);
  });

  it('an own edit is written at once, and taken out when it is withdrawn', async () => {
    const target = idOf('anna');
    await office.store.transaction((tx) =>
      proposeEdit(tx, lima, { target, values: values('boss'), saw: values('clerk') }),
    );
    expect(await written()).toEqual(['person cn=anna boss']);
    await office.store.transaction((tx) => withdrawEdit(tx, lima, target));
    expect(await written()).toEqual(['person cn=anna clerk']);
  });
});
