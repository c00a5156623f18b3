/** What `dirpost check` tells of an LDAP directory: who and what is at the other end, and what is lacking there. */
import { type DirpostError, parentDn } from '@dirpost/core';
import {
  type Advice,
  cutsAnswers,
  isNotHere,
  type Lack,
  lacksIndex,
  lacksReading,
  otherProfile,
  seesNothing,
} from './advice.ts';
import { whoBinds } from './bind.ts';
import type { Chosen } from './choose-method.ts';
import { escapedOctets, namingContextsOf } from './domain-controller.ts';
import { type EntryQuestion, type EntryRights, entryRights } from './entry-rights.ts';
import { timeAttributes } from './generalized-time.ts';
import type { LdapBase, LdapOptions } from './options.ts';
import type { Method } from './read-delta.ts';
import { askedAttributes, type ReadContext, searchPages } from './read-whole.ts';
import type { SearchRequest } from './requests.ts';
import { ADMIN_LIMIT_EXCEEDED, SIZE_LIMIT_EXCEEDED, SUCCESS } from './results.ts';
import { readEntry } from './root-dse.ts';
import { readSchema } from './schema.ts';
import { type WakeUp, wakeUpOf } from './watch.ts';
import { type WriteRights, writeRights } from './write-rights.ts';

export interface LdapFacts {
  /** `ldap.example.org:636`. */
  server: string;
  vendor: string;
  /** `TLSv1.3`; null: the line is not encrypted. */
  tls: string | null;
  /** As the server sees us. */
  account: string;
  method: Method;
  /** One sentence. */
  why: string;
  /** By what the server says at once that something changed; null: it is read by the clock only. */
  wakeUp: WakeUp | null;
  /** After so many entries the server cuts an answer; null: it was not seen to. */
  sizeLimit: number | null;
  /** Attributes that are asked for, or that others publish, and that its schema does not know; null: it does not show it. */
  unknownAttributes: string[] | null;
  /** Of a target: whether its container is there, can be made, or cannot since nothing is there to make it below. */
  container: 'there' | 'to be made' | 'missing' | null;
  /** Of a target with a container: whether this account may write there. */
  writing: { may: WriteRights['may']; how: string; lack: Lack | null } | null;
  /** Of a target that moves those who are gone: whether the entry to move them below is seen. */
  leavers: 'there' | 'missing' | null;
  /** Whether this account may change entries that are there already, for each question about them that can be answered. */
  entries: EntryRights[];
  lacks: Lack[];
  /** Why other servers that are configured could not be used in the place of this one. */
  unusable: DirpostError[];
}

/** Attributes that stay with an entry for life, by the sort of server that has them. */
const LIFELONG: Record<string, string[]> = {
  openldap: ['entryuuid'],
  '389ds': ['nsuniqueid', 'entryuuid'],
  ad: ['objectguid', 'objectsid'],
};

function isOfItsOwn(kind: string, anchor: string): boolean {
  return LIFELONG[kind]?.includes(anchor) ?? false;
}

/** RFC 4532. */
const WHO_AM_I = '1.3.6.1.4.1.4203.1.11.3';
/** Limits are mostly smaller; a directory with a million entries is not read for it. */
const MAX_COUNTED = 10_000;

/** Throws DirpostError `directory-failed`. */
export async function ldapFacts(
  context: ReadContext,
  options: LdapOptions,
  chosen: Chosen,
  questions: EntryQuestion[] = [],
): Promise<Omit<LdapFacts, 'unusable'>> {
  const { session, dse } = context;
  const account = await accountOf(context, options);
  const lacks: Advice[] = [];
  const sizeLimit = await sizeLimitOf(context, chosen.method);
  if (sizeLimit !== null) lacks.push(cutsAnswers(dse.kind, sizeLimit));
  const isOther = dse.kind !== 'generic' && dse.kind !== options.profile;
  if (isOther && options.profile !== 'generic') lacks.push(otherProfile(dse, options.profile));
  let isBlind = false;
  for (const base of options.bases) {
    const isReadable = await isAnchorReadable(context, base);
    if (isReadable === false) {
      // A server does not know the lines for what another sort of server has.
      if (!isOther || isOfItsOwn(dse.kind, options.anchor))
        lacks.push(lacksReading(dse.kind, base.dn, [options.anchor]));
      else if (options.profile === 'generic') lacks.push(otherProfile(dse, options.profile));
    }
    if (isReadable !== null) continue;
    const needed = [...askedAttributes(options), timeAttributes(dse).changed];
    const { namingContexts } = dse;
    const isElsewhere =
      namingContexts.length > 0 && !namingContexts.includes('') && namingContextsOf(dse, [base]) === null;
    lacks.push(isElsewhere ? isNotHere(namingContexts, base.dn) : seesNothing(dse.kind, base.dn, needed));
    isBlind = true;
  }
  // Who sees nothing cannot be told what a better method lacks.
  if (!isBlind) lacks.unshift(...chosen.lacks);
  lacks.push(...(await missingIndexes(context, chosen.method)));
  const container = await containerOf(context, options);
  const entries: EntryRights[] = [];
  for (const question of questions) {
    const rights = await entryRights(context, account, question);
    if (rights !== null) entries.push(rights);
  }
  return {
    server: session.server,
    vendor: dse.vendor,
    tls: session.tlsProtocol,
    account,
    method: chosen.method,
    why: `${chosen.why}.`,
    wakeUp: wakeUpOf(dse),
    sizeLimit,
    unknownAttributes: await unknownAttributes(context, options.attributes),
    container,
    writing: await writingOf(context, options, account, container),
    leavers: await leaversOf(context, options),
    entries,
    lacks: lacks.map((advice) => advice(account)),
  };
}

