/**
 * One change of the replica for one entry of an LDAP directory: what stands there, which operations lead to what is wanted,
 * and what the server said. An entry is found again by the anchor, wherever an administrator moved it.
 */
import {
  DirpostError,
  distinguished,
  isDirpostError,
  isWithin,
  normalizeDn,
  OTHER_KEY,
  parentDn,
  rdnOf,
} from '@dirpost/core';
import type { Attributes, DirectoryChange, Place, WriteOutcome } from '@dirpost/core';
import { lacksMembers, mayLackMembers, withoutMissing } from './group-members.ts';
import { type CarriedResult, isLarge, LargeRequests } from './large-requests.ts';
import { completeRanges, hasRange } from './member-range.ts';
import { modificationsFor } from './modifications.ts';
import type { LdapOptions, LdapTarget } from './options.ts';
import { pipelined } from './pipelined.ts';
import { takesNoChanges } from './referrals.ts';
import type { Operation } from './requests.ts';
import type { FoundEntry, LdapResult } from './responses.ts';
import {
  ENTRY_ALREADY_EXISTS,
  INSUFFICIENT_ACCESS_RIGHTS,
  NO_SUCH_OBJECT,
  REFERRAL,
  resultWord,
  SUCCESS,
} from './results.ts';
import { findEntries, readEntry } from './root-dse.ts';
import { isSpeltOtherwise, rdnValues, renamed, renameTo } from './renames.ts';
import type { Schema } from './schema.ts';
import type { Session } from './session.ts';
import { shapeEntry } from './shape.ts';
import { isSecurityGroup, shapeAdopted, stamped, whyLeftAlone } from './shape-others.ts';

export interface WriteContext {
  session: Session;
  options: LdapOptions;
  schema: Schema | null;
  signal: AbortSignal;
  /** Another line to the same server, for what may cut it. */
  openAnother?: () => Promise<Session>;
}

export interface Draft {
  change: DirectoryChange;
  operations: Operation[];
  /** Where the entry stands afterwards; null: nowhere. */
  place: Place | null;
  /** Known already, and nothing is to be done. */
  outcome: WriteOutcome | null;
}

export const UNTOUCHABLE = ['admincount', 'iscriticalsystemobject'];

export class EntryWriter {
  readonly session: Session;
  readonly signal: AbortSignal;
  readonly #options: LdapOptions;
  readonly #target: LdapTarget;
  readonly #schema: Schema | null;
  readonly #large: LargeRequests | null;
  /** Bases that this account has seen. */
  readonly #seen = new Set<string>();

  constructor({ session, options, schema, signal, openAnother }: WriteContext) {
    if (options.target === undefined) throw new TypeError(`${options.name} is not written`);
    this.session = session;
    this.signal = signal;
    this.#options = options;
    this.#target = options.target;
    this.#schema = schema;
    this.#large = openAnother ? new LargeRequests(openAnother, options.times.operationMs, signal) : null;
  }

  close(): void {
    this.session.close();
    this.#large?.close();
  }

  /**
   * Throws DirpostError `directory-failed` where the container is somebody else's to make and is not there: one fault, and not one
   * of each entry.
   */
  async requireContainer(): Promise<void> {
    const { container, makeContainer } = this.#target;
    if (makeContainer || (await readEntry(this.session, container, ['1.1'], { signal: this.signal })) !== null) return;
    throw new DirpostError('directory-failed', `${container} is not there, or this account may not see it.`, {
      retry: 'operator',
      hint: 'Make it, and give the account its rights (docs/ldap.md); or is `container` written wrongly?',
      context: { container },
    });
  }

  async draft(change: DirectoryChange): Promise<Draft> {
    try {
      return await this.#draft(change);
    } catch (error) {
      if (!isDirpostError(error, 'dn-syntax')) throw error;
      return refusal(change, 'invalidDNSyntax', error.message);
    }
  }

