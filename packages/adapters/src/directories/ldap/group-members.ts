/**
 * T3: groups that name who is not there. Active Directory takes no such group, and OpenLDAP none where its overlay memberof says so
 * (`memberof-dangling error`). It is then written with the members who are there, and counts as refused, so that it is written
 * again: with the same write where they were made after it, as with groups that are members of each other, else with a later one.
 */
import { type DirectoryChange, isDirpostError, MEMBERS_MISSING, type WriteOutcome } from '@dirpost/core';
import type { LdapTarget } from './options.ts';
import { pipelined } from './pipelined.ts';
import type { Modification, Operation } from './requests.ts';
import type { LdapResult } from './responses.ts';
import { CONSTRAINT_VIOLATION, INVALID_DN_SYNTAX, NO_SUCH_OBJECT, REFERRAL } from './results.ts';
import { readEntry } from './root-dse.ts';
import type { Session } from './session.ts';

const MOST_NAMED = 3;

/** Whether an operation may have been refused since members are not there. */
export function mayLackMembers({ action, kind }: DirectoryChange, operation: Operation, { code }: LdapResult): boolean {
  if (action !== 'put' || kind !== 'group' || (code !== NO_SUCH_OBJECT && code !== CONSTRAINT_VIOLATION)) return false;
  return membersIn(operation).length > 0;
}

/**
 * Without the members who are not there; all may have come meanwhile. null: nothing is left of it. Throws DirpostError
 * `directory-failed`.
 */
export async function withoutMissing(
  operation: Operation,
  { container, shape }: Pick<LdapTarget, 'container' | 'shape'>,
  session: Session,
  signal: AbortSignal,
): Promise<{ operation: Operation | null; missing: string[] }> {
  const members = [...new Set(membersIn(operation).map((value) => Buffer.from(value).toString()))];
  const stands = await pipelined(members, (dn) => isThere(session, dn, signal));
  const missing = members.filter((_, i) => !stands[i]);
  if (missing.length === 0) return { operation, missing };
  const left = new Set(missing);
  const present = (values: Uint8Array[]) => values.filter((value) => !left.has(Buffer.from(value).toString()));
  // A group without members is none to groupOfNames (RFC 4519 §3.5); the container is nobody, and is there.
  const nobody = shape === 'ad-contact' ? [] : [Buffer.from(container)];
  const orNobody = (values: Uint8Array[]) => (values.length > 0 ? values : nobody);
  if (operation.type === 'add') {
    const attributes = new Map(operation.attributes);
    const some = orNobody(present(attributes.get('member')!));
    if (some.length > 0) attributes.set('member', some);
    else attributes.delete('member');
    return { operation: { ...operation, attributes }, missing };
  }
  if (operation.type !== 'modify') return { operation, missing };
  const changes = operation.changes.flatMap((change): Modification[] => {
    if (change.attribute !== 'member' || change.kind === 'delete') return [change];
    const values = present(change.values);
    if (change.kind === 'replace') return [{ ...change, values: orNobody(values) }];
    return values.length > 0 ? [{ ...change, values }] : [];
  });
  // Samba refuses a change of nothing.
  return { operation: changes.length === 0 ? null : { ...operation, changes }, missing };
}

/** As it is told: the group stands there, and is to be written again. */
export function lacksMembers({ id }: DirectoryChange, place: WriteOutcome['place'], missing: string[]): WriteOutcome {
  const reason = missingWords(missing);
  return { id, result: 'refused', code: MEMBERS_MISSING, reason, ...(place !== undefined && { place }) };
}

export function missingWords(dns: string[]): string {
  const named = dns.slice(0, MOST_NAMED).join('; ');
  const others = dns.length > MOST_NAMED ? ` and ${dns.length - MOST_NAMED} more` : '';
  return `it is written without these members, who are not there: ${named}${others}`;
}

/**
 * False also of what is no DN to the server, or is not on it (RFC 4511 §4.1.10). Of whom it will not tell he is left in: it says
 * so itself where it does not take him. Throws DirpostError `directory-failed` where it does not answer.
 */
export async function isThere(session: Session, dn: string, signal: AbortSignal): Promise<boolean> {
  try {
    return (await readEntry(session, dn, ['1.1'], { signal })) !== null;
  } catch (error) {
    const code = isDirpostError(error, 'directory-failed') ? error.context['code'] : undefined;
    if (typeof code !== 'number') throw error;
    return code !== INVALID_DN_SYNTAX && code !== REFERRAL;
  }
}

/** That are to be added. */
function membersIn(operation: Operation): Uint8Array[] {
  if (operation.type === 'add') return new Map(operation.attributes).get('member') ?? [];
  if (operation.type !== 'modify') return [];
  const given = operation.changes.filter(({ kind, attribute }) => attribute === 'member' && kind !== 'delete');
  return given.flatMap(({ values }) => values);
}
