/**
 * Checkers for a world that has come to rest; apart from the code under test. Each gives sentences that say what is
 * wrong; none means that all is well.
 */
import { createHash } from 'node:crypto';
import {
  type AddressList,
  allRequestors,
  decodeEntry,
  type EntryRow,
  listDigestFor,
  listFor,
  loadList,
  loadOwn,
  type StoreTx,
} from '@dirpost/core';
import { clashFaults, withoutWithheld } from './clash-watch.ts';
import { visible } from './hold-watch.ts';
import type { Machine } from './machine.ts';
import { clashingMails, comparedMail, type ExpectedEntry, expectedReplica } from './organisation.ts';
import { DirpostError } from '@dirpost/core';

const ALL = 1_000_000;

/** Every postoffice runs once, and everybody's replica, directory and digests are what the owners' directories say. */
export async function disagreements(machines: readonly Machine[], server: Machine): Promise<string[]> {
  const wrong: string[] = [];
  for (const name of new Set(machines.map((machine) => machine.name))) {
    const running: Machine[] = [];
    for (const machine of machines)
      if (machine.name === name && (await machine.own()).stopped === null) running.push(machine);
    if (running.length !== 1) wrong.push(`${name} runs ${running.length} times`);
    for (const machine of running) {
      wrong.push(...(await replicaFaults(machine)));
      wrong.push(...(await ownerFaults(machine, server)));
    }
  }
  wrong.push(...(await listFaults(server)));
  if (wrong.length === 0) wrong.push(...(await clashFaults(machines)));
  return wrong;
}

/**
 * While effects are held and nobody approves: owners, server and replicas agree about what was said, and every directory
 * holds what its replica shows.
 */
export async function disagreementsWhileHeld(machines: readonly Machine[], server: Machine): Promise<string[]> {
  const wrong = await listFaults(server);
  for (const machine of machines) {
    if ((await machine.stopped()) !== null) continue;
    const { own, rows } = await machine.store.read(async (tx) => ({
      own: await loadOwn(tx),
      rows: await tx.scanEntries('replica', 0, ALL),
    }));
    const { collected, record, digest } = await server.store.read(async (tx) => ({
      collected: (await tx.scanEntries('collected', 0, ALL, machine.name)).filter((row) => !row.deleted),
      record: (await allRequestors(tx)).find((one) => one.name === machine.name),
      digest: await listDigestFor(
        tx,
        await loadList(tx, listFor(listsOf(server), machine.name)!.definition.name),
        machine.name,
      ),
    }));
    const check = (holds: boolean, text: string) => holds || wrong.push(`${machine.label}: ${text}`);
    check(
      digestOf(collected) === own.digest && record?.accepted.digest === own.digest,
      'the server has something else',
    );
    check(record?.live === collected.length, `the server counts ${record?.live} entries`);
    check(own.heldAtServer === record?.holding.held.entries, 'does not know how much is held at the server');
    const live = rows.filter((row) => !row.deleted);
    check(
      own.replica.digest === digestOf(live) && own.replica.digest === digest,
      'the replica is not what the list is',
    );
    check(own.replica.live === live.length, `counts ${own.replica.live} of ${live.length} entries`);
    // With edits directories show more than the replica: edit-watch.ts looks at them.
    if (machine.around.editable.length === 0) wrong.push(...targetFaults(machine, rows));
  }
  return wrong;
}

function listsOf(server: Machine): AddressList[] {
  return server.life?.postoffice.server?.lists ?? [];
}

async function replicaFaults(machine: Machine): Promise<string[]> {
  const { offices, definition } = machine.around;
  const expected = expectedReplica(offices, definition(), machine.name);
  const clashing = clashingMails(offices, definition());
  const { own, rows } = await machine.store.read(async (tx) => ({
    own: await loadOwn(tx),
    rows: await tx.scanEntries('replica', 0, ALL),
  }));
  const wrong: string[] = [];
  const found = new Set<string>();
  for (const row of rows) {
    const id = hex(row.id);
    found.add(id);
    const difference = row.deleted ? 'its removal still waits' : differenceTo(expected.get(id), row, clashing);
    if (difference !== null) wrong.push(`${machine.label}: replica, entry ${id} of ${row.owner}: ${difference}`);
  }
  for (const [id, { owner }] of expected)
    if (!found.has(id)) wrong.push(`${machine.label}: replica lacks ${id} of ${owner}`);
  const live = rows.filter((row) => !row.deleted);
  if (own.replica.digest !== digestOf(live)) wrong.push(`${machine.label}: the replica's digest is not its content's`);
  if (own.replica.live !== live.length)
    wrong.push(`${machine.label}: counts ${own.replica.live} of ${live.length} entries`);
  if (wrong.length === 0) wrong.push(...targetFaults(machine, rows));
  return wrong;
}

