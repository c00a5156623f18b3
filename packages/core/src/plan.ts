/**
 * T3, second half: what the replica means for a directory that subscribes to it, with edits folded in (fold.ts). Gives every entry its DN there, remembers
 * it (the association), and turns member ids back into DNs. A member whom this postoffice does not know yet is left
 * out and comes with the write after he has arrived; the replica keeps the reference.
 */
import { firstRdn, isDn, parentDn, parseDn, normalizeDn, rdnOf, writeRdn, escapeDnValue, type Rdn } from './dn.ts';
import { type Attributes, decodeEntry, deriveEntryId, type Entry } from './entry.ts';
import { editNumbers, foldedRows } from './fold.ts';
import { DN_ATTRIBUTE, MEMBER_ATTRIBUTE } from './mapping.ts';
import type { TargetLinks } from './match-targets.ts';
import { normalValue, ruleOf } from './matching.ts';
import type { DirectoryChange } from './seams/directory.ts';
import type { Association, EntryRow, Store, StoreTx } from './seams/store.ts';

const BATCH = 1_000;

export interface SubscribingOptions {
  /** Name of the directory. */
  name: string;
  /** `source`: the DN that the entry has at its owner. `container`: under `ou=OWNER,CONTAINER`. */
  dn: 'source' | 'container';
  container: string;
  /** With `container`: the attribute by which entries are named; absent: as at their owners. */
  rdn?: string;
  /** Own directories, in which own members of foreign groups are looked up. */
  publishing: string[];
  /** Entries that stood there before (match-targets.ts), of a directory that is written entry by entry. */
  links?: TargetLinks;
  /** What may be done with them; absent: neither. */
  adopted?: { rename: boolean; delete: boolean };
}

/** Gives DNs to all entries of the replica, and forgets those of entries that are gone. Run before plannedChanges. */
export async function associateReplica(store: Store, options: SubscribingOptions): Promise<void> {
  for (let after = 0; ; ) {
    const last = await store.transaction(async (tx) => {
      const rows = await tx.scanEntries('replica', after, BATCH);
      await associateRows(tx, options, rows);
      return rows.at(-1)?.number ?? 0;
    });
    if (last === 0) break;
    after = last;
  }
  await forgetGone(store, options.name);
}

/** Gives DNs to these rows of the replica; how many have another than before. */
export async function associateRows(tx: StoreTx, options: SubscribingOptions, all: EntryRow[]): Promise<number> {
  const folded = await foldedRows(tx, all);
  const shown = folded.filter((bytes) => bytes !== null);
  return (await associateEntries(tx, options, shown.map(decodeEntry))).news;
}

/** As associateRows, for entries as they are shown; `dns`: those that they have now, in their order. */
export async function associateEntries(
  tx: StoreTx,
  options: SubscribingOptions,
  entries: Entry[],
): Promise<{ dns: string[]; news: number }> {
  if (entries.length === 0) return { dns: [], news: 0 };
  const known = await tx.associationsById(
    options.name,
    entries.map(({ id }) => id),
  );
  const wanted = entries.map((entry, i) => {
    const dn = wantedDn(entry, options);
    const stands = known[i];
    return stands !== undefined && options.links?.isAdopted(stands.id) === true
      ? adoptedDn(stands.dn, dn, options)
      : dn;
  });
  const normalized = wanted.map(normalizeDn);
  const taken = await tx.associationsByDn(options.name, normalized);
  const leaving = leavingTheirs(entries, known, normalized, wanted);
  const given = new Map<string, string>();
  const news: Association[] = [];
  const dns = entries.map((entry, i) => {
    const id = Buffer.from(entry.id).toString('hex');
    const plain = wanted[i]!;
    const stands = taken[i] === undefined ? null : Buffer.from(taken[i].id).toString('hex');
    const holder = stands === null || leaving.has(stands) ? given.get(normalized[i]!) : stands;
    const isFree = holder === undefined || holder === id;
    const isPlain = isFree && !gaveWay(known[i], plain, id);
    const dn = isPlain ? plain : distinguished(plain, id);
    const normalizedDn = isPlain ? normalized[i]! : normalizeDn(dn);
    given.set(normalizedDn, id);
    if (known[i]?.normalizedDn === normalizedDn && isSpeltAlike(known[i].dn, dn)) return known[i].dn;
    news.push({ id: entry.id, dn, normalizedDn });
    return dn;
  });
  await tx.putAssociations(options.name, news);
  return { dns, news: news.length };
}

/** It stays below what it stands below. */
function adoptedDn(stands: string, wanted: string, { adopted }: SubscribingOptions): string {
  const above = parentDn(stands);
  return adopted?.rename === true && above !== null ? `${rdnOf(wanted)},${above}` : stands;
}

