/**
 * Values that must be unique on the network (T2, design section 5): of a value that entries of several owners have, the
 * owner who had it first keeps it on the lists; the lists release the entries of the others without it. Owner digests are
 * not touched: what is collected is what its owner says, and `EntryRow.withheld` says what is left out of it.
 *
 *   an entry comes to have a value   ─▶ a claim; `new` where another owner has the value, too
 *   an entry has it no more          ─▶ its claim is `gone`
 *   at the end of the submission     ─▶ settle: claims that are gone end, and where the last one of a holder ended the
 *                                       oldest of the others holds the value; new ones wait for the holder
 *
 * A claim belongs to the owner: it is as old as his first one of that value, and lives while any entry of his has the
 * value at the end of a submission. So nothing changes when he submits everything anew, under another incarnation or with
 * other entry ids. What counts is what may be shown: a change that is held, or an entry that the rules refuse, claims
 * nothing. Entries of one owner may share a value.
 */
import {
  comparedAttributes,
  type ComparedValue,
  comparedHash,
  comparedValues,
  hasHash,
  VALUE_HASH_BYTES,
  ValueReader,
} from './compared-values.ts';
import { isEdit } from './edits.ts';
import { attributeSpans } from './entry.ts';
import { listable } from './holds.ts';
import type { ListNumbering } from './list-numbering.ts';
import type { ServerRecord } from './records.ts';
import type { Claim, ClaimKey, EntryRow, StoreTx } from './seams/store.ts';

const BATCH = 2_000;
/** Values are all over their table: they are gathered, and written in their order. */
const WRITTEN_AT_ONCE = 25_000;

/** A collected entry that changed, and what the lists might release of it before. */
export interface ChangedEntry {
  row: EntryRow;
  before: Uint8Array | null;
}

export class UniqueValues {
  readonly #reader: ValueReader;
  /** Not written yet. */
  #came: NewClaim[] = [];
  #unsettled = false;

  /** `attributes`: see comparedAttributes. */
  constructor(
    private readonly tx: StoreTx,
    attributes: readonly string[],
  ) {
    this.#reader = new ValueReader(attributes);
  }

  /** Before the row is written: what it has no more is not withheld of it. */
  prepare(row: EntryRow): EntryRow {
    if (row.withheld !== null) row.withheld = this.#stillWithheld(row);
    return row;
  }

