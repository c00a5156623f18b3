/**
 * Entries of the network that may be what a directory has already (T3, core's match-targets.ts), for those who decide: they wait for
 * `dirpost approve`, or are in question with others and are told, both sides of them.
 */
import { decodeEntry, type Link, linksIn, shownBytes, type StoreTx } from '@dirpost/core';
import { describe } from './explain/find.ts';
import type { Postoffice } from './postoffice.ts';

export interface WaitingMatches {
  directory: string;
  /** That wait for an approval. */
  found: number;
  /** Pairs that nobody can tell. */
  ambiguous: number;
}

/** Of directories where any wait. */
export async function waitingMatches(tx: StoreTx, { subscribing }: Postoffice): Promise<WaitingMatches[]> {
  const waiting: WaitingMatches[] = [];
  for (const { directory } of subscribing) {
    if (directory.finder === undefined) continue;
    const found = await tx.countLinks(directory.name, 'found');
    const ambiguous = await tx.countLinks(directory.name, 'ambiguous');
    if (found + ambiguous > 0) waiting.push({ directory: directory.name, found, ambiguous });
  }
  return waiting;
}

export interface NamedMatch {
  directory: string;
  state: Link['state'];
  /** Of the network. */
  id: string;
  owner: string;
  name: string | null;
  mail: string | null;
  /** In the directory. */
  dn: string;
  by: string;
}

/** At most `limit` of each directory and state. */
export async function namedMatches(
  tx: StoreTx,
  { subscribing }: Pick<Postoffice, 'subscribing'>,
  limit: number,
): Promise<NamedMatch[]> {
  const named: NamedMatch[] = [];
  for (const { directory } of subscribing) {
    for (const state of ['found', 'ambiguous'] as const) {
      let left = limit;
      for await (const links of linksIn(tx, directory.name, state)) {
        const some = links.slice(0, left);
        const rows = await tx.entriesById(
          'replica',
          some.map(({ id }) => id),
        );
        for (const [i, { id, dn, by }] of some.entries()) {
          const row = rows[i];
          const bytes = row === undefined ? null : shownBytes(row);
          const { name, mail } = bytes === null ? { name: null, mail: null } : describe(decodeEntry(bytes));
          const owner = row?.owner ?? '';
          named.push({
            directory: directory.name,
            state,
            id: Buffer.from(id).toString('hex'),
            owner,
            name,
            mail,
            dn,
            by,
          });
        }
        left -= some.length;
        if (left <= 0) break;
      }
    }
  }
  return named;
}

export function waitingWords({ directory, found, ambiguous }: WaitingMatches): string[] {
  const are = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`;
  return [
    ...(found > 0
      ? [
          `${directory}: ${are(found, 'entry may be one that is', 'entries may be some that are')} there already. Look with: dirpost held; then: dirpost approve ${directory}, or dirpost unlink ${directory} DN`,
        ]
      : []),
    ...(ambiguous > 0
      ? [
          `${directory}: ${are(ambiguous, 'pair', 'pairs')} of entries fit each other, and others too: nobody can tell who is who, and they are not written. Look with: dirpost held; then mend the values, or dirpost unlink ${directory} DN`,
        ]
      : []),
  ];
}