/** Ids, in hexadecimal, of those whose DNs are free for others of the same batch: two may change their names with each other. */
function leavingTheirs(
  entries: Entry[],
  known: (Association | undefined)[],
  normalized: string[],
  wanted: string[],
): Set<string> {
  const leaving = new Set<string>();
  for (const [i, stands] of known.entries()) {
    if (stands === undefined || stands.normalizedDn === normalized[i]) continue;
    const id = Buffer.from(entries[i]!.id).toString('hex');
    if (!gaveWay(stands, wanted[i]!, id)) leaving.add(id);
  }
  return leaving;
}

async function forgetGone(store: Store, directory: string): Promise<void> {
  for (let after = ''; ; ) {
    const last = await store.transaction(async (tx) => {
      const associations = await tx.scanAssociations(directory, after, BATCH);
      const rows = await tx.entriesById(
        'replica',
        associations.map((association) => association.id),
      );
      const gone = associations.filter((_, i) => rows[i] === undefined).map((association) => association.id);
      await tx.removeAssociations(directory, gone);
      return associations.at(-1)?.normalizedDn;
    });
    if (last === undefined) return;
    after = last;
  }
}

function wantedDn(entry: Entry, options: SubscribingOptions): string {
  const source = entry.attributes.get(DN_ATTRIBUTE)?.[0];
  const sourceDn = source === undefined ? null : textOf(source);
  if (options.dn === 'source' && sourceDn !== null && isDn(sourceDn)) return sourceDn;
  const isNamed = options.rdn === undefined && sourceDn !== null && isDn(sourceDn);
  const rdn = isNamed ? rdnOf(sourceDn) : `${options.rdn ?? 'cn'}=${escapeDnValue(shortName(nameOf(entry)))}`;
  return `${rdn},ou=${escapeDnValue(entry.owner)},${options.container}`;
}

/** Of two DNs that name the same entry: with the same capital letters and spaces in its own name. */
function isSpeltAlike(a: string, b: string): boolean {
  if (rdnOf(a) === rdnOf(b)) return true;
  const [own, other] = [parseDn(a)[0]!, parseDn(b)[0]!];
  return own.every(({ value }) => other.some((one) => Buffer.compare(one.value, value) === 0));
}