  /** After the rows were written. `seqOf`: when the value came to the server. */
  async changed(entries: ChangedEntry[], seqOf: (row: EntryRow) => number = (row) => row.seq): Promise<void> {
    if (this.#reader.isEmpty) return;
    const came: NewClaim[] = [];
    const went: ClaimKey[] = [];
    for (const { row, before } of entries) {
      const { owner, number } = row;
      const difference = this.#difference(before, listable(row));
      if (difference === null) continue;
      for (const value of difference.came) came.push({ value, owner, number, seq: seqOf(row) });
      for (const value of difference.went) went.push({ value, owner, number });
    }
    if (went.length > 0) {
      // In the order in which they happened: what went may have come before, and may come again.
      await this.#write();
      this.#unsettled = true;
      await this.tx.dropClaims(inOrder(went));
    }
    for (const claim of came) this.#came.push(claim);
    if (this.#came.length >= WRITTEN_AT_ONCE) await this.#write();
  }

  async #write(): Promise<void> {
    if (this.#came.length === 0) return;
    const came = inOrder(this.#came);
    this.#came = [];
    this.#unsettled = true;
    for (let from = 0; from < came.length; from += BATCH) await this.tx.putClaims(came.slice(from, from + BATCH));
  }

  /** Once, when all is known that changed; numbers what that means for the lists. */
  async settle(server: ServerRecord, numbering: ListNumbering): Promise<void> {
    await this.#write();
    if (!this.#unsettled) return;
    this.#unsettled = false;
    for (;;) {
      const claims = await this.tx.unsettledClaims(BATCH);
      if (claims.length === 0) return;
      const gone = claims.filter(({ state }) => state === 'gone');
      if (gone.length > 0) await this.#end(gone, server, numbering);
      else await this.#begin(claims, server, numbering);
    }
  }

  /** All that is collected: the configuration names other attributes, or this version is new here. */
  async rebuild(server: ServerRecord, numbering: ListNumbering): Promise<void> {
    await this.tx.dropAllClaims();
    this.#unsettled = true;
    for (let after = 0; ; ) {
      const rows = await this.tx.scanEntries('collected', after, BATCH);
      if (rows.length === 0) break;
      after = rows.at(-1)!.number;
      const fewer = rows.filter(
        (row) => row.withheld !== null && row.withheld.length !== this.#stillWithheld(row)?.length,
      );
      await this.#shift(
        fewer.map((row) => ({ row, withheld: this.#stillWithheld(row) })),
        server,
        numbering,
      );
      // Numbers tell who came first; when the value came nobody knows any more.
      await this.changed(
        rows.map((row) => ({ row, before: null })),
        (row) => row.number,
      );
    }
    await this.settle(server, numbering);
  }

  async #end(gone: Claim[], server: ServerRecord, numbering: ListNumbering): Promise<void> {
    await this.tx.removeClaims(gone);
    // Who waited for another leaves no gap.
    const held = byValue(gone.filter(({ holder }) => holder === null));
    const claimants = await this.tx.claimants(held.map(([{ value }]) => value));
    for (const [i, claims] of held.entries()) {
      const [first, ...others] = claimants[i]!;
      // Nobody else wants it, or he has it in another entry.
      if (first === undefined || claims.every(({ owner }) => owner === first.owner)) continue;
      const { value } = claims[0];
      await this.#assign(value, first.owner, null, server, numbering);
      for (const { owner } of others) await this.#assign(value, owner, first.owner, server, numbering);
    }
  }

  async #begin(claims: Claim[], server: ServerRecord, numbering: ListNumbering): Promise<void> {
    const claimants = await this.tx.claimants(claims.map(({ value }) => value));
    const settled = claims.map((claim, i) => {
      const holder = claimants[i]![0]!.owner;
      return { ...claim, holder: holder === claim.owner ? null : holder };
    });
    await this.#apply(settled, server, numbering);
  }

  /** All claims of one owner to one value. */
  async #assign(
    value: Uint8Array,
    owner: string,
    holder: string | null,
    server: ServerRecord,
    numbering: ListNumbering,
  ): Promise<void> {
    for (let after = 0; ; ) {
      const claims = await this.tx.claimsOf(value, owner, after, BATCH);
      if (claims.length === 0) return;
      after = claims.at(-1)!.number;
      await this.#apply(
        claims.map((claim) => ({ ...claim, holder })),
        server,
        numbering,
      );
    }
  }

  async #apply(settled: Claim[], server: ServerRecord, numbering: ListNumbering): Promise<void> {
    await this.tx.settleClaims(settled);
    const byNumber = new Map<number, Claim[]>();
    for (const claim of settled) byNumber.set(claim.number, [...(byNumber.get(claim.number) ?? []), claim]);
    const rows = (await this.tx.entriesByNumber('collected', [...byNumber.keys()])) as EntryRow[];
    const shifts = rows.map((row) => ({ row, withheld: this.#withheldAfter(row, byNumber.get(row.number)!) }));
    await this.#shift(
      shifts.filter(({ row, withheld }) => Buffer.compare(row.withheld ?? NONE, withheld ?? NONE) !== 0),
      server,
      numbering,
    );
  }

  #withheldAfter(row: EntryRow, claims: Claim[]): Uint8Array | null {
    const decided = joined(claims.map(({ value }) => value)) ?? NONE;
    const waiting = claims.filter(({ holder, state }) => holder !== null && state !== 'gone').map(({ value }) => value);
    const before = hashesIn(row.withheld).filter((hash) => !hasHash(decided, hash));
    return joined([...before, ...waiting]);
  }

  /** The lists release more or less of these entries than before: a change as any other. */
  async #shift(
    shifts: { row: EntryRow; withheld: Uint8Array | null }[],
    server: ServerRecord,
    numbering: ListNumbering,
  ): Promise<void> {
    if (shifts.length === 0) return;
    const rows = shifts.map(({ row, withheld }): EntryRow => {
      const seq = ++server.seq;
      return { ...row, withheld, seq, changed: { ...row.changed, ...this.#shifted(row, withheld, seq) } };
    });
    await this.tx.putEntries('collected', rows);
    await numbering.entriesChanged(rows);
  }

  /** The attributes in which values come or go. */
  #shifted(row: EntryRow, withheld: Uint8Array | null, seq: number): Record<string, number> {
    const names: Record<string, number> = {};
    const both = joined([...hashesIn(row.withheld), ...hashesIn(withheld)]) ?? NONE;
    const shown = listable(row);
    if (shown === null) return names;
    // Not only the attributes of the configuration: values of one that it names no more come back.
    const all = comparedAttributes(['mail', ...[...attributeSpans(shown)].map(({ name }) => name)]);
    for (const value of comparedValues(shown, new Set(all))) {
      const hash = comparedHash(value);
      if (hash !== null && hasHash(both, hash)) names[value.description] = seq;
    }
    return names;
  }

  #stillWithheld(row: EntryRow): Uint8Array | null {
    const has = this.#hashes(listable(row));
    return joined(hashesIn(row.withheld).filter((hash) => has.has(keyOf(hash))));
  }

  /** null where the values are octet for octet the same. */
  #difference(before: Uint8Array | null, after: Uint8Array | null): { came: Buffer[]; went: Buffer[] } | null {
    const [was, is] = [this.#values(before), this.#values(after)];
    if (was.length === 0) return is.length === 0 ? null : { came: distinctHashes(is), went: [] };
    if (was.length === is.length && was.every((one, i) => isSame(one, is[i]!))) return null;
    const [had, has] = [hashed(was), hashed(is)];
    return { came: missingIn(had, has), went: missingIn(has, had) };
  }

  /** What an edit proposes is claimed by nobody, before the owner of its target takes it. */
  #values(bytes: Uint8Array | null): ComparedValue[] {
    return bytes === null || isEdit(bytes) ? [] : this.#reader.values(bytes);
  }