/** A DN where there is one, so that it can be pasted; `PROBE\dirpost` of Active Directory. */
async function accountOf({ session, dse, signal }: ReadContext, { bind }: LdapOptions): Promise<string> {
  if (!dse.extensions.has(WHO_AM_I)) return whoBinds(bind);
  const { code, value } = await session.request({ type: 'extended', name: WHO_AM_I }, { signal });
  if (code !== SUCCESS) return whoBinds(bind);
  // RFC 4513 §5.2.1.8: `dn:` or `u:` before it.
  const identity = (value ?? '').toString().replace(/^(?:dn|u):\s*/, '');
  return identity === '' ? 'nobody (anonymous)' : identity;
}

/** By reading as a whole read of that method does, without attributes: for pages there may be another limit. */
async function sizeLimitOf(context: ReadContext, method: Method): Promise<number | null> {
  const { session, options, signal } = context;
  for (const { dn, scope, filter } of options.bases) {
    let seen = 0;
    const request: SearchRequest = { base: dn, scope, filter, attributes: ['1.1'] };
    const answers = method === 'syncrepl' ? session.search(request, { signal }) : searchPages(context, request);
    for await (const { items, result } of answers) {
      seen += items.filter(({ type }) => type === 'entry').length;
      if (result?.code === SIZE_LIMIT_EXCEEDED || result?.code === ADMIN_LIMIT_EXCEEDED) return seen;
      if (seen > MAX_COUNTED) break;
    }
  }
  return null;
}

/** null: this account sees no entry. */
async function isAnchorReadable(
  { session, options, signal }: ReadContext,
  { dn, scope, filter }: LdapBase,
): Promise<boolean | null> {
  const request = { base: dn, scope, filter, attributes: [options.anchor], sizeLimit: 1 };
  for await (const { items } of session.search(request, { signal })) {
    for (const item of items) if (item.type === 'entry') return item.attributes.has(options.anchor);
  }
  return null;
}

/** What OpenLDAP finds changes by. Its configuration is seen by few accounts; of what is not seen nothing is said. */
async function missingIndexes({ session, dse, options, signal }: ReadContext, method: Method): Promise<Advice[]> {
  const needed = { syncrepl: ['entryCSN', 'entryUUID'], 'modify-timestamp': ['modifyTimestamp'] }[method as string];
  if (dse.kind !== 'openldap' || needed === undefined) return [];
  const advice: Advice[] = [];
  for (const suffix of namingContextsOf(dse, options.bases) ?? []) {
    const filter = `(&(objectClass=olcDatabaseConfig)(olcSuffix=${escapedOctets(Buffer.from(suffix))}))`;
    const request: SearchRequest = { base: 'cn=config', scope: 'one', filter, attributes: ['olcSuffix', 'olcDbIndex'] };
    for await (const { items } of session.search(request, { signal })) {
      for (const item of items) {
        if (item.type !== 'entry' || !item.attributes.has('olcsuffix')) continue;
        const missing = withoutIndex(needed, (item.attributes.get('olcdbindex') ?? []).map(String));
        if (missing.length > 0) advice.push(lacksIndex(suffix, item.dn, missing));
      }
    }
  }
  return advice;
}

/** `indexes`: as in `entryCSN,entryUUID eq` (slapd-mdb(5)). */
function withoutIndex(names: string[], indexes: string[]): string[] {
  const indexed = new Set(indexes.flatMap((index) => index.split(/\s+/)[0]!.toLowerCase().split(',')));
  return names.filter((name) => !indexed.has(name.toLowerCase()));
}

async function containerOf({ session, signal }: ReadContext, { target }: LdapOptions): Promise<LdapFacts['container']> {
  if (target === undefined) return null;
  const isThere = async (dn: string) => (await readEntry(session, dn, ['1.1'], { signal })) !== null;
  if (await isThere(target.container)) return 'there';
  const parent = parentDn(target.container) ?? '';
  return target.makeContainer && parent !== '' && (await isThere(parent)) ? 'to be made' : 'missing';
}

async function writingOf(
  context: ReadContext,
  { target }: LdapOptions,
  account: string,
  container: LdapFacts['container'],
): Promise<LdapFacts['writing']> {
  if (target === undefined || container === null || container === 'missing') return null;
  const { may, how, advice } = await writeRights({ context, target, account, container });
  return { may, how, lack: advice === null ? null : advice(account) };
}

async function leaversOf({ session, signal }: ReadContext, { target }: LdapOptions): Promise<LdapFacts['leavers']> {
  if (target === undefined || target.removal === 'delete') return null;
  return (await readEntry(session, target.removal.moveTo, ['1.1'], { signal })) === null ? 'missing' : 'there';
}

async function unknownAttributes({ session, dse, signal }: ReadContext, names: string[]): Promise<string[] | null> {
  const schema = await readSchema(session, dse, signal);
  return schema && names.filter((name) => !schema.hasAttribute(name));
}
