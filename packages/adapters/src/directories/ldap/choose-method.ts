/**
 * How changes are found: the best way that the server offers and that this account may use, with the reason for `dirpost
 * check`. That a server offers it is not enough: deletions have to be seen, and an account without the right for
 * that gets an empty answer that looks like any other.
 */
import {
  type Advice,
  lacksContextCsn,
  lacksDeletedObjects,
  lacksReading,
  lacksReplicationRight,
  lacksSyncprov,
  maybeLacksSyncprov,
} from './advice.ts';
import { derivedAttributes } from './derived-attributes.ts';
import { invocationIdOf, namingContextsOf, seesDeleted } from './domain-controller.ts';
import { changedSince, timeAttributes } from './generalized-time.ts';
import type { DeltaMethod } from './options.ts';
import type { Method } from './read-delta.ts';
import { isDirSyncAllowed } from './read-dirsync.ts';
import type { ReadContext } from './read-whole.ts';
import { readEntry, type RootDse, type ServerKind, SYNC_REQUEST } from './root-dse.ts';

export interface Chosen {
  method: Method;
  /** One sentence without its end. */
  why: string;
  /** What keeps a better way, or the configured one, from being used. */
  lacks: Advice[];
}

/** `advice` absent: nothing can be done about it on the server; several: one of them will do. */
type Proof = { fits: true; why: string } | { fits: false; why: string; advice?: Advice[] };

const proofs: Record<Exclude<Method, 'whole'>, (context: ReadContext) => Promise<Proof>> = {
  syncrepl: proveSyncrepl,
  usn: proveUsn,
  dirsync: proveDirSync,
  'modify-timestamp': proveModifyTimestamp,
};

/** Throws DirpostError `directory-failed`. */
export async function chooseMethod(context: ReadContext, wanted: DeltaMethod): Promise<Chosen> {
  if (context.follow !== undefined) {
    const why = 'referrals are followed, and no server tells what changed on the others';
    return { method: 'whole', why, lacks: [] };
  }
  const [derived] = derivedAttributes(context.options);
  if (derived !== undefined) {
    const why = `${derived} comes from other entries, and whose ${derived} changes does not count as changed`;
    return { method: 'whole', why, lacks: [] };
  }
  if (wanted === 'whole') return { method: 'whole', why: 'it is configured', lacks: [] };
  const lacks: Advice[] = [];
  const reasons: string[] = [];
  for (const method of inOrder(context.dse, wanted)) {
    const proof = await proofs[method](context);
    if (proof.fits) {
      const why = method === wanted ? 'it is configured' : proof.why;
      return { method, why: [...reasons, why].join('; '), lacks };
    }
    reasons.push(`${method} cannot be used: ${proof.why}`);
    lacks.push(...(proof.advice ?? []));
  }
  const why = 'so each time everything is read and compared';
  return { method: 'whole', why: [...reasons, why].join('; '), lacks };
}

/** Best first. */
const automatic: Record<ServerKind, Exclude<Method, 'whole'>[]> = {
  openldap: ['syncrepl', 'modify-timestamp'],
  ad: ['usn', 'dirsync', 'modify-timestamp'],
  '389ds': ['modify-timestamp'],
  generic: ['modify-timestamp'],
};

/** What is configured comes first; where it cannot be used, what `auto` takes. */
function inOrder({ kind }: RootDse, wanted: Exclude<DeltaMethod, 'whole'>): Exclude<Method, 'whole'>[] {
  const best = automatic[kind];
  return wanted === 'auto' ? best : [wanted, ...best.filter((method) => method !== wanted)];
}

