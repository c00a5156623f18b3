/**
 * Checkers for values that must be unique on the network, apart from the code under test: mail addresses that people of
 * several offices have. At every commit of the server one owner alone has such an address on the lists, and keeps it while
 * anybody of his has it; at rest all replicas agree about who that is.
 */
import { createHash } from 'node:crypto';
import { decodeEntry, encodeEntry, type EntryRow, releaseOf, compileList } from '@dirpost/core';
import { visible } from './hold-watch.ts';
import type { Machine } from './machine.ts';
import { clashingMails, comparedMail, isReleased } from './organisation.ts';

const ALL = 1_000_000;
const everything = compileList({ name: 'all', filter: '(&)', attributes: ['*'], receivers: '*' });

export class ClashWatch {
  /** Mail address → who shows it. */
  #holders = new Map<string, string>();

  constructor(private readonly violation: (text: string) => void) {}

  /** Another disk: it may remember less. */
  replaced(): void {
    this.#holders = new Map();
  }

  async committed(machine: Machine): Promise<void> {
    const rows = await machine.store.read((tx) => tx.scanEntries('collected', 0, ALL));
    const standings = new Map<string, Map<string, Set<boolean>>>();
    for (const row of rows) {
      const bytes = visible('collected', row);
      for (const mail of bytes === null ? [] : mailsIn(bytes)) {
        const owners = standings.get(mail) ?? new Map<string, Set<boolean>>();
        standings.set(mail, owners);
        const shown = mailsIn(releaseOf(everything, row)!.bytes).includes(mail);
        owners.set(row.owner, (owners.get(row.owner) ?? new Set()).add(shown));
      }
    }
    const holders = new Map<string, string>();
    for (const [mail, owners] of standings) {
      const showing = [...owners].filter(([, shown]) => shown.has(true)).map(([owner]) => owner);
      if (showing.length !== 1)
        this.violation(`clash: ${mail} of ${[...owners.keys()].join()} is shown of [${showing.join()}]`);
      for (const [owner, shown] of owners)
        if (shown.size > 1) this.violation(`clash: ${mail} is shown of some entries of ${owner} only`);
      const before = this.#holders.get(mail);
      if (before !== undefined && owners.has(before) && showing[0] !== before)
        this.violation(`flip-flop: ${mail} went from ${before}, who still has it, to ${showing[0]}`);
      if (showing[0] !== undefined) holders.set(mail, showing[0]);
    }
    this.#holders = holders;
  }
}

/** What replicas show of addresses that people of several offices have; they have all the entries that they should. */
export async function clashFaults(machines: readonly Machine[]): Promise<string[]> {
  const [{ around }] = machines as [Machine];
  const { offices } = around;
  const definition = around.definition();
  const wrong: string[] = [];
  for (const [mail, owners] of clashingMails(offices, definition)) {
    const showing = new Set<string>();
    const hiding = new Set<string>();
    for (const machine of machines) {
      if ((await machine.stopped()) !== null) continue;
      const rows = await machine.store.read((tx) => tx.scanEntries('replica', 0, ALL));
      const shown = new Map(rows.map((row) => [hex(row.id), row.bytes === null ? [] : mailsIn(row.bytes)]));
      const here = new Set<string>();
      for (const office of offices) {
        for (const person of office.people.values()) {
          if (comparedMail(person.mail) !== mail || !isReleased(definition, office.name, person, machine.name))
            continue;
          here.add(office.name);
          (shown.get(office.idOf(person.key))?.includes(mail) ? showing : hiding).add(office.name);
        }
      }
      const nobody = [...here].every((owner) => hiding.has(owner) && !showing.has(owner));
      if (here.size === owners.size && nobody) wrong.push(`${machine.label}: nobody has ${mail} in the replica`);
    }
    if (showing.size > 1) wrong.push(`${mail} is shown of ${[...showing].join()}`);
    for (const owner of showing) if (hiding.has(owner)) wrong.push(`${mail} of ${owner} is shown here and not there`);
  }
  return wrong;
}

/** What the lists may show of a row, by what the row says is withheld. */
export function withoutWithheld({ withheld }: EntryRow, bytes: Uint8Array): Uint8Array {
  if (withheld === null) return bytes;
  const entry = decodeEntry(bytes);
  const hashes = Buffer.from(withheld).toString('hex');
  const values = (entry.attributes.get('mail') ?? []).filter((value) => {
    const text = `mail\0${comparedMail(Buffer.from(value).toString())}`;
    return !hashes.includes(createHash('sha256').update(text).digest('hex').slice(0, 32));
  });
  entry.attributes.set('mail', values);
  return encodeEntry(entry);
}

function mailsIn(bytes: Uint8Array): string[] {
  return (decodeEntry(bytes).attributes.get('mail') ?? []).map((value) => comparedMail(Buffer.from(value).toString()));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