/** `clashing`: addresses that others have, too, and that this entry may be shown without; who does see clashFaults. */
function differenceTo(
  expected: ExpectedEntry | undefined,
  row: EntryRow,
  clashing: ReadonlyMap<string, unknown>,
): string | null {
  if (expected === undefined) return 'should not be there';
  const { kind, owner, attributes } = decodeEntry(row.bytes!);
  if (owner !== expected.owner || row.owner !== owner || kind !== expected.kind) return `is ${kind} of ${owner}`;
  const names = new Set([...attributes.keys(), ...expected.attributes.keys()]);
  for (const name of names) {
    const has = (attributes.get(name) ?? []).map(hex).sort().join();
    const wanted = (expected.attributes.get(name) ?? []).join();
    if (name === 'mail' && has === '' && clashing.has(comparedMail(Buffer.from(wanted, 'hex').toString()))) continue;
    if (has !== wanted) return `${name} is [${has}], not [${wanted}]`;
  }
  return null;
}

/** The subscribing directory holds the replica, but for what it refuses. */
function targetFaults(machine: Machine, rows: EntryRow[]): string[] {
  const { entries, refused } = machine.target;
  const wrong: string[] = [];
  const ids = new Set(rows.map((row) => hex(row.id)));
  for (const row of rows) {
    const id = hex(row.id);
    const written = entries.get(id);
    if (written === undefined && !refused.has(id)) wrong.push(`${machine.label}: the directory lacks ${id}`);
    if (written === undefined) continue;
    for (const [name, values] of decodeEntry(visible('replica', row)!).attributes) {
      if (name === 'entrydn' || name === 'entryuuid') continue;
      if (name === 'member;entryid') {
        const dns = values.map((value) => entries.get(hex(value))?.dn).filter((dn) => dn !== undefined);
        const has = (written.attributes.get('member') ?? []).map((value) => Buffer.from(value).toString());
        if (dns.some((dn) => !has.includes(dn)))
          wrong.push(`${machine.label}: the directory has other members in ${id}`);
        continue;
      }
      const has = new Set((written.attributes.get(name) ?? []).map(hex));
      if (!values.every((value) => has.has(hex(value))))
        wrong.push(`${machine.label}: the directory has another ${name} in ${id}`);
    }
  }
  for (const [id, { dn }] of entries) {
    if (!ids.has(id) && dn.startsWith('cn=')) wrong.push(`${machine.label}: the directory still has ${dn}`);
  }
  return wrong;
}

/** What the owner publishes, what it says of it, and what the server has and says of it, are one. */
async function ownerFaults(machine: Machine, server: Machine): Promise<string[]> {
  const { own, rows } = await machine.store.read(async (tx) => ({
    own: await loadOwn(tx),
    rows: (await tx.scanEntries('published', 0, ALL)).filter((row) => !row.deleted),
  }));
  const { collected, record } = await server.store.read(async (tx) => ({
    collected: (await tx.scanEntries('collected', 0, ALL, machine.name)).filter((row) => !row.deleted),
    record: (await allRequestors(tx)).find((one) => one.name === machine.name),
  }));
  const wrong: string[] = [];
  const check = (holds: boolean, text: string) => holds || wrong.push(`${machine.label}: ${text}`);
  const people = new Set([...machine.office.people.keys()].map((key) => machine.office.idOf(key)));
  check(
    rows.length === people.size && rows.every((row) => people.has(hex(row.id))),
    'publishes other entries than it has',
  );
  check(own.digest === digestOf(rows), 'the owner digest is not that of its content');
  check(digestOf(collected) === own.digest, 'the server has collected something else');
  check(record?.accepted.digest === own.digest, "the server's owner digest is another");
  check(record?.live === collected.length, `the server counts ${record?.live} entries`);
  check(
    record?.flaggedCount === collected.filter((row) => row.note !== null).length,
    'the server counts its flags wrong',
  );
  return wrong;
}