async function proveSyncrepl({ session, dse, options, signal }: ReadContext): Promise<Proof> {
  // Seen with 2.3: each delta ends like a whole read (RFC 4533 §3.4: all others are gone), and after a rename the server ends.
  if (dse.kind === '389ds') return { fits: false, why: '389-DS does not tell who left the filter or the base' };
  const suffixes = namingContextsOf(dse, options.bases) ?? [];
  if (!dse.controls.has(SYNC_REQUEST)) {
    const why = `${dse.vendor} does not offer content synchronization`;
    return { fits: false, why, advice: dse.kind === 'openldap' ? suffixes.map(lacksSyncprov) : [] };
  }
  if (options.anchor !== 'entryuuid') {
    return { fits: false, why: `it names entries by entryUUID, and \`anchor\` is ${options.anchor}` };
  }
  if (dse.kind !== 'openldap') return { fits: true, why: `${dse.vendor} offers content synchronization` };
  for (const suffix of suffixes) {
    const entry = await readEntry(session, suffix, ['contextCSN'], { signal });
    if (entry?.attributes.has('contextcsn')) continue;
    const why = `contextCSN of ${suffix} is not there, or this account may not read it`;
    // Some database does it, maybe this one.
    return { fits: false, why, advice: [lacksContextCsn(suffix), maybeLacksSyncprov(suffix)] };
  }
  const kept = suffixes.length === 0 ? '' : `, and ${suffixes.join(', ')} keeps contextCSN`;
  return { fits: true, why: `${dse.vendor} offers content synchronization${kept}` };
}

async function proveUsn(context: ReadContext): Promise<Proof> {
  const found = domainOf(context);
  if ('why' in found) return found;
  if (context.dse.highestCommittedUsn === null || (await invocationIdOf(context)) === null) {
    return { fits: false, why: 'this account may not read which domain controller it is (invocationId)' };
  }
  for (const namingContext of found.namingContexts) {
    if (await seesDeleted(context, namingContext)) continue;
    const why = `this account does not see deleted objects of ${namingContext}`;
    return { fits: false, why, ...(!isSamba(context) && { advice: [lacksDeletedObjects(namingContext)] }) };
  }
  return {
    fits: true,
    why: 'this account sees deleted objects, so the change numbers of the domain controller tell all',
  };
}

async function proveDirSync(context: ReadContext): Promise<Proof> {
  const found = domainOf(context);
  if ('why' in found) return found;
  const [namingContext, ...others] = found.namingContexts;
  if (others.length > 0) return { fits: false, why: 'the bases lie in several naming contexts' };
  if (await isDirSyncAllowed(context, namingContext!)) {
    return { fits: true, why: 'this account may replicate directory changes, deletions among them' };
  }
  const why = `this account may not replicate changes of ${namingContext}, or not all of them`;
  return { fits: false, why, ...(!isSamba(context) && { advice: [lacksReplicationRight(namingContext!)] }) };
}

function domainOf({ dse, options }: ReadContext): { namingContexts: string[] } | Extract<Proof, { fits: false }> {
  if (dse.kind !== 'ad') return { fits: false, why: `${dse.vendor} is not Active Directory` };
  if (options.anchor !== 'objectguid') {
    return { fits: false, why: `it names entries by objectGUID, and \`anchor\` is ${options.anchor}` };
  }
  const namingContexts = namingContextsOf(dse, options.bases);
  return namingContexts === null ? { fits: false, why: 'a base lies in no naming context' } : { namingContexts };
}

/** No tool of Samba gives these rights; modify-timestamp does without them. */
function isSamba({ dse }: ReadContext): boolean {
  return dse.vendor.startsWith('Samba');
}

/** By any entry at all that is found by its time. */
async function proveModifyTimestamp({ session, dse, options, signal }: ReadContext): Promise<Proof> {
  const attribute = timeAttributes(dse).changed;
  for (const { dn, scope, filter } of options.bases) {
    const request = { base: dn, scope, filter: `(&${filter}${changedSince(dse, 0)})`, attributes: ['1.1'] };
    for await (const { items } of session.search({ ...request, sizeLimit: 1 }, { signal })) {
      if (!items.some(({ type }) => type === 'entry')) continue;
      return {
        fits: true,
        why: `changed entries are found by ${attribute}, deleted ones by a list of all that are there`,
      };
    }
  }
  const [base] = options.bases;
  const why = `no entry is found by ${attribute}`;
  return base === undefined
    ? { fits: false, why }
    : { fits: false, why, advice: [lacksReading(dse.kind, base.dn, [attribute])] };
}
