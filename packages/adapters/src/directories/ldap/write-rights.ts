/**
 * Whether an account may write into a target, for `dirpost check`: asked in the way that each server has for it, and nothing is
 * changed. Where there is none that is said; then the first write tells.
 *
 *   OpenLDAP           an add with the no-op control: everything is looked at as if it were written, the rights too
 *   389-DS             the effective rights of an entry as it would be made (get effective rights)
 *   Active Directory   the classes that may be made below an entry (MS-ADTS 3.1.1.4.5.24, allowedChildClassesEffective)
 */
import { randomBytes } from 'node:crypto';
import { containersOf, parentDn } from '@dirpost/core';
import { type Advice, lacksWriting } from './advice.ts';
import type { LdapTarget } from './options.ts';
import type { ReadContext } from './read-whole.ts';
import type { LdapControl } from './requests.ts';
import type { FoundEntry } from './responses.ts';
import { INSUFFICIENT_ACCESS_RIGHTS, NO_OPERATION, NO_SUCH_OBJECT, resultName, SUCCESS } from './results.ts';
import { readEntry } from './root-dse.ts';

export interface WriteRights {
  may: 'yes' | 'no' | 'unknown';
  /** By what that is known, or why it is not; no sentence. */
  how: string;
  advice: Advice | null;
}

export interface WriteQuestion {
  context: ReadContext;
  target: LdapTarget;
  /** As the server names it. */
  account: string;
  /** What is not there is asked of what it is to be made below. */
  container: 'there' | 'to be made';
}

/** draft-zeilenga-ldap-noop, as OpenLDAP has it; it does not list it among its controls. A server that does not know it refuses. */
export const NO_OP: LdapControl = { type: '1.3.6.1.4.1.4203.666.5.2', critical: true };
export const EFFECTIVE_RIGHTS = '1.3.6.1.4.1.42.2.27.9.5.2';

/** Throws DirpostError `directory-failed`. */
export async function writeRights(question: WriteQuestion): Promise<WriteRights> {
  switch (question.context.dse.kind) {
    case 'openldap':
      return byNoOperation(question);
    case '389ds':
      return byEffectiveRights(question);
    case 'ad':
      return byChildClasses(question);
    case 'generic':
      return unknown('this server has no way to ask for it that is known here');
  }
}

async function byNoOperation(question: WriteQuestion): Promise<WriteRights> {
  const { context, target } = question;
  const { session, signal, options } = context;
  // Of a name that nothing there has.
  const probe = `dirpost-check-${randomBytes(8).toString('hex')}`;
  const { container } = target;
  const [top, below] = containersOf(
    { name: options.name, container, dn: 'container', publishing: [] },
    new Set([probe]),
  );
  const { dn, attributes } = question.container === 'there' ? below! : top!;
  const { code } = await session.request({ type: 'add', dn, attributes }, { controls: [NO_OP], signal });
  if (code === NO_OPERATION) return { may: 'yes', how: 'asked by an add that is not carried out', advice: null };
  if (code === INSUFFICIENT_ACCESS_RIGHTS || code === NO_SUCH_OBJECT) {
    return no(question, 'asked by an add that is not carried out');
  }
  if (code !== SUCCESS)
    return unknown(`the server answers ${resultName(code)} to an add that is not to be carried out`);
  // Something on the way takes controls away: what was made goes at once.
  await session.request({ type: 'delete', dn }, { signal });
  return unknown('what is between here and the server takes the no-op control away');
}

