/** T0: what this postoffice wrote into a directory is not read back as its own people. */
import { createMemoryStore, type MemoryStore } from '@dirpost/adapters';
import {
  compileMapping,
  createRequestor,
  defaultHolds,
  defaultLimits,
  deriveEntryId,
  type DirectoryEntry,
  DirectoryReading,
  stampOf,
  type WrittenHere,
} from '@dirpost/core';
import { randomBytes } from 'node:crypto';
import { beforeEach, expect, it } from 'vitest';

const mapping = compileMapping({ owner: 'oslo', key: 'entryUUID', space: 'entryuuid', limits: defaultLimits });
const id = Buffer.from(deriveEntryId('bonn', 'test', Buffer.from('anna')));
const hex = (text: string) => Buffer.from(text).toString('hex');

let store: MemoryStore;
beforeEach(async () => {
  store = createMemoryStore();
  await store.transaction(async (tx) => {
    await createRequestor(tx, randomBytes);
    const place = { dn: 'cn=anna,ou=network', anchor: hex('u-anna') };
    await tx.putPlaced('network', [{ id, place, hash: id, refused: null }]);
    await tx.putAssociations('network', [{ id, dn: place.dn, normalizedDn: place.dn }]);
  });
});

function person(dn: string, key: string, labeledUri = 'https://oslo.example'): DirectoryEntry {
  const values = { objectclass: 'person', cn: 'x', entryuuid: key, labeleduri: labeledUri };
  return { dn, attributes: new Map(Object.entries(values).map(([name, value]) => [name, [Buffer.from(value)]])) };
}

/** How many were published, and left out. */
async function read(writtenHere: WrittenHere | undefined, ...entries: DirectoryEntry[]): Promise<number[]> {
  const context = { holds: defaultHolds, clock: { now: () => 0 } };
  const reading = new DirectoryReading(store, 'oslo', 'people', mapping, context, writtenHere);
  await reading.begin();
  await reading.take(entries);
  const certificate = { complete: true, remarks: [], entries: 0, source: 'test', bookmark: null };
  const { published, leftOut } = await reading.finish(certificate);
  return [published, leftOut];
}

it.each([
  ['its key, wherever it was moved', person('cn=anna,ou=elsewhere', 'u-anna')],
  ['its DN, where the directory was reloaded', person('CN=Anna, ou=network', 'u-other')],
  ['its stamp, whatever became of it', person('cn=bo,ou=people', 'u-bo', stampOf(id).toString())],
])('it is known by %s', async (_, entry) => {
  const own = person('cn=own,ou=people', 'u-own');
  expect(await read({ directories: ['network'], stamps: ['labeleduri'] }, entry, own)).toEqual([1, 1]);
});

it('is published where nothing is said of what was written', async () => {
  expect(await read(undefined, person('cn=anna,ou=network', 'u-anna'))).toEqual([1, 0]);
});
