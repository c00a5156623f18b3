/**
 * Matching rules (RFC 4517 §4): when two values of an attribute are equal, and which comes first. Without a schema
 * the rule of an attribute is known by its name (the attributes of RFC 4519, 2798, 4524 and of Active Directory); all
 * others are compared as directory strings without regard to case.
 */
import { isUtf8 } from 'node:buffer';
import { normalizeDn, normalizeType } from './dn.ts';
import { foldCase, squeeze } from './fold-text.ts';

/** The ways in which values compare. */
export type MatchingRule =
  | 'case-ignore'
  | 'case-exact'
  | 'telephone'
  | 'numeric-string'
  | 'integer'
  | 'time'
  | 'dn'
  | 'octets'
  // Active Directory: the assertion's bits are all set, or at least one of them is.
  | 'bits-all'
  | 'bits-any';

const ruleByAttribute = new Map<string, MatchingRule>();

function register(rule: MatchingRule, names: string): void {
  for (const name of names.trim().split(/\s+/)) ruleByAttribute.set(name, rule);
}

register('case-exact', 'labeleduri homedirectory loginshell memberuid unixhomedirectory gecos automountkey');
register(
  'telephone',
  `telephonenumber mobile pager homephone facsimiletelephonenumber ipphone othertelephone othermobile otherpager
   otherhomephone otherfacsimiletelephonenumber`,
);
register('numeric-string', 'x121address internationalisdnnumber');
register(
  'integer',
  `uidnumber gidnumber shadowlastchange shadowmin shadowmax shadowwarning shadowinactive shadowexpire shadowflag
   ipserviceport ipprotocolnumber oncrpcnumber useraccountcontrol grouptype samaccounttype primarygroupid usnchanged
   usncreated pwdlastset accountexpires lastlogon lastlogoff lastlogontimestamp badpwdcount badpasswordtime lockouttime
   logoncount instancetype systemflags searchflags countrycode codepage adminCount
   msds-user-account-control-computed msds-supportedencryptiontypes msexchrecipienttypedetails
   msexchrecipientdisplaytype msexchversion numsubordinates`.toLowerCase(),
);
register('time', 'createtimestamp modifytimestamp whencreated whenchanged pwdchangedtime pwdaccountlockedtime');
register(
  'dn',
  `distinguishedname entrydn member uniquemember memberof manager secretary assistant owner seealso roleoccupant
   aliasedobjectname associatedname managedby managedobjects directreports creatorsname modifiersname subschemasubentry
   documentauthor dITredirect objectcategory homemdb showinaddressbook altrecipient publicdelegates authorig
   dlmemsubmitperms msexchmoderatedbylink`.toLowerCase(),
);
register(
  'octets',
  `userpassword unicodepwd jpegphoto photo audio thumbnailphoto thumbnaillogo usercertificate usersmimecertificate
   cacertificate certificaterevocationlist authorityrevocationlist userpkcs12 objectguid objectsid sidhistory
   msexchmailboxguid msexcharchiveguid ms-ds-consistencyguid mssfu30posixmember nTsecuritydescriptor logonhours
   replpropertymetadata msexchblockedsendershash msexchsafesendershash`.toLowerCase(),
);

/** The rules that an extensible match may name (RFC 4517 §4.2, and Microsoft's). */
const ruleByName = new Map<string, MatchingRule>([
  ['caseignorematch', 'case-ignore'],
  ['2.5.13.2', 'case-ignore'],
  ['caseignoreia5match', 'case-ignore'],
  ['1.3.6.1.4.1.1466.109.114.2', 'case-ignore'],
  ['caseexactmatch', 'case-exact'],
  ['2.5.13.5', 'case-exact'],
  ['caseexactia5match', 'case-exact'],
  ['1.3.6.1.4.1.1466.109.114.1', 'case-exact'],
  ['objectidentifiermatch', 'case-ignore'],
  ['2.5.13.0', 'case-ignore'],
  ['booleanmatch', 'case-ignore'],
  ['2.5.13.13', 'case-ignore'],
  ['distinguishednamematch', 'dn'],
  ['2.5.13.1', 'dn'],
  ['numericstringmatch', 'numeric-string'],
  ['2.5.13.8', 'numeric-string'],
  ['integermatch', 'integer'],
  ['2.5.13.14', 'integer'],
  ['octetstringmatch', 'octets'],
  ['2.5.13.17', 'octets'],
  ['telephonenumbermatch', 'telephone'],
  ['2.5.13.20', 'telephone'],
  ['generalizedtimematch', 'time'],
  ['2.5.13.27', 'time'],
  ['1.2.840.113556.1.4.803', 'bits-all'],
  ['1.2.840.113556.1.4.804', 'bits-any'],
]);

/** `description`: an attribute description, in any case, with or without options. */
export function ruleOf(description: string): MatchingRule {
  const [type = '', ...options] = description.toLowerCase().split(';');
  if (options.includes('binary')) return 'octets';
  return ruleByAttribute.get(normalizeType(type)) ?? 'case-ignore';
}

/** The rule of an extensible match by name or number; undefined for one that we do not have. */
export function ruleNamed(name: string): MatchingRule | undefined {
  return ruleByName.get(name.toLowerCase());
}