async function byEffectiveRights(question: WriteQuestion): Promise<WriteRights> {
  const { context, target, account } = question;
  const { session, signal, dse, options } = context;
  if (!dse.controls.has(EFFECTIVE_RIGHTS) || !account.includes('=')) {
    return unknown('the server does not tell the rights of this account');
  }
  const control: LdapControl = { type: EFFECTIVE_RIGHTS, critical: true, value: Buffer.from(`dn:${account}`) };
  const isThere = question.container === 'there';
  const base = isThere ? target.container : (parentDn(target.container) ?? '');
  // 389-DS gives an entry as it would be made there for each class that is named so.
  const attributes = isThere ? ['*@inetOrgPerson', '*@groupOfNames', '*@organizationalUnit'] : ['*@organizationalUnit'];
  const request = { base, scope: 'base' as const, filter: '(objectClass=*)', attributes };
  const templates: FoundEntry[] = [];
  for await (const { items, result } of session.search(request, { controls: [control], signal })) {
    for (const item of items) if (item.type === 'entry' && /^[^,]*template_/i.test(item.dn)) templates.push(item);
    if (result !== undefined && result.code !== SUCCESS) {
      return unknown(`the server answers ${resultName(result.code)} when asked for the rights of this account`);
    }
  }
  if (templates.length === 0) return unknown('the server shows no rights of this account');
  const how = 'as the server tells its rights';
  if (templates.some((one) => !mayMake(one))) return no(question, how);
  const wanted = new Set(options.attributes);
  const unwritable = [...new Set(templates.flatMap((one) => notWritable(one, wanted)))];
  if (unwritable.length > 0) return no(question, `${how}: not ${unwritable.join(', ')}`);
  return { may: 'yes', how, advice: null };
}

/** `vadn`: see it, add, delete, rename. */
function mayMake({ attributes }: FoundEntry): boolean {
  const rights = attributes.get('entrylevelrights')?.[0]?.toString() ?? '';
  return [...'adn'].every((right) => rights.includes(right));
}

/** `cn:rscwo, sn:rsc`: `w` is to give values, `o` to take them away. */
function notWritable({ attributes }: FoundEntry, wanted: Set<string>): string[] {
  const rights = attributes.get('attributelevelrights')?.[0]?.toString() ?? '';
  return rights.split(/,\s*/).flatMap((one) => {
    const [name = '', letters = ''] = one.split(':');
    return wanted.has(name.toLowerCase()) && !(letters.includes('w') && letters.includes('o')) ? [name] : [];
  });
}

/** Of `wanted`, which the server was asked for: what it does not name as writable. */
export function unwritableIn({ attributes }: FoundEntry, wanted: Set<string>): string[] {
  const told = attributes.get('attributelevelrights')?.[0]?.toString() ?? '';
  const writable = new Set<string>();
  for (const one of told.split(/,\s*/)) {
    const [name = '', letters = ''] = one.split(':');
    if (letters.includes('w') && letters.includes('o')) writable.add(name.toLowerCase());
  }
  return [...wanted].filter((name) => !writable.has(name));
}

async function byChildClasses(question: WriteQuestion): Promise<WriteRights> {
  const { context, target } = question;
  const isThere = question.container === 'there';
  const dn = isThere ? target.container : (parentDn(target.container) ?? '');
  const { session, signal } = context;
  const found = await readEntry(session, dn, ['allowedChildClassesEffective', 'sDRightsEffective'], { signal });
  // Absent where nothing is allowed: the other one says that the server does tell.
  if (found?.attributes.has('sdrightseffective') !== true) return unknown('the server does not tell what may be made');
  const allowed = new Set(
    (found.attributes.get('allowedchildclasseseffective') ?? []).map((one) => String(one).toLowerCase()),
  );
  const entries = target.shape === 'ad-contact' ? ['contact', 'group'] : ['inetOrgPerson', 'groupOfNames'];
  const needed = ['organizationalUnit', ...(isThere ? entries : [])];
  const lacking = needed.filter((name) => !allowed.has(name.toLowerCase()));
  const how = 'as the server tells what may be made there';
  return lacking.length > 0 ? no(question, `${how}: not ${lacking.join(', ')}`) : { may: 'yes', how, advice: null };
}

function unknown(how: string): WriteRights {
  return { may: 'unknown', how, advice: null };
}

function no({ context, target, container }: WriteQuestion, how: string): WriteRights {
  const { kind, vendor } = context.dse;
  const parent = container === 'there' ? null : parentDn(target.container);
  return { may: 'no', how, advice: lacksWriting({ kind, vendor, container: target.container, parent }) };
}