function textOf({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('utf8');
}

function nameOf(entry: Entry): string {
  for (const name of ['cn', 'displayname', 'uid', 'mail']) {
    const value = entry.attributes.get(name)?.[0];
    if (value !== undefined) return textOf(value);
  }
  return Buffer.from(entry.id).toString('hex');
}

/** Who once had to give way stays where he is, so that nobody is renamed because somebody else went. */
function gaveWay(known: Association | undefined, plain: string, id: string): boolean {
  if (known === undefined || known.normalizedDn === normalizeDn(plain)) return false;
  return known.normalizedDn === normalizeDn(distinguished(plain, id));
}

/** RFC 5280, appendix A.1, ub-common-name is 64; Active Directory holds to it. There is room for `distinguished`. */
function shortName(name: string): string {
  return [...name].slice(0, 55).join('').trim() || 'unnamed';
}

/** Two entries want one DN: the later one carries the beginning of its entry id (hexadecimal digits). */
export function distinguished(dn: string, id: string): string {
  const [rdn, ...parents] = parseDn(dn);
  const [first, ...rest] = rdn!;
  const value = Buffer.concat([first!.value, Buffer.from(` ${id.slice(0, 8)}`)]);
  const renamed: Rdn = [{ ...first!, value, ber: false }, ...rest];
  return [writeRdn(renamed), ...parents.map(writeRdn)].join(',');
}

/** Containers first, groups after all others. Reads the store batch by batch; not one snapshot. */
export async function* plannedChanges(store: Store, options: SubscribingOptions): AsyncGenerator<DirectoryChange> {
  if (options.dn === 'container') yield* containers(store, options);
  for (const groups of [false, true]) {
    for (let after = 0; ; ) {
      const from = after;
      const { rows, changes } = await store.read(async (tx) => {
        const batch = await tx.scanEntries('replica', from, BATCH);
        return { rows: batch, changes: await changesFor(tx, options, batch, groups) };
      });
      if (rows.length === 0) break;
      yield* changes;
      after = rows.at(-1)!.number;
    }
  }
}

/** What plannedChanges would give, without leaving associations behind. */
export async function* previewedChanges(store: Store, options: SubscribingOptions): AsyncGenerator<DirectoryChange> {
  const scratch = { ...options, name: `preview of ${options.name}` };
  try {
    await associateReplica(store, scratch);
    yield* plannedChanges(store, scratch);
  } finally {
    await store.transaction((tx) => tx.clearAssociations(scratch.name));
  }
}

async function changesFor(
  tx: StoreTx,
  options: SubscribingOptions,
  rows: EntryRow[],
  groups: boolean,
): Promise<DirectoryChange[]> {
  const folded = await foldedRows(tx, rows);
  const entries = folded
    .filter((bytes) => bytes !== null)
    .map((bytes) => decodeEntry(bytes))
    .filter((entry) => (entry.kind === 'group') === groups);
  const associations = await tx.associationsById(
    options.name,
    entries.map((entry) => entry.id),
  );
  const changes: DirectoryChange[] = [];
  for (const [i, entry] of entries.entries()) {
    const dn = associations[i]?.dn;
    if (dn === undefined) continue;
    const attributes = await writtenAttributes(tx, options, entry, dn);
    changes.push({ id: entry.id, action: 'put', dn, attributes, kind: entry.kind });
  }
  return changes;
}

/** Operational attributes that say where and as what the entry stands at its owner; written only where it keeps its DN. */
const OPERATIONAL_AT_SOURCE = ['entryuuid', 'nsuniqueid', 'objectguid'];

/** What is written of an entry under that DN: members as DNs, the values of its RDN among its values. */
export async function writtenAttributes(
  tx: StoreTx,
  options: SubscribingOptions,
  entry: Entry,
  dn: string,
): Promise<Attributes> {
  const attributes: Attributes = new Map(entry.attributes);
  attributes.delete(DN_ATTRIBUTE);
  if (options.dn === 'container') for (const name of OPERATIONAL_AT_SOURCE) attributes.delete(name);
  const members = attributes.get(MEMBER_ATTRIBUTE);
  if (members !== undefined) {
    attributes.delete(MEMBER_ATTRIBUTE);
    const dns = await memberDns(tx, options, members);
    if (dns.length > 0) attributes.set('member', dns);
  }
  // RFC 4512 §2.3: the values of the RDN are values of the entry.
  for (const { type, value } of firstRdn(dn)) {
    const name = type.toLowerCase();
    const octets = Buffer.from(value);
    const present = attributes.get(name) ?? [];
    if (!hasValue(name, present, octets)) attributes.set(name, [...present, octets]);
  }
  return attributes;
}

/** However it is spelt: no server takes a value twice. */
function hasValue(attribute: string, values: Uint8Array[], value: Uint8Array): boolean {
  if (values.some((one) => Buffer.compare(one, value) === 0)) return true;
  const rule = ruleOf(attribute);
  const normal = normalValue(rule, value);
  return normal !== undefined && values.some((one) => normalValue(rule, one) === normal);
}

/** Names of what writtenAttributes gives of an entry. */
export function writtenNames({ dn }: Pick<SubscribingOptions, 'dn'>, { attributes }: Entry): string[] {
  const isKept = (name: string) =>
    name !== DN_ATTRIBUTE && !(dn === 'container' && OPERATIONAL_AT_SOURCE.includes(name));
  return [...attributes.keys()].filter(isKept).map((name) => (name === MEMBER_ATTRIBUTE ? 'member' : name));
}

async function memberDns(tx: StoreTx, options: SubscribingOptions, members: Uint8Array[]): Promise<Uint8Array[]> {
  const found: (string | undefined)[] = [];
  for (let from = 0; from < members.length; from += BATCH) {
    const ids = members.slice(from, from + BATCH);
    const dns = (await tx.associationsById(options.name, ids)).map((association) => association?.dn);
    for (const directory of options.publishing) {
      const missing = ids.filter((_, i) => dns[i] === undefined);
      const own = await tx.associationsById(directory, missing);
      let next = 0;
      for (const [i, dn] of dns.entries()) if (dn === undefined) dns[i] = own[next++]?.dn;
    }
    found.push(...dns);
  }
  return found.filter((dn) => dn !== undefined).map((dn) => Buffer.from(dn));
}

async function* containers(store: Store, options: SubscribingOptions): AsyncGenerator<DirectoryChange> {
  const owners = new Set<string>();
  const { edits } = await store.read(editNumbers);
  for (let after = 0; ; ) {
    const rows = await store.read((tx) => tx.scanHashes('replica', after, 10 * BATCH));
    if (rows.length === 0) break;
    for (const row of rows) if (!edits.has(row.number)) owners.add(row.owner);
    after = rows.at(-1)!.number;
  }
  yield* containersOf(options, owners);
}

/** The container, and one for each owner in it. */
export function containersOf({ name, container }: SubscribingOptions, owners: Set<string>): DirectoryChange[] {
  const below = [...owners].sort().map((owner) => `ou=${escapeDnValue(owner)},${container}`);
  return [container, ...below].map((dn) => containerEntry(name, dn));
}

const containerClasses: Record<string, string> = {
  ou: 'organizationalUnit',
  o: 'organization',
  dc: 'dcObject',
  cn: 'applicationProcess',
};

export function containerId(directory: string, dn: string): Uint8Array {
  return deriveEntryId(directory, 'container', Buffer.from(dn));
}

function containerEntry(directory: string, dn: string): DirectoryChange {
  const attributes: Attributes = new Map();
  const [first] = parseDn(dn)[0]!;
  const type = first!.type.toLowerCase();
  attributes.set('objectclass', [Buffer.from(containerClasses[type] ?? 'organizationalUnit')]);
  attributes.set(type, [Buffer.from(first!.value)]);
  return { id: containerId(directory, dn), action: 'put', dn, attributes, kind: 'container' };
}