  async #draft(change: DirectoryChange): Promise<Draft> {
    const { place } = change;
    if (change.adopted === true) return this.#adopted(change);
    if (!isWithin(change.dn, this.#target.container)) {
      return refusal(change, 'outsideContainer', `"${change.dn}" is not below "${this.#target.container}"`);
    }
    // The first time it is simply created; if something stands there the server says so.
    if (place === undefined) return change.action === 'remove' ? nothing(change, null) : this.#create(change);
    const found = await this.#find(place);
    if (change.action === 'remove') return this.#remove(change, found);
    if (found !== null) return this.#update(change, found);
    // Under its old DN the server says that it is there; under another one it would be there twice.
    const isNamedAnew = place.anchor !== '' && normalizeDn(place.dn) !== normalizeDn(change.dn);
    if (isNamedAnew && !(await this.#sees(this.#target.container))) throw blind(this.#target.container);
    return this.#create(change);
  }

  /** One operation after another, outside of a transaction. */
  async carryOut(draft: Draft): Promise<WriteOutcome> {
    const { change, operations, place } = draft;
    if (draft.outcome !== null) return draft.outcome;
    let missing: string[] = [];
    let moved: Place | null = null;
    for (const operation of operations) {
      const result = await this.#ask(change, operation);
      if (result.code === SUCCESS && operation.type === 'rename') moved = place;
      if (result.code === SUCCESS) continue;
      // What is left of it is known by what stands there now.
      if (result.isPartly === true) return this.#adopt(change);
      if (result.code === ENTRY_ALREADY_EXISTS && operation.type === 'add') return this.#adopt(change);
      if (result.code === NO_SUCH_OBJECT && operation.type === 'delete') continue;
      if (!mayLackMembers(change, operation, result)) return refused(change, result, moved);
      const less = await withoutMissing(operation, this.#target, this.session, this.signal);
      missing = less.missing;
      if (less.operation === null) continue;
      const second = await this.#ask(change, less.operation);
      // Active Directory looks at the members first.
      const isThere = second.code === ENTRY_ALREADY_EXISTS && operation.type === 'add';
      if (isThere || second.isPartly === true) return this.#adopt(change);
      if (second.code !== SUCCESS) return refused(change, second, moved);
    }
    if (missing.length > 0) return lacksMembers(change, place ?? undefined, missing);
    return { id: change.id, result: 'written', ...(place !== null && { place }) };
  }

  /** Where another of his name is among the leavers, who is moved there gets the beginning of his entry id (core/src/plan.ts). */
  async #ask(change: DirectoryChange, operation: Operation): Promise<CarriedResult> {
    if (this.#large !== null && isLarge(operation)) return this.#large.request(operation);
    const result = await this.session.request(operation, { signal: this.signal });
    if (result.code === REFERRAL) throw takesNoChanges(this.session.server, result);
    const isMove = change.action === 'remove' && operation.type === 'rename';
    if (!isMove || result.code !== ENTRY_ALREADY_EXISTS) return result;
    const rdn = rdnOf(distinguished(operation.dn, Buffer.from(change.id).toString('hex')));
    // The cn of Active Directory has one value.
    const keepOldRdn = this.#target.shape !== 'ad-contact';
    return this.session.request({ ...operation, rdn, keepOldRdn }, { signal: this.signal });
  }

  /** What the server gave to entries that were made: by it they are found once somebody has moved them. */
  withAnchors(outcomes: WriteOutcome[]): Promise<WriteOutcome[]> {
    return pipelined(outcomes, async (outcome) => {
      if (outcome.place === undefined || outcome.place.anchor !== '') return outcome;
      const found = await readEntry(this.session, outcome.place.dn, [this.#options.anchor], { signal: this.signal });
      return found === null ? outcome : { ...outcome, place: { ...outcome.place, anchor: this.#anchorOf(found) } };
    });
  }

  /**
   * Something stands where the entry belongs, in the container that is dirpost's own: an earlier write of which nobody
   * heard any more.
   */
  async #adopt(change: DirectoryChange): Promise<WriteOutcome> {
    const found = await this.#look(change.dn);
    if (found === null) {
      const reason = 'the server says that it is there already, and does not show it to this account';
      return { id: change.id, result: 'refused', code: resultWord(ENTRY_ALREADY_EXISTS), reason };
    }
    if (isSecurityGroup(found.attributes)) return refusal(change, 'notAllowed', 'it is a security group').outcome!;
    const isContainer = change.kind === 'container';
    return this.carryOut(isContainer ? nothing(change, this.#placeOf(found)) : this.#update(change, found));
  }

  #create(change: DirectoryChange): Draft {
    const { dn, kind } = change;
    const isContainer = kind === 'container';
    if (!isContainer && !this.#target.allowed.create) return refusal(change, 'notAllowed', 'creating is switched off');
    // Those of the postoffices in it are made all the same.
    if (isContainer && !this.#target.makeContainer && this.#isTop(dn)) return nothing(change, { dn, anchor: '' });
    const { attributes } = this.#shaped(change);
    const operation: Operation = { type: 'add', dn, attributes };
    return { change, operations: [operation], place: { dn, anchor: '' }, outcome: null };
  }

  #update(change: DirectoryChange, found: FoundEntry): Draft {
    const { allowed, policies } = this.#target;
    const untouchable = UNTOUCHABLE.find((name) => isTrue(found.attributes.get(name)));
    if (untouchable !== undefined) return refusal(change, 'notAllowed', `it is an entry with ${untouchable}`);
    const operations: Operation[] = [];
    const moves = normalizeDn(found.dn) !== normalizeDn(change.dn);
    if (moves && !allowed.rename) return refusal(change, 'notAllowed', 'renaming is switched off');
    const isRenamed = moves || (allowed.rename && isSpeltOtherwise(found.dn, change.dn));
    if (isRenamed) operations.push(renameTo(found.dn, change.dn));
    const isAdopted = change.adopted === true;
    const { attributes } = isAdopted ? shapeAdopted(change, found, this.#target, this.#schema) : this.#shaped(change);
    const has = isRenamed ? renamed(found, change.dn) : found.attributes;
    // What the network does not name is its own.
    const nameOf = (name: string) => this.#schema?.descriptionOf(name) ?? name;
    const named = new Set(Array.from(attributes.keys(), nameOf));
    const present = isAdopted ? new Map([...has].filter(([name]) => named.has(nameOf(name)))) : has;
    // Its members are left alone only when all have been written.
    const isOpen = change.lackedMembers === true && policies['member'] !== 'merge';
    const rules = isOpen ? { ...policies, member: 'force' as const } : policies;
    const changes = modificationsFor(present, attributes, { policies: rules, rdn: rdnValues(change.dn), nameOf });
    if (changes.length > 0 && !allowed.update) return refusal(change, 'notAllowed', 'changing is switched off');
    if (changes.length > 0) operations.push({ type: 'modify', dn: change.dn, changes });
    const place = { dn: change.dn, anchor: this.#anchorOf(found) };
    return operations.length === 0 ? nothing(change, place) : { change, operations, place, outcome: null };
  }

  /** It stood there before: it is changed where it stands, or is left alone. */
  async #adopted(change: DirectoryChange): Promise<Draft> {
    const { place } = change;
    const found = place === undefined ? null : await this.#find(place, this.#target.adopted?.base);
    const why = found === null ? null : whyLeftAlone(change, found, this.#target);
    if (why !== null) return refusal(change, 'notAllowed', why);
    if (change.action === 'remove') return this.#remove(change, found);
    if (found !== null) return this.#update({ ...change, dn: dnOfAdopted(change, found.dn) }, found);
    const reason = 'the entry that was there before is gone, or this account may not see it; see dirpost unlink';
    return refusal(change, resultWord(NO_SUCH_OBJECT), reason);
  }

  async #remove(change: DirectoryChange, found: FoundEntry | null): Promise<Draft> {
    const { allowed, removal } = this.#target;
    if (found === null) return this.#removeMissing(change);
    if (!allowed.delete) return refusal(change, 'notAllowed', 'removing is switched off');
    if (UNTOUCHABLE.some((name) => isTrue(found.attributes.get(name)))) {
      return refusal(change, 'notAllowed', 'it is an entry that the system needs');
    }
    const operation: Operation =
      removal === 'delete' || change.kind === 'container'
        ? { type: 'delete', dn: found.dn }
        : // The name stays, and with it its value; Active Directory takes no rename that keeps the old one (MS-ADTS 3.1.1.5.4.1).
          { type: 'rename', dn: found.dn, rdn: rdnOf(found.dn), keepOldRdn: false, superior: removal.moveTo };
    return { change, operations: [operation], place: null, outcome: null };
  }

  /**
   * An administrator was faster, or everything has other keys, or this account does not see it any more. Throws DirpostError
   * `directory-failed`: what is only not seen would count as removed, and stay for good.
   */
  async #removeMissing(change: DirectoryChange): Promise<Draft> {
    const { adopted, place } = change;
    if (place === undefined) return nothing(change, null);
    const { dn, anchor } = place;
    if (anchor !== '' && (await readEntry(this.session, dn, ['1.1'], { signal: this.signal })) !== null) {
      return refusal(change, OTHER_KEY, `at "${dn}" stands an entry with another key than that which was written`);
    }
    const { container } = this.#target;
    const base = adopted === true ? (this.#target.adopted?.base ?? container) : container;
    if (await this.#sees(base)) return nothing(change, null);
    // Perhaps it was never written, since the container is still to be made.
    if (anchor === '') return refusal(change, resultWord(NO_SUCH_OBJECT), REASONS[NO_SUCH_OBJECT]!);
    throw blind(base);
  }

  async #sees(base: string): Promise<boolean> {
    if (this.#seen.has(base)) return true;
    const isSeen = (await readEntry(this.session, base, ['1.1'], { signal: this.signal })) !== null;
    if (isSeen) this.#seen.add(base);
    return isSeen;
  }

  #isTop(dn: string): boolean {
    return normalizeDn(dn) === normalizeDn(this.#target.container);
  }

  #shaped(change: DirectoryChange): { attributes: Attributes } {
    return stamped(shapeEntry(change, this.#target, this.#schema), change, this.#target, this.#schema);
  }

  /** By the DN of the last write, if it is still the same entry; else wherever its anchor is now. */
  async #find({ dn, anchor }: Place, base = this.#target.container): Promise<FoundEntry | null> {
    const found = await this.#look(dn);
    if (found !== null && (anchor === '' || this.#anchorOf(found) === anchor)) return found;
    if (anchor === '') return null;
    const filter = `(${this.#options.anchor}=${escapedOctets(Buffer.from(anchor, 'hex'))})`;
    const attributes = ['*', this.#options.anchor];
    const [moved] = await findEntries(
      this.session,
      { base, scope: 'sub', filter, attributes },
      { signal: this.signal },
    );
    return this.#whole(moved ?? null);
  }

  async #look(dn: string): Promise<FoundEntry | null> {
    return this.#whole(await readEntry(this.session, dn, ['*', this.#options.anchor], { signal: this.signal }));
  }

  /** Active Directory shows only the first members of a large group. */
  async #whole(found: FoundEntry | null): Promise<FoundEntry | null> {
    if (found !== null && hasRange(found)) await completeRanges(this.session, found, this.signal);
    return found;
  }

  #placeOf(found: FoundEntry): Place {
    return { dn: found.dn, anchor: this.#anchorOf(found) };
  }

  #anchorOf({ attributes }: FoundEntry): string {
    return attributes.get(this.#options.anchor)?.[0]?.toString('hex') ?? '';
  }
}

/** Where an administrator put it, with another RDN only where that is wanted. */
function dnOfAdopted({ dn, place }: DirectoryChange, stands: string): string {
  const above = parentDn(stands);
  const isNamedSo = place !== undefined && normalizeDn(rdnOf(place.dn)) === normalizeDn(rdnOf(dn));
  return isNamedSo || above === null ? stands : `${rdnOf(dn)},${above}`;
}

function blind(base: string): DirpostError {
  return new DirpostError(
    'directory-failed',
    `${base}, where entries were written, is not there any more, or hidden.`,
    {
      retry: 'operator',
      hint: 'Give the account its rights again (docs/ldap.md). Was it removed by hand? Then make it again, empty.',
      context: { base },
    },
  );
}

function nothing(change: DirectoryChange, place: Place | null): Draft {
  const outcome: WriteOutcome = { id: change.id, result: 'written', ...(place !== null && { place }) };
  return { change, operations: [], place, outcome };
}

function refusal(change: DirectoryChange, code: string, reason: string): Draft {
  const outcome: WriteOutcome = { id: change.id, result: 'refused', code, reason };
  return { change, operations: [], place: null, outcome };
}

/** Where the server gives none. */
const REASONS: Record<number, string> = {
  [NO_SUCH_OBJECT]: 'what it belongs below is not there, or this account may not see it',
  [ENTRY_ALREADY_EXISTS]: 'another entry has that DN',
  [INSUFFICIENT_ACCESS_RIGHTS]: 'this account has no right to do it',
};

/** `place`: where it stands now, if it was moved before that. */
function refused({ id }: DirectoryChange, { code, message }: LdapResult, place: Place | null): WriteOutcome {
  const words = message
    .replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ')
    .trim()
    .slice(0, 300);
  const reason = words || (REASONS[code] ?? '');
  return { id, result: 'refused', code: resultWord(code), reason, ...(place !== null && { place }) };
}

export function isTrue(values: Buffer[] | undefined): boolean {
  const [value] = values ?? [];
  return value !== undefined && value.toString() !== '0' && value.toString().toUpperCase() !== 'FALSE';
}

/** RFC 4515 §3: each octet as a pair of hexadecimal digits is always right. */
function escapedOctets(value: Uint8Array): string {
  return Array.from(value, (octet) => `\\${octet.toString(16).padStart(2, '0')}`).join('');
}
