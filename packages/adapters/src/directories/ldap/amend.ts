/**
 * T3 at the owner: single attributes of own entries are changed in the directory that they come from, as somebody else proposed
 * (core's settle.ts). Only where they still are as he believed: looked at first, and in the same operation, since values
 * are taken away by name and not replaced.
 */
import { normalizeType, parseDn } from '@dirpost/core';
import { underAskedNames } from './asked-names.ts';
import { isNeverWrittenToOthers } from './never-written.ts';
import type { LdapOptions } from './options.ts';
import type { Modification } from './requests.ts';
import type { FoundEntry, LdapResult } from './responses.ts';
import { INSUFFICIENT_ACCESS_RIGHTS, mayPass, resultWord, SUCCESS } from './results.ts';
import { readEntry } from './root-dse.ts';
import type { Session } from './session.ts';
import { isTrue, UNTOUCHABLE } from './write-entry.ts';

/** Attributes in lower case. */
export interface Amendment {
  dn: string;
  /** Whether that is the value of the attribute that the entry keeps for life: another may have come to its DN. */
  isEntry(anchor: Uint8Array): boolean;
  changes: AttributeAmendment[];
}

export interface AttributeAmendment {
  attribute: string;
  /** null: whatever it is. */
  before: Uint8Array[] | null;
  after: Uint8Array[];
}

export type AmendOutcome =
  /** It is as it shall be; `already`: it was so before. */
  | { result: 'written' | 'already' }
  /** These attributes are neither as before nor as they shall be. */
  | { result: 'differs'; attributes: string[] }
  /** It will not succeed by itself. */
  | { result: 'refused'; code: string; reason: string }
  /** The server is busy, or the entry is not where it was: it may succeed another time. */
  | { result: 'later'; code: string };

/** RFC 4511 appendix A.2: what a modification answers when the values are not those that were read. */
const NO_SUCH_ATTRIBUTE = 16;
const ATTRIBUTE_OR_VALUE_EXISTS = 20;
/** RFC 4512 §4.1.2: an attribute without an equality rule; its values cannot be named, only replaced. */
const INAPPROPRIATE_MATCHING = 18;

interface AmendContext {
  session: Session;
  options: Pick<LdapOptions, 'anchor'>;
  signal: AbortSignal;
}

/** All of an amendment or nothing of it. Throws DirpostError `directory-failed`. */
export async function amendEntry(context: AmendContext, amendment: Amendment): Promise<AmendOutcome> {
  const { session, signal } = context;
  const { changes } = amendment;
  const forbidden = changes.find(({ attribute }) => isNeverWrittenToOthers(attribute) || attribute === 'objectclass');
  if (forbidden !== undefined) return refusal('notAllowed', `${forbidden.attribute} is never written`);
  const found = await findEntry(context, amendment);
  // The next read says where it is now, or that it has gone.
  if (found === null) return { result: 'later', code: 'noSuchObject' };
  if (UNTOUCHABLE.some((name) => isTrue(found.attributes.get(name)))) {
    return refusal('notAllowed', 'it is an entry that the system needs');
  }
  const naming = changes.find(({ attribute }) => names(found.dn, attribute));
  if (naming !== undefined) return refusal('notAllowedOnRDN', `${naming.attribute} names the entry`);
  const open = changes.filter(({ attribute, after }) => !isSame(found.attributes.get(attribute) ?? [], after));
  if (open.length === 0) return { result: 'already' };
  const differing = open.filter(({ attribute, before }) => {
    return before !== null && !isSame(found.attributes.get(attribute) ?? [], before);
  });
  if (differing.length > 0) return { result: 'differs', attributes: differing.map(({ attribute }) => attribute) };
  const modify = (make: typeof byValue) =>
    session.request({ type: 'modify', dn: found.dn, changes: open.flatMap((one) => make(one, found)) }, { signal });
  let result = await modify(byValue);
  if (result.code === INAPPROPRIATE_MATCHING) result = await modify(replaced);
  return outcomeOf(result, open);
}

async function findEntry({ session, options, signal }: AmendContext, amendment: Amendment): Promise<FoundEntry | null> {
  const { dn, isEntry, changes } = amendment;
  const attributes = [options.anchor, ...UNTOUCHABLE, ...changes.map(({ attribute }) => attribute)];
  const found = await readEntry(session, dn, attributes, { signal });
  if (found !== null) underAskedNames(attributes, found.attributes);
  const anchor = found?.attributes.get(options.anchor)?.[0];
  return anchor !== undefined && isEntry(anchor) ? found : null;
}

function byValue({ attribute, after }: AttributeAmendment, { attributes }: FoundEntry): Modification[] {
  const has = attributes.get(attribute) ?? [];
  const removed = has.filter((value) => !after.some((one) => Buffer.compare(one, value) === 0));
  const added = after.filter((value) => !has.some((one) => one.equals(value)));
  const modifications: Modification[] = [];
  if (removed.length > 0) modifications.push({ kind: 'delete', attribute, values: removed });
  if (added.length > 0) modifications.push({ kind: 'add', attribute, values: added });
  return modifications;
}

function replaced({ attribute, after }: AttributeAmendment): Modification[] {
  return [{ kind: 'replace', attribute, values: after }];
}

function outcomeOf({ code, message }: LdapResult, open: AttributeAmendment[]): AmendOutcome {
  if (code === SUCCESS) return { result: 'written' };
  if (code === NO_SUCH_ATTRIBUTE || code === ATTRIBUTE_OR_VALUE_EXISTS) {
    return { result: 'differs', attributes: open.map(({ attribute }) => attribute) };
  }
  if (mayPass(code)) return { result: 'later', code: resultWord(code) };
  const words = message
    .replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ')
    .trim()
    .slice(0, 300);
  const otherwise = code === INSUFFICIENT_ACCESS_RIGHTS ? 'this account has no right to do it' : '';
  return refusal(resultWord(code), words || otherwise);
}

function refusal(code: string, reason: string): AmendOutcome {
  return { result: 'refused', code, reason };
}

function names(dn: string, attribute: string): boolean {
  return parseDn(dn)[0]?.some(({ type }) => normalizeType(type) === normalizeType(attribute)) === true;
}

/** Without regard to their order. */
function isSame(some: Uint8Array[], others: Uint8Array[]): boolean {
  const keys = (values: Uint8Array[]) => new Set(values.map((value) => Buffer.from(value).toString('latin1')));
  const [a, b] = [keys(some), keys(others)];
  return a.size === b.size && [...a].every((key) => b.has(key));
}
