/**
 * Active Directory, as far as deltas need it: which domain controller this is, what was deleted there, and whether a
 * container was moved or renamed.
 */
import { isWithin } from '@dirpost/core';
import { CONTAINERS, isSameDn } from './changed-containers.ts';
import { showDeleted } from './controls.ts';
import type { LdapBase } from './options.ts';
import { type ReadContext, searchPages } from './read-whole.ts';
import type { FoundEntry } from './responses.ts';
import { readEntry, type RootDse } from './root-dse.ts';

/** MS-ADTS 6.1.1.4: by this name it is found in every language. */
const DELETED_OBJECTS = '18E2EA80684F11D2B9AA00C04F79F805';
/** `name` in the table of MS-DRSR 5.16.4: the RDN, which is stamped by renames and by moves. */
const NAME_ATTRIBUTE = 0x00090001;
/** The life of its database, 32 hexadecimal digits: another one after it was restored. null: this account may not read it. */
export async function invocationIdOf({ session, dse, signal }: ReadContext): Promise<string | null> {
  if (dse.dsServiceName === null) return null;
  const settings = await readEntry(session, dse.dsServiceName, ['invocationId'], { signal });
  return settings?.attributes.get('invocationid')?.[0]?.toString('hex') ?? null;
}

/** Those in which the bases lie, each once; null: one of them lies in none. */
export function namingContextsOf({ namingContexts }: RootDse, bases: LdapBase[]): string[] | null {
  const found = new Set<string>();
  for (const { dn } of bases) {
    const around = namingContexts.filter((context) => context !== '' && isWithin(dn, context));
    const [nearest] = around.sort((a, b) => b.length - a.length);
    if (nearest === undefined) return null;
    found.add(nearest);
  }
  return [...found];
}

/**
 * Whether this account sees what was deleted: without the right the container is not there, or has no attributes, and a
 * search in it finds nothing, without any error.
 */
export async function seesDeleted({ session, signal }: ReadContext, namingContext: string): Promise<boolean> {
  const base = deletedObjects(namingContext);
  const container = await readEntry(session, base, ['isDeleted'], { signal, controls: [showDeleted] });
  return container?.attributes.has('isdeleted') === true;
}

/** Their objectGUIDs. */
export async function* deletedSince(
  context: ReadContext,
  namingContext: string,
  usn: number,
): AsyncGenerator<Uint8Array[]> {
  const filter = `(&(isDeleted=TRUE)(uSNChanged>=${usn}))`;
  const base: LdapBase = { dn: deletedObjects(namingContext), scope: 'sub', filter };
  const request = { base: base.dn, scope: base.scope, filter, attributes: ['objectGUID'] };
  for await (const { items, result } of searchPages(context, request, [showDeleted])) {
    if (result !== undefined) context.notes.ended(base, context.session.server, result);
    const gone = items.flatMap((item) => (item.type === 'entry' ? guidOf(item) : []));
    if (gone.length > 0) yield gone;
  }
}

/** A container that was there before and has another DN now. */
export async function wasContainerMoved(context: ReadContext, namingContext: string, usn: number): Promise<boolean> {
  const filter = `(&(uSNChanged>=${usn})(!(uSNCreated>=${usn}))${CONTAINERS})`;
  const base: LdapBase = { dn: namingContext, scope: 'sub', filter };
  const request = { base: base.dn, scope: base.scope, filter, attributes: ['replPropertyMetaData'] };
  for await (const { items, result } of searchPages(context, request)) {
    const others = items.filter((item) => item.type === 'entry').filter(({ dn }) => !isSameDn(dn, namingContext));
    if (others.some((item) => wasRenamed(item, usn))) return true;
    if (result !== undefined) context.notes.ended(base, context.session.server, result);
  }
  return false;
}

/** Who may not read what was changed is told that everything may have been. */
function wasRenamed({ attributes }: FoundEntry, usn: number): boolean {
  const changed = usnOfAttribute(attributes.get('replpropertymetadata')?.[0] ?? Buffer.alloc(0), NAME_ATTRIBUTE);
  return changed === null || changed >= usn;
}

/**
 * The USN at which an attribute was changed on this domain controller, from replPropertyMetaData (MS-ADTS 3.1.1.3.2.7 and
 * MS-DRSR 5.166: a head of 16 octets and 48 for each attribute). null: it is not in there.
 */
export function usnOfAttribute(metadata: Buffer, attribute: number): number | null {
  for (let at = 16; at + 48 <= metadata.length; at += 48) {
    if (metadata.readUInt32LE(at) === attribute) return Number(metadata.readBigInt64LE(at + 40));
  }
  return null;
}

export function guidOf({ attributes }: FoundEntry): Buffer[] {
  const guid = attributes.get('objectguid')?.[0];
  return guid === undefined ? [] : [Buffer.from(guid)];
}

/** RFC 4515: octets of a value in a filter. */
export function escapedOctets(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex').replaceAll(/../g, '\\$&');
}

function deletedObjects(namingContext: string): string {
  return `<WKGUID=${DELETED_OBJECTS},${namingContext}>`;
}
