/**
 * T3: which entry of a target may be which of the network: by values of attributes, compared as LDAP compares them. What is done about
 * it is decided in match-targets.ts.
 */
import { comparedAttributes, comparedHash } from './compared-values.ts';
import { isEdit } from './edits.ts';
import { kindOf } from './entry.ts';
import { shownBytes } from './holds.ts';
import { onlyValue } from './recognise.ts';
import type { TargetEntry } from './seams/directory.ts';
import type { Store } from './seams/store.ts';

const BATCH = 1_000;
const BY_STAMP = 'stamp';

/** An entry of the network that has no place in the directory. */
export interface Wanting {
  id: Uint8Array;
  /** Canonical bytes, as they are shown. */
  bytes: Uint8Array;
}

/** Batch by batch; not one snapshot. */
export async function* withoutPlace(store: Store, directory: string): AsyncGenerator<Wanting[]> {
  for (let after = 0; ; ) {
    const from = after;
    const { last, wanting } = await store.read(async (tx) => {
      const rows = await tx.scanHashes('replica', from, BATCH);
      const placed = await tx.placedById(
        directory,
        rows.map(({ id }) => id),
      );
      const open = rows.filter((_, i) => placed[i]?.place == null).map(({ number }) => number);
      const entries = open.length === 0 ? [] : await tx.entriesByNumber('replica', open);
      const shown = entries.flatMap((row) => {
        const bytes = row === undefined ? null : shownBytes(row);
        return bytes === null || isEdit(bytes) ? [] : [{ id: row!.id, bytes }];
      });
      return { last: rows.at(-1)?.number ?? 0, wanting: shown };
    });
    if (last === 0) return;
    if (wanting.length > 0) yield wanting;
    after = last;
  }
}

/** An entry of the network with one that it may be. */
export interface Hit {
  id: Uint8Array;
  entry: Pick<TargetEntry, 'dn' | 'anchor'>;
  by: string;
}

/** Collects who may be whom, attribute by attribute, batch by batch; decides at the end. */
export class TargetMatching {
  /** As they are compared, in the order of the configuration. */
  readonly attributes: readonly string[];
  readonly hits: Hit[] = [];

  readonly #groups: boolean;

  /** `groups`: whether they may be matched, too. Who is in a group may have rights by it. */
  constructor(by: readonly string[], { groups = false }: { groups?: boolean | undefined } = {}) {
    this.#groups = groups;
    this.attributes = by.map((name) => comparedAttributes([name])[0]!);
  }

  /** Values by which these are looked for. */
  valuesOf(wanting: Wanting[], attribute: string): Uint8Array[] {
    return wanting.flatMap(({ bytes }) => onlyValue(bytes, attribute)?.value ?? []);
  }

  /**
   * `entries`: what the directory has with these values, without those that are not to be taken. Gives those for whom nothing was
   * found.
   */
  take(wanting: Wanting[], attribute: string, entries: TargetEntry[]): Wanting[] {
    const byValue = new Map<string, TargetEntry[]>();
    for (const entry of entries) {
      for (const key of keysOf(entry, attribute)) byValue.set(key, [...(byValue.get(key) ?? []), entry]);
    }
    const earlier = this.attributes.slice(0, this.attributes.indexOf(attribute));
    return wanting.filter(({ id, bytes }) => {
      const value = onlyValue(bytes, attribute);
      const hash = value === null ? null : comparedHash(value);
      const same = (hash === null ? [] : (byValue.get(hash.toString('hex')) ?? [])).filter(
        (entry) => this.#isSameSort(entry, bytes) && !earlier.some((one) => tellsApart(one, bytes, entry)),
      );
      for (const entry of same) this.hits.push({ id, entry: { dn: entry.dn, anchor: entry.anchor }, by: attribute });
      return same.length === 0;
    });
  }

  #isSameSort(entry: TargetEntry, bytes: Uint8Array): boolean {
    const isOne = isGroup(entry);
    return isOne === (kindOf(bytes) === 'group') && (!isOne || this.#groups);
  }
}

function keysOf({ attributes }: TargetEntry, attribute: string): string[] {
  const values = attributes.get(attribute) ?? [];
  const hashes = values.map((value) => comparedHash({ attribute, description: attribute, value }));
  return [...new Set(hashes.flatMap((hash) => (hash === null ? [] : [hash.toString('hex')])))];
}

function tellsApart(attribute: string, bytes: Uint8Array, entry: TargetEntry): boolean {
  const value = onlyValue(bytes, attribute);
  const hash = value === null ? null : comparedHash(value);
  const keys = keysOf(entry, attribute);
  return hash !== null && keys.length === 1 && keys[0] !== hash.toString('hex');
}

const GROUPS = new Set([
  'groupofnames',
  'groupofuniquenames',
  'groupofurls',
  'groupofentries',
  'groupofmembers',
  'nestedgroup',
  'dynamicgroup',
  'group',
  'posixgroup',
  'sambagroupmapping',
  'ipausergroup',
]);

/** By its object classes. */
export function isGroup({ attributes }: Pick<TargetEntry, 'attributes'>): boolean {
  return (attributes.get('objectclass') ?? []).some((one) => GROUPS.has(Buffer.from(one).toString().toLowerCase()));
}

export function stampedHit(id: Uint8Array, { dn, anchor }: TargetEntry): Hit {
  return { id, entry: { dn, anchor }, by: BY_STAMP };
}