/** The sums that the server keeps of its lists are those of what they release. */
async function listFaults(server: Machine): Promise<string[]> {
  const lists = listsOf(server);
  return server.store.read(async (tx) => {
    const wrong: string[] = [];
    for (const list of lists) {
      const { name } = list.definition;
      const record = await loadList(tx, name);
      const listed = await tx.scanList(name, 0, null, ALL);
      const released = listed.map(({ entry }) => ({
        owner: entry.owner,
        bytes: withoutWithheld(entry, releasedBytes(list, visible('collected', entry)!)),
      }));
      if (record.digest !== digestOf(released)) wrong.push(`the digest of list ${name} is not that of its content`);
      if (record.count !== released.length) wrong.push(`list ${name} counts ${record.count} of ${released.length}`);
      for (const { owner, digest, count } of await tx.sums(name)) {
        const own = released.filter((one) => one.owner === owner);
        if (digest !== digestOf(own) || count !== own.length)
          wrong.push(`the sum of ${owner} on list ${name} is wrong`);
      }
    }
    return wrong;
  });
}

/** Edits are released as they are. */
function releasedBytes(list: AddressList, bytes: Uint8Array): Uint8Array {
  return decodeEntry(bytes).kind === 'edit' ? bytes : list.release(bytes)!.bytes;
}

/** Rule 4 and 7 of design section 3: after everybody has acknowledged everything, hardly anything is kept. */
export async function growth(machine: Machine): Promise<string[]> {
  const { limits } = machine.around;
  const wrong: string[] = [];
  const check = (holds: boolean, text: string) => holds || wrong.push(`${machine.label}: ${text}`);
  for (const queue of ['incoming', 'outgoing'] as const)
    check(machine.spool.queue(queue).size === 0, `${machine.spool.queue(queue).size} message files stay in ${queue}`);
  check(machine.spool.queue('done').size <= 20, 'done is not pruned');
  await machine.store.read(async (tx) => {
    const waiting = await tx.outgoing({ undelivered: true });
    check(waiting.length === 0, `${waiting.length} messages wait to be sent`);
    const parts = await tx.parts('hq', 'update');
    check(parts.length === 0, `${parts.length} parts stay staged`);
    check((await checkpoints(tx, 'own')) <= limits.checkpointsKept, 'too many own checkpoints');
    const tombstones = (await tx.countEntries('published')).deleted;
    check(tombstones <= 60, `${tombstones} tombstones in published`);
    if (machine.life?.postoffice.server) wrong.push(...(await serverGrowth(tx, machine)));
  });
  return wrong;
}

async function serverGrowth(tx: StoreTx, machine: Machine): Promise<string[]> {
  const { limits } = machine.around;
  const lists = machine.life!.postoffice.server!.lists;
  const wrong: string[] = [];
  const tombstones = (await tx.countEntries('collected')).deleted;
  if (tombstones > 0) wrong.push(`the server keeps ${tombstones} tombstones that everybody has acknowledged`);
  for (const record of await allRequestors(tx)) {
    const { identity } = await loadList(tx, listFor(lists, record.name)!.definition.name);
    for (const scope of [`history/${record.name}`, `sent/${record.name}/${identity}`]) {
      const kept = await checkpoints(tx, scope);
      if (kept > limits.checkpointsKept) wrong.push(`${kept} checkpoints in ${scope}`);
    }
    const parts = await tx.parts(record.name, 'exchange');
    // Above the newest they are of a life that its owner lost in a restore, and go when he reaches that number again.
    const over = parts.filter((part) => part.number <= record.newest);
    if (over.length > 0) wrong.push(`${over.length} parts of ${record.name} stay staged`);
  }
  return wrong;
}

/** The store has no way to count them; their seqs are small here. */
async function checkpoints(tx: StoreTx, scope: string): Promise<number> {
  let count = 0;
  for (let seq = 0; seq < 500; seq++) if ((await tx.checkpoint(scope, seq)) !== undefined) count++;
  return count;
}

/** Every damaged file that a machine took in lies in `corrupt`, with a note. */
export function missingCorrupt(machine: Machine): string[] {
  const kept = machine.spool.queue('corrupt');
  const waiting = machine.spool.queue('incoming');
  const wrong: string[] = [];
  for (const name of machine.damaged) {
    const note = kept.get(name)?.note;
    if (!waiting.has(name) && (note === undefined || note.code === ''))
      wrong.push(`${machine.label}: the damaged file ${name} is gone`);
  }
  return wrong;
}

/** Sum of entry hashes modulo 2^128, computed anew from the content. */
export function digestOf(rows: { bytes: Uint8Array | null }[]): string {
  let sum = 0n;
  for (const { bytes } of rows) {
    if (bytes === null) throw new DirpostError('store-failed', 'An entry has no content.');
    sum += BigInt(`0x${createHash('sha256').update(bytes).digest('hex').slice(0, 32)}`);
  }
  return (sum % (1n << 128n)).toString(16).padStart(32, '0');
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
