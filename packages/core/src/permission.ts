/**
 * What a requestor may publish (T2). The server holds it for every requestor: kinds, mail domains, number of entries; by
 * default everything but other postoffices' mail domains. What is refused is flagged at the server and stays in the
 * owner's digest, never altered (design section 4).
 */
import type { PostofficeName } from './change.ts';
import { comparedAttributes, comparedValues } from './compared-values.ts';
import { type EntryKind, kindOf } from './entry.ts';

export interface PublishRule {
  /** Absent: all. */
  kinds?: EntryKind[];
  /** Mail domains of this requestor, lower case. Absent: any that no other requestor has. */
  mailDomains?: string[];
  /** Absent: no bound. */
  maxEntries?: number;
}

export type PublishRules = ReadonlyMap<PostofficeName, PublishRule>;

export interface PublishRefusal {
  code: string;
  reason: string;
}

/** `live`: how many entries of the owner are published, this one not counted. */
export type PublishJudge = (bytes: Uint8Array, live: number) => PublishRefusal | null;

/** Of one entry. Each is compared with those of all others: a hundred thousand would keep the server busy for minutes. */
const MAX_UNIQUE_VALUES = 1_000;
/** With its length and number of values none takes less. */
const MIN_VALUE_BYTES = 2;

/** `unique`: attributes whose values must be unique on the network (comparedAttributes). */
export function publishJudge(owner: PostofficeName, rules: PublishRules, unique: readonly string[] = []): PublishJudge {
  const compared = new Set(unique);
  const rule = rules.get(owner) ?? {};
  const foreign = new Map<string, PostofficeName>();
  for (const [name, other] of rules) {
    if (name !== owner) for (const domain of other.mailDomains ?? []) foreign.set(domain, name);
  }
  return (bytes, live) => {
    const kind = kindOf(bytes);
    if (bytes.length > MAX_UNIQUE_VALUES * MIN_VALUE_BYTES && kind !== 'edit') {
      const count = comparedValues(bytes, compared).length;
      const reason = `the entry has ${count} values that must be unique; at most ${MAX_UNIQUE_VALUES} are compared`;
      if (count > MAX_UNIQUE_VALUES) return { code: 'too-many-values', reason };
    }
    // Of edits the lists say what is allowed (edit-permission.ts).
    if (kind !== 'edit' && rule.kinds !== undefined && !rule.kinds.includes(kind)) {
      return { code: 'kind-not-allowed', reason: `${owner} may not publish entries of kind ${kind}` };
    }
    if (rule.maxEntries !== undefined && live >= rule.maxEntries) {
      return { code: 'too-many-entries', reason: `${owner} may publish at most ${rule.maxEntries} entries` };
    }
    if (kind === 'edit' || (rule.mailDomains === undefined && foreign.size === 0)) return null;
    for (const mail of mailOf(bytes)) {
      const domain = domainOf(mail);
      const allowed = rule.mailDomains === undefined ? !foreign.has(domain) : rule.mailDomains.includes(domain);
      if (!allowed) return { code: 'mail-domain-not-allowed', reason: `${owner} may not publish mail in ${domain}` };
    }
    return null;
  };
}

const MAIL = new Set(comparedAttributes(['mail']));

/** Under each of its names and with any options, which whoever searches for mail finds, too. */
function mailOf(bytes: Uint8Array): Uint8Array[] {
  const found = comparedValues(bytes, MAIL).filter(({ description }) => !isProxyAddresses(description));
  return found.map(({ value }) => value);
}

/** Addresses of all sorts, old ones among them: whose they are the values that must be unique tell. */
function isProxyAddresses(description: string): boolean {
  return description === 'proxyaddresses' || description.startsWith('proxyaddresses;');
}

/** Of what LDAP and mail servers take for the same: in lower case, without spaces around it and a dot at its end. */
function domainOf(mail: Uint8Array): string {
  const text = Buffer.from(mail).toString('utf8');
  const domain = text.slice(text.lastIndexOf('@') + 1).toLowerCase();
  return domain.trim().replace(/\.$/, '');
}

/** The fingerprint of what decides about an owner's entries, so that a changed rule is noticed. */
export function rulesFingerprint(rules: PublishRules): string {
  return JSON.stringify([...rules].sort(([a], [b]) => (a < b ? -1 : 1)));
}
