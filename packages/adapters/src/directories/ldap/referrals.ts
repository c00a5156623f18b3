/**
 * What a server says is elsewhere (RFC 4511 §4.5.3). It is counted, and the read is then incomplete; or it is followed: one
 * step far, with the same login, and never over less TLS than the line that it came over.
 */
import { DirpostError, isDirpostError, isWithin, type ReadBatch } from '@dirpost/core';
import { shownServer } from './connect.ts';
import type { LdapBase, LdapServer } from './options.ts';
import type { LdapResult } from './responses.ts';
import { type ReadContext, readBase, type Seen } from './read-whole.ts';
import { readRootDse } from './root-dse.ts';

/** Naming contexts of Active Directory in which no people live: each search of the domain names them. */
const NOT_PEOPLE = /^(?:dc=(?:domain|forest)dnszones|cn=configuration),/i;

export interface Referral {
  server: LdapServer;
  /** null: that of the search. */
  dn: string | null;
  scope: LdapBase['scope'] | null;
  filter: string | null;
}

/** RFC 4516. null: it is no LDAP URL, or it names no host, or it wants something that has to be understood and is not. */
export function parseReferral(text: string, isTls: boolean): Referral | null {
  const found = /^(ldaps?):\/\/(\[[0-9a-f:.]+\]|[^/:?#]+)(?::(\d{1,5}))?(?:\/([^?#]*)(?:\?([^#]*))?)?$/i.exec(
    text.trim(),
  );
  if (found === null) return null;
  const [, scheme, host, port, dn, rest = ''] = found;
  const [, scope = '', filter = '', extensions = ''] = rest.split('?');
  // RFC 4516 §2: what begins with ! is critical.
  if (extensions.split(',').some((extension) => extension.startsWith('!'))) return null;
  const isLdaps = scheme!.toLowerCase() === 'ldaps';
  try {
    return {
      server: {
        host: host!.replaceAll(/^\[|\]$/g, ''),
        port: port === undefined ? (isLdaps ? 636 : 389) : Number(port),
        tls: isLdaps ? 'ldaps' : isTls ? 'starttls' : 'none',
      },
      dn: dn === undefined || dn === '' ? null : decodeURIComponent(dn),
      scope: scopes[scope.toLowerCase()] ?? null,
      filter: filter === '' ? null : decodeURIComponent(filter),
    };
  } catch {
    return null;
  }
}

const scopes: Record<string, LdapBase['scope']> = { base: 'base', one: 'one', sub: 'sub' };

/** A reference to where no entry of a directory of people can be. */
export function isBesideThePoint(urls: string[]): boolean {
  return urls.length > 0 && urls.every((url) => NOT_PEOPLE.test(parseReferral(url, true)?.dn ?? ''));
}

/** What the references of one search lead to. Without `follow` nothing: they were counted. */
export async function* readElsewhere(
  context: ReadContext,
  base: LdapBase,
  references: string[][],
  seen: Seen,
): AsyncGenerator<ReadBatch> {
  const { follow, session } = context;
  if (follow === undefined) return;
  const visited = new Set<string>();
  for (const urls of references) {
    if (isBesideThePoint(urls)) continue;
    const ways = urls.map((url) => parseReferral(url, session.isTls)).filter((way) => way !== null);
    const where = ways.map((way) => `${shownServer(way.server)} ${way.dn ?? base.dn}`.toLowerCase());
    if (where.some((one) => visited.has(one))) continue;
    for (const one of where) visited.add(one);
    yield* readFirst(context, base, ways, urls, seen);
  }
}

/** The servers of one reference are worth the same (RFC 4511 §4.1.10): the first that answers is asked. */
async function* readFirst(
  context: ReadContext,
  base: LdapBase,
  ways: Referral[],
  urls: string[],
  seen: Seen,
): AsyncGenerator<ReadBatch> {
  // Without `follow`: what that server refers to is counted.
  const { follow, ...rest } = context;
  const { notes, signal, session: origin } = context;
  const failures: string[] = [];
  for (const { server, dn, scope, filter } of ways) {
    const there = { dn: dn ?? base.dn, scope: scope ?? base.scope, filter: filter ?? base.filter };
    // Back to where it came from, and no deeper: a circle.
    if (shownServer(server) === origin.server && isWithin(base.dn, there.dn)) {
      failures.push(`${origin.server} names itself.`);
      continue;
    }
    try {
      const session = await follow!(server);
      try {
        yield* readBase({ ...rest, session, dse: await readRootDse(session, signal) }, there, seen);
      } finally {
        session.close();
      }
      return;
    } catch (error) {
      if (!isDirpostError(error) || error.code === 'interrupted') throw error;
      failures.push(error.message);
    }
  }
  const why = failures.length === 0 ? 'it is no address that can be followed.' : failures.join(' ');
  notes.incomplete(`The referral to ${urls.join(' ').slice(0, 300)} could not be followed: ${why}`);
}

/** A replica that is only read: one fault, and not one of each entry. */
export function takesNoChanges(server: string, { referrals }: LdapResult): DirpostError {
  const where = referrals.length === 0 ? '' : `, and refers to ${referrals.join(' ').slice(0, 300)}`;
  return new DirpostError('directory-failed', `${server} takes no changes${where}.`, {
    retry: 'operator',
    hint: 'Name the server that takes them first, or alone, in the configuration of this directory.',
    context: { server },
  });
}