/**
 * The form in which values under a rule are equal, or come one after the other, as texts; undefined if the value is
 * none of that syntax. Octets that should be text but are not UTF-8 are compared as octets.
 */
export function normalValue(rule: MatchingRule, value: Uint8Array): string | undefined {
  const octets = asBuffer(value);
  if (rule === 'octets') return octets.toString('latin1');
  if (!isUtf8(octets)) {
    // The mark keeps octets apart from every text: U+FFFF never stands in one.
    return rule === 'case-ignore' || rule === 'case-exact' ? `\uffff${octets.toString('latin1')}` : undefined;
  }
  const text = octets.toString('utf8');
  switch (rule) {
    case 'case-ignore':
      return foldCase(text);
    case 'case-exact':
      return squeeze(text);
    case 'telephone':
      // RFC 4518 §2.6.3: hyphens and spaces do not count.
      return foldCase(text).replace(/[ \u002d\u058a\u2010\u2011\u2212\ufe63\uff0d]/g, '');
    case 'numeric-string':
      return /^[0-9 ]+$/.test(text) ? text.replaceAll(' ', '') : undefined;
    case 'integer':
    case 'bits-all':
    case 'bits-any':
      return /^-?[0-9]{1,40}$/.test(text) ? BigInt(text).toString() : undefined;
    case 'time':
      return normalTime(text);
    case 'dn':
      return normalName(text);
    default:
      return rule satisfies never;
  }
}

/** Whether there is an order, so that >= and <= mean something. */
export function hasOrder(rule: MatchingRule): boolean {
  return rule !== 'dn' && rule !== 'bits-all' && rule !== 'bits-any';
}

/** Whether substrings mean something. */
export function hasSubstrings(rule: MatchingRule): boolean {
  return rule === 'case-ignore' || rule === 'case-exact' || rule === 'telephone' || rule === 'numeric-string';
}

/** Below 0, 0 or above 0, for two normal values of one rule. */
export function compareNormal(rule: MatchingRule, a: string, b: string): number {
  if (rule === 'integer') {
    const [x, y] = [BigInt(a), BigInt(b)];
    return x < y ? -1 : x > y ? 1 : 0;
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

function normalName(text: string): string | undefined {
  try {
    return normalizeDn(text);
  } catch {
    return undefined;
  }
}

/** GeneralizedTime (RFC 4517 §3.3.13) in UTC, at full length, so that the order of texts is the order of times. */
function normalTime(text: string): string | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)?)?(?:[.,](\d{1,20}))?(?:Z|([+-])(\d\d)(\d\d)?)$/.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHours, offsetMinutes] = match;
  // The fraction is one of the smallest unit that is given.
  const unitSeconds = second !== undefined ? 1 : minute !== undefined ? 60 : 3600;
  const time = Date.UTC(+year!, +month! - 1, +day!, +hour!, +(minute ?? 0), +(second ?? 0));
  const offset = sign === undefined ? 0 : (+offsetHours! * 60 + +(offsetMinutes ?? 0)) * (sign === '-' ? -1 : 1);
  const millis = Math.round(Number(`0.${fraction || '0'}`) * unitSeconds * 1000);
  const date = new Date(time - offset * 60_000 + millis);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The parts of a substring assertion, as given. */
export interface Substrings {
  initial?: Uint8Array;
  any: Uint8Array[];
  final?: Uint8Array;
}

/**
 * A test for values against substrings, or undefined where an assertion is none of the syntax. RFC 4518 §2.6.1: the
 * value has one space at either end and two between words, an assertion part one where it has any at its end; so `foo
 * *` finds "foo bar" and "foo" but not "foobar".
 */
export function substringTest(rule: MatchingRule, parts: Substrings): ((value: Uint8Array) => boolean) | undefined {
  if (!hasSubstrings(rule)) return undefined;
  const spaced = rule === 'case-ignore' || rule === 'case-exact';
  const prepare = (part: Uint8Array | undefined, place: 'initial' | 'any' | 'final'): string | undefined => {
    if (part === undefined) return '';
    const normal = normalValue(rule, part);
    if (normal === undefined || !spaced) return normal;
    const text = asBuffer(part).toString('utf8');
    if (normal === '') return text === '' ? '' : ' ';
    const before = place === 'initial' || /^\s/.test(text) ? ' ' : '';
    const after = place === 'final' || /\s$/.test(text) ? ' ' : '';
    return before + normal.replaceAll(' ', '  ') + after;
  };
  const initial = prepare(parts.initial, 'initial');
  const final = prepare(parts.final, 'final');
  const any = parts.any.map((part) => prepare(part, 'any')).filter((part) => part !== undefined);
  if (initial === undefined || final === undefined || any.length < parts.any.length) return undefined;
  return (value) => {
    const normal = normalValue(rule, value);
    if (normal === undefined) return false;
    const text = spaced ? ` ${normal.replaceAll(' ', '  ')} ` : normal;
    if (!text.startsWith(initial)) return false;
    let at = initial.length;
    for (const part of any) {
      const found = text.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return text.length - final.length >= at && text.endsWith(final);
  };
}
