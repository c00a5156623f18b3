/**
 * Whether an account may change entries that stand somewhere already, for `dirpost check`: own people, into whom edits of others are
 * written, and those that stood in a target before. Asked of one of them, attribute by attribute, and nothing is changed.
 *
 *   OpenLDAP           a modification to the values that it has, with the no-op control
 *   389-DS             the effective rights of the entry
 *   Active Directory   allowedAttributesEffective (MS-ADTS 3.1.1.4.5.22)
 */
import { normalizeType, parseDn } from '@dirpost/core';
import { lacksAmending, type Lack } from './advice-entries.ts';
import { isNeverWrittenToOthers } from './never-written.ts';
import type { LdapBase } from './options.ts';
import type { ReadContext } from './read-whole.ts';
import type { FoundEntry } from './responses.ts';
import { INSUFFICIENT_ACCESS_RIGHTS, NO_OPERATION, NO_SUCH_OBJECT, resultName, SUCCESS } from './results.ts';
import { findEntries, readEntry } from './root-dse.ts';
import { readSchema } from './schema.ts';
import { isTrue, UNTOUCHABLE } from './write-entry.ts';
import { EFFECTIVE_RIGHTS, NO_OP, unwritableIn } from './write-rights.ts';

export interface EntryQuestion {
  base: LdapBase;
  /** In lower case. */
  attributes: string[];
}

export interface EntryRights {
  /** Below which entries are changed. */
  base: string;
  may: 'yes' | 'no' | 'unknown';
  /** By what that is known, or why it is not; no sentence. */
  how: string;
  lack: Lack | null;
}

/** Groups have other attributes, and are changed as a whole. */
const PERSONS = '(|(objectClass=person)(objectClass=contact))';
/** Entries that are looked at until there is one that may be changed at all. */
const LOOKED_AT = 50;

type Answer = { lacking: string[] } | { unknown: string };

/** null: there is no such entry, or none that this account sees. Throws DirpostError `directory-failed`. */
export async function entryRights(
  context: ReadContext,
  account: string,
  { base, attributes }: EntryQuestion,
): Promise<EntryRights | null> {
  const { session, dse, signal } = context;
  const found = await sampleOf(context, base, attributes);
  if (found === null) return null;
  if ('unknown' in found) return { base: base.dn, may: 'unknown', how: found.unknown, lack: null };
  const schema = await readSchema(session, dse, signal);
  const allowed = schema?.allowedBy((found.attributes.get('objectclass') ?? []).map(String));
  const naming = new Set(parseDn(found.dn)[0]!.map(({ type }) => normalizeType(type)));
  const asked = attributes.filter((name) => {
    if (naming.has(normalizeType(name)) || isNeverWrittenToOthers(name)) return false;
    return schema === null || schema.isAllowed(name, allowed!);
  });
  if (asked.length === 0) return null;
  const answer = await ask(context, account, found, asked);
  const tried = `tried with ${found.dn}`;
  if ('unknown' in answer) return { base: base.dn, may: 'unknown', how: answer.unknown, lack: null };
  const { lacking } = answer;
  if (lacking.length === 0) return { base: base.dn, may: 'yes', how: tried, lack: null };
  const advice = await lacksAmending(context, base.dn, lacking);
  return { base: base.dn, may: 'no', how: tried, lack: advice(account) };
}

/** null: there is nobody. */
async function sampleOf(
  { session, signal }: ReadContext,
  { dn, scope, filter }: LdapBase,
  names: string[],
): Promise<FoundEntry | { unknown: string } | null> {
  const request = {
    base: dn,
    scope,
    filter: `(&${filter}${PERSONS})`,
    attributes: ['objectClass', ...UNTOUCHABLE, ...names],
    sizeLimit: LOOKED_AT,
  };
  for await (const { items, result } of session.search(request, { signal })) {
    for (const item of items) {
      const isChanged = item.type === 'entry' && !UNTOUCHABLE.some((name) => isTrue(item.attributes.get(name)));
      if (isChanged) return item;
    }
    if (result === undefined || result.code === SUCCESS || result.code === NO_SUCH_OBJECT) continue;
    return { unknown: `the server answers ${resultName(result.code)} to a search for one that may be changed` };
  }
  return null;
}

async function ask(context: ReadContext, account: string, found: FoundEntry, names: string[]): Promise<Answer> {
  switch (context.dse.kind) {
    case 'openldap':
      return byNoOperation(context, found, names);
    case '389ds':
      return byEffectiveRights(context, account, found, names);
    case 'ad':
      return byAllowedAttributes(context, found, names);
    case 'generic':
      return { unknown: 'this server has no way to ask for it that is known here' };
  }
}

/** To the values that are there: should something on the way take the control away, nothing is changed either. */
async function byNoOperation({ session, signal }: ReadContext, found: FoundEntry, names: string[]): Promise<Answer> {
  const attempt = async (some: string[]) => {
    const changes = some.map((attribute) => ({
      kind: 'replace' as const,
      attribute,
      values: found.attributes.get(attribute) ?? [],
    }));
    return session.request({ type: 'modify', dn: found.dn, changes }, { controls: [NO_OP], signal });
  };
  const lacking: string[] = [];
  const isTaken = (code: number) => code === NO_OPERATION || code === SUCCESS;
  if (isTaken((await attempt(names)).code)) return { lacking };
  for (const name of names) {
    const { code } = await attempt([name]);
    if (code === INSUFFICIENT_ACCESS_RIGHTS) lacking.push(name);
    else if (!isTaken(code))
      return { unknown: `the server answers ${resultName(code)} to a change that is not to be made` };
  }
  return { lacking };
}

async function byEffectiveRights(
  { session, signal, dse }: ReadContext,
  account: string,
  found: FoundEntry,
  names: string[],
): Promise<Answer> {
  const untold = { unknown: 'the server does not tell the rights of this account' };
  if (!dse.controls.has(EFFECTIVE_RIGHTS) || !account.includes('=')) return untold;
  const control = { type: EFFECTIVE_RIGHTS, critical: true, value: Buffer.from(`dn:${account}`) };
  const request = { base: found.dn, scope: 'base' as const, filter: '(objectClass=*)', attributes: names };
  const [told] = await findEntries(session, request, { controls: [control], signal });
  return told?.attributes.has('attributelevelrights') === true
    ? { lacking: unwritableIn(told, new Set(names)) }
    : untold;
}

async function byAllowedAttributes(
  { session, signal }: ReadContext,
  found: FoundEntry,
  names: string[],
): Promise<Answer> {
  const asked = ['allowedAttributesEffective', 'sDRightsEffective'];
  const told = await readEntry(session, found.dn, asked, { signal });
  // Absent where nothing is allowed: the other one says that the server does tell.
  if (told?.attributes.has('sdrightseffective') !== true)
    return { unknown: 'the server does not tell what may be changed' };
  const effective = told.attributes.get('allowedattributeseffective') ?? [];
  const allowed = new Set(effective.map((one) => one.toString().toLowerCase()));
  return { lacking: names.filter((name) => !allowed.has(name)) };
}
