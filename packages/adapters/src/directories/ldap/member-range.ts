/**
 * Long attributes in pieces (MS-ADTS 3.1.1.3.1.3.3): Active Directory gives `member;range=0-1499` and wants to be asked for the
 * next piece until one ends in `*`. While the pieces are fetched the group may change; the next read sees that. A piece that is
 * missing ends nothing: the read has failed, since a group that is cut short would count as complete.
 */
import { DirpostError } from '@dirpost/core';
import type { FoundEntry } from './responses.ts';
import { readEntry } from './root-dse.ts';
import type { Session } from './session.ts';

const RANGE = /^(.+);range=(\d+)-(\d+|\*)$/;
const MAX_PIECES = 10_000;

export function hasRange({ attributes }: FoundEntry): boolean {
  for (const name of attributes.keys()) if (name.includes(';range=')) return true;
  return false;
}

/** Puts the whole attribute in the place of its first piece. Throws DirpostError `directory-failed`. */
export async function completeRanges(session: Session, entry: FoundEntry, signal: AbortSignal): Promise<void> {
  const pieces = Array.from(entry.attributes).filter(([name]) => RANGE.test(name));
  for (const [name, first] of pieces) {
    const found = RANGE.exec(name)!;
    const attribute = found[1]!;
    const values = [...first];
    let last = found[3]!;
    for (let asked = 0; last !== '*'; asked++) {
      const from = Number(last) + 1;
      const piece = await nextPiece(session, entry.dn, attribute, from, signal);
      if (piece === null) throw missing(session, entry.dn, attribute, from);
      if (asked === MAX_PIECES || piece.values.length === 0) throw endless(session, entry.dn, attribute);
      values.push(...piece.values);
      last = piece.last;
    }
    entry.attributes.delete(name);
    entry.attributes.set(attribute, values);
  }
}

/** null: the server does not give it; perhaps the group has become smaller meanwhile. */
async function nextPiece(session: Session, dn: string, attribute: string, from: number, signal: AbortSignal) {
  const entry = await readEntry(session, dn, [`${attribute};range=${from}-*`], { signal });
  if (entry === null) {
    throw new DirpostError('directory-failed', `"${dn}" vanished while its ${attribute} was read.`, { retry: 'later' });
  }
  for (const [name, values] of entry.attributes) {
    const found = RANGE.exec(name);
    if (found?.[1] === attribute && Number(found[2]) === from) return { values, last: found[3]! };
  }
  return null;
}

function missing(session: Session, dn: string, attribute: string, from: number): DirpostError {
  const what = `${session.server} did not give ${attribute} of "${dn}" from number ${from} on, and did not end before.`;
  return new DirpostError('directory-failed', what, { retry: 'later' });
}

function endless(session: Session, dn: string, attribute: string): DirpostError {
  return new DirpostError(
    'directory-failed',
    `${session.server} does not come to an end with ${attribute} of "${dn}".`,
    {
      retry: 'later',
    },
  );
}
