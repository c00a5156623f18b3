/**
 * Checkers for limits on effects, at every commit and apart from the code under test: nothing over a limit becomes
 * visible that nobody approved, and what is counted as held is what is held.
 */
import { allRequestors, decodeEntry, type EntryRow, type EntryTable, loadOwn, shownReplica } from '@dirpost/core';
import { digestOf } from './checkers.ts';
import type { Machine, Surroundings } from './machine.ts';

const ALL = 1_000_000;
const kinds = ['removals', 'clearedValues', 'lostMembers', 'renames'] as const;
type Counts = Record<(typeof kinds)[number], number>;

type Rows = Map<string, EntryRow>;

export class HoldWatch {
  /** An administrator's word is being carried out. */
  approving = false;
  readonly #seen = new Map<Machine, Map<EntryTable, Rows>>();

  constructor(
    private readonly around: Surroundings,
    private readonly violation: (text: string) => void,
  ) {}

  /** Another disk. */
  async replaced(machine: Machine): Promise<void> {
    this.#seen.delete(machine);
    for (const table of ['published', 'replica', 'collected'] as const) await this.#look(machine, table);
  }

  async committed(machine: Machine, tables: ReadonlySet<EntryTable>): Promise<void> {
    for (const table of tables) {
      const before = this.#seen.get(machine)?.get(table) ?? new Map<string, EntryRow>();
      const now = await this.#look(machine, table);
      // At its start a server judges anew by changed rules; those are no effects of an owner's.
      if (machine.life !== null && !this.approving) this.#compare(machine, table, before, now);
    }
    if (tables.size > 0) await this.#recount(machine);
  }

  async #look(machine: Machine, table: EntryTable): Promise<Rows> {
    const rows = await machine.store.read((tx) => tx.scanEntries(table, 0, ALL));
    const seen = new Map(rows.map((row) => [Buffer.from(row.id).toString('hex'), row]));
    const tables = this.#seen.get(machine) ?? new Map<EntryTable, Rows>();
    this.#seen.set(machine, tables.set(table, seen));
    return seen;
  }

  #compare(machine: Machine, table: EntryTable, before: Rows, now: Rows): void {
    const owners = new Set([...before.values()].map((row) => (table === 'collected' ? row.owner : '')));
    for (const owner of owners) {
      const counts: Counts = { removals: 0, clearedValues: 0, lostMembers: 0, renames: 0 };
      let entries = 0;
      let members = 0;
      for (const [id, row] of before) {
        const was = visible(table, row);
        if (was === null || (owner !== '' && row.owner !== owner) || decodeEntry(was).kind === 'edit') continue;
        entries++;
        members += memberIds(was).size;
        const next = now.get(id);
        const refused = table === 'collected' && next !== undefined && next.note !== null;
        if (refused || (table === 'published' && row.held?.approved === true)) continue;
        count(counts, was, next === undefined ? null : visible(table, next));
      }
      for (const kind of kinds) {
        const { above, percent } = this.around.holds[kind];
        const of = kind === 'lostMembers' ? members : entries;
        if (counts[kind] > above && counts[kind] * 100 > percent * of)
          this.violation(`unheld: ${machine.label} ${table} ${owner}: ${counts[kind]} ${kind} of ${of} at once`);
      }
    }
  }

  async #recount(machine: Machine): Promise<void> {
    const seen = this.#seen.get(machine)!;
    const rows = (table: EntryTable) => [...(seen.get(table)?.values() ?? [])];
    const { own, records } = await machine.store.read(async (tx) => ({
      own: (await tx.getDocument('requestor')) === undefined ? null : await loadOwn(tx),
      records: await allRequestors(tx),
    }));
    const check = (what: string, is: unknown, found: unknown) => {
      if (JSON.stringify(is) !== JSON.stringify(found))
        this.violation(`miscounted: ${machine.label} ${what} says ${JSON.stringify(is)}, not ${JSON.stringify(found)}`);
    };
    for (const record of records) {
      const owned = rows('collected').filter((row) => row.owner === record.name);
      check(`collected of ${record.name}`, record.holding.held, heldIn('collected', owned));
      check(`members of ${record.name}`, record.members, membersOf('collected', owned));
    }
    if (own === null) return;
    const replica = rows('replica');
    check('replica', own.replica.holding.held, heldIn('replica', replica));
    check('members in the replica', own.replica.members, membersOf('replica', replica));
    const shown = replica.map((row) => ({ bytes: visible('replica', row) })).filter(({ bytes }) => bytes !== null);
    check('what is shown', shownReplica(own.replica), { digest: digestOf(shown), live: shown.length });
    const published = rows('published').filter((row) => row.held?.approved !== true);
    for (const { held } of Object.values(own.heldAtCollect)) check('published', held, heldIn('published', published));
  }
}

/** What others see of a row. */
export function visible(table: EntryTable, { bytes, held, note }: EntryRow): Uint8Array | null {
  if (table === 'collected' && note !== null) return null;
  return held === null || table === 'published' ? bytes : held.shown;
}

function count(counts: Counts, was: Uint8Array, is: Uint8Array | null): void {
  if (is === null) {
    counts.removals++;
    return;
  }
  const [before, after] = [decodeEntry(was).attributes, decodeEntry(is).attributes];
  const dn = (attributes: typeof before) => Buffer.from(attributes.get('entrydn')?.[0] ?? []).toString();
  if (before.has('entrydn') && dn(before) !== dn(after)) counts.renames++;
  const special = ['entrydn', 'member;entryid'];
  // The mark of an edit is no value of anybody.
  const isLost = (name: string) => !special.includes(name) && !name.startsWith('x-edit-') && !after.has(name);
  if ([...before.keys()].some(isLost)) counts.clearedValues++;
  const members = memberIds(is);
  counts.lostMembers += [...memberIds(was)].filter((id) => !members.has(id)).length;
}

function memberIds(bytes: Uint8Array): Set<string> {
  const members = decodeEntry(bytes).attributes.get('member;entryid') ?? [];
  return new Set(members.map((id) => Buffer.from(id).toString('hex')));
}

function membersOf(table: EntryTable, rows: EntryRow[]): number {
  return rows.reduce((sum, row) => {
    const bytes = visible(table, row);
    return bytes === null ? sum : sum + memberIds(bytes).size;
  }, 0);
}

/** For what rows are held, measured again where the row knows both sides. */
function heldIn(table: EntryTable, rows: EntryRow[]): Record<string, number> {
  const total = { entries: 0, removals: 0, clearedValues: 0, lostMembers: 0, renames: 0 };
  for (const { held, bytes } of rows) {
    if (held === null) continue;
    total.entries++;
    if (table === 'published') {
      for (const [bit, kind] of kinds.entries()) {
        if ((held.effects & (1 << bit)) !== 0) total[kind] += kind === 'lostMembers' ? held.lostMembers : 1;
      }
    } else {
      count(total, held.shown!, bytes);
    }
  }
  return total;
}