  #hashes(bytes: Uint8Array | null): Map<string, Buffer> {
    return hashed(this.#values(bytes));
  }
}

const NONE = new Uint8Array(0);

/** So that a number holds four octets and a place in the list. */
const MOST_SORTED = 2 ** 21;

type NewClaim = ClaimKey & Pick<Claim, 'seq'>;

/** About in the order of their table, so that each of its pages is touched once; those of one value as they came. */
function inOrder<T extends ClaimKey>(claims: T[]): T[] {
  if (claims.length > MOST_SORTED) return claims;
  // Numbers are sorted faster than objects: four octets of the value, and the place in the list.
  const keys = Float64Array.from(claims, ({ value }, at) => {
    return (value[0]! * 2 ** 24 + value[1]! * 2 ** 16 + value[2]! * 2 ** 8 + value[3]!) * MOST_SORTED + at;
  });
  return Array.from(keys.sort(), (key) => claims[key % MOST_SORTED]!);
}

/** Each once. */
function hashed(values: ComparedValue[]): Map<string, Buffer> {
  const hashes = new Map<string, Buffer>();
  for (const value of values) {
    const hash = comparedHash(value);
    if (hash !== null) hashes.set(keyOf(hash), hash);
  }
  return hashes;
}

const FEW = 8;

function distinctHashes(values: ComparedValue[]): Buffer[] {
  if (values.length > FEW) return [...hashed(values).values()];
  const hashes: Buffer[] = [];
  for (const value of values) {
    const hash = comparedHash(value);
    if (hash !== null && !hashes.some((one) => one.equals(hash))) hashes.push(hash);
  }
  return hashes;
}

function isSame(a: ComparedValue, b: ComparedValue): boolean {
  return a.attribute === b.attribute && Buffer.compare(a.value, b.value) === 0;
}

function missingIn(some: Map<string, Buffer>, all: Map<string, Buffer>): Buffer[] {
  return [...all].filter(([key]) => !some.has(key)).map(([, hash]) => hash);
}

function keyOf(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString('latin1');
}

function byValue(claims: Claim[]): [Claim, ...Claim[]][] {
  const groups = new Map<string, [Claim, ...Claim[]]>();
  for (const claim of claims) {
    const group = groups.get(keyOf(claim.value));
    if (group === undefined) groups.set(keyOf(claim.value), [claim]);
    else group.push(claim);
  }
  return [...groups.values()];
}

function hashesIn(withheld: Uint8Array | null): Uint8Array[] {
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < (withheld?.length ?? 0); at += VALUE_HASH_BYTES) {
    hashes.push(withheld!.subarray(at, at + VALUE_HASH_BYTES));
  }
  return hashes;
}

function joined(hashes: Uint8Array[]): Uint8Array | null {
  const ascending = [...new Map(hashes.map((hash) => [keyOf(hash), hash])).values()].sort(Buffer.compare);
  return ascending.length === 0 ? null : Buffer.concat(ascending);
}
