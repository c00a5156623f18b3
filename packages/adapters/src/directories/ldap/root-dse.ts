/** What a server says of itself (RFC 4512 §5.1), and which server it is: a bookmark belongs to one and to no other. */
import { DirpostError } from '@dirpost/core';
import type { FoundEntry } from './responses.ts';
import { NO_SUCH_OBJECT, resultName, SUCCESS } from './results.ts';
import type { SearchRequest } from './requests.ts';
import type { OperationOptions, Session } from './session.ts';

export type ServerKind = 'openldap' | '389ds' | 'ad' | 'generic';

export interface RootDse {
  kind: ServerKind;
  /** For screens: "OpenLDAP", "389 Project 389-Directory/2.3.1", "Active Directory". */
  vendor: string;
  namingContexts: string[];
  controls: Set<string>;
  extensions: Set<string>;
  mechanisms: Set<string>;
  /** DN of the schema (RFC 4512 §4.2); null: it does not say. */
  schema: string | null;
  /** Active Directory: DN of the settings of this domain controller, and its newest change. */
  dsServiceName: string | null;
  highestCommittedUsn: number | null;
  dnsHostName: string | null;
  /** Generalized Time by the clock of the server, where it tells: Active Directory. */
  currentTime: string | null;
}

export const PAGED_RESULTS = '1.2.840.113556.1.4.319';
export const SYNC_REQUEST = '1.3.6.1.4.1.4203.1.9.1.1';
export const DIR_SYNC = '1.2.840.113556.1.4.841';
export const SHOW_DELETED = '1.2.840.113556.1.4.417';
export const CHANGE_NOTIFICATION = '1.2.840.113556.1.4.528';
/** draft-ietf-ldapext-psearch-03. */
export const PERSISTENT_SEARCH = '2.16.840.1.113730.3.4.3';
export const TRANSACTIONS = '1.3.6.1.1.21.1';

/** Windows 2000 and all after it, and Samba. */
const AD_CAPABILITY = '1.2.840.113556.1.4.800';

const ATTRIBUTES = [
  'objectClass',
  'namingContexts',
  'supportedControl',
  'supportedExtension',
  'supportedSASLMechanisms',
  'supportedCapabilities',
  'subschemaSubentry',
  'vendorName',
  'vendorVersion',
  'dsServiceName',
  'highestCommittedUSN',
  'dnsHostName',
  'currentTime',
];

/** Throws DirpostError `directory-failed`. */
export async function readRootDse(session: Session, signal: AbortSignal): Promise<RootDse> {
  const entry = await readEntry(session, '', ATTRIBUTES, { signal });
  if (entry === null) {
    throw new DirpostError('directory-failed', `${session.server} does not show what it can do (its root DSE).`, {
      retry: 'operator',
      hint: 'Allow everybody to read the entry with the empty DN: that is what LDAP servers do (RFC 4512, 5.1).',
    });
  }
  const all = (name: string) => (entry.attributes.get(name) ?? []).map((value) => value.toString());
  const one = (name: string) => all(name)[0] ?? null;
  const kind = kindOf(all('objectclass'), all('supportedcapabilities'), one('vendorname'));
  const usn = one('highestcommittedusn');
  return {
    kind,
    vendor: vendorOf(kind, one('vendorname'), one('vendorversion')),
    namingContexts: all('namingcontexts'),
    controls: new Set(all('supportedcontrol')),
    extensions: new Set(all('supportedextension')),
    mechanisms: new Set(all('supportedsaslmechanisms')),
    schema: one('subschemasubentry'),
    dsServiceName: one('dsservicename'),
    highestCommittedUsn: usn === null ? null : Number(usn),
    dnsHostName: one('dnshostname'),
    currentTime: one('currenttime'),
  };
}

function kindOf(classes: string[], capabilities: string[], vendor: string | null): ServerKind {
  if (capabilities.includes(AD_CAPABILITY)) return 'ad';
  if (classes.some((name) => name.toLowerCase() === 'openldaprootdse')) return 'openldap';
  if (vendor !== null && /389|Red Hat|Fedora/i.test(vendor)) return '389ds';
  return 'generic';
}

function vendorOf(kind: ServerKind, name: string | null, version: string | null): string {
  if (kind === 'openldap') return 'OpenLDAP';
  if (kind === 'ad') return name ?? 'Active Directory';
  return [name, version].filter((part) => part !== null).join(' ') || 'an LDAP server';
}

/** One entry by its DN; null where there is none that this account sees. Throws DirpostError `directory-failed`. */
export async function readEntry(
  session: Session,
  dn: string,
  attributes: string[],
  options: OperationOptions & { filter?: string } = {},
): Promise<FoundEntry | null> {
  const { filter = '(objectClass=*)', ...rest } = options;
  const [entry] = await findEntries(session, { base: dn, scope: 'base', filter, attributes }, rest);
  return entry ?? null;
}

/** For searches that find little. No such base finds nothing. Throws DirpostError `directory-failed`. */
export async function findEntries(
  session: Session,
  request: SearchRequest,
  options: OperationOptions = {},
): Promise<FoundEntry[]> {
  const found: FoundEntry[] = [];
  for await (const { items, result } of session.search(request, options)) {
    for (const item of items) if (item.type === 'entry') found.push(item);
    if (result === undefined || result.code === SUCCESS || result.code === NO_SUCH_OBJECT) continue;
    throw failedSearch(session, request.base, result);
  }
  return found;
}

export function failedSearch(session: Session, base: string, result: { code: number; message: string }): DirpostError {
  const words = result.message === '' ? '' : `: ${result.message.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ').slice(0, 300)}`;
  const where = base === '' ? 'its root DSE' : `"${base}"`;
  const what = `${session.server} did not let ${where} be searched: ${resultName(result.code)}${words}.`;
  return new DirpostError('directory-failed', what, {
    retry: 'later',
    context: { server: session.server, code: result.code },
  });
}
