/**
 * What a mail may be, by its header fields and its structure alone, before anything of its body is fetched (T2, T3):
 *
 *   bounce   a notification about a mail that was sent: what of it is to be read
 *   mail     parts that may hold a message file, and whether it calls itself one of ours
 *
 * Whether a part is a message file is told by its first octets, whatever its name and type are. Nothing below a
 * message/rfc822 is ever taken: a notification returns our own message file there.
 */
import type { HeaderFields } from './header-fields.ts';
import { oneLine } from './header-fields.ts';
import { MARK_HEADER } from './mark.ts';

/** Header fields that are fetched of each mail. */
export const FIELDS_LOOKED_AT = [
  MARK_HEADER,
  'Auto-Submitted',
  'X-Autoreply',
  'X-Autorespond',
  'Precedence',
  'From',
  'Subject',
  'Message-ID',
  'Content-Type',
  'Return-Path',
  'X-Failed-Recipients',
];

const MAX_LEAVES = 32;
const MAX_DEPTH = 16;
/** A structure of more parts is not walked to its end. */
const MAX_NODES = 2_000;
/** No message file is smaller: magic, header, signature. */
const MIN_PART_BYTES = 100;
const MAX_SUBJECT_LENGTH = 100;

export interface MailSummary {
  uid: number;
  /** Octets, as the server says. */
  size: number;
  /** INTERNALDATE (RFC 9051 §2.3.3), milliseconds; null: none told. */
  receivedMs: number | null;
  fields: HeaderFields;
  /** null: the server did not tell it, or it is nested deeper than can be read. */
  structure: Structure | null;
}

/** Of BODYSTRUCTURE (RFC 9051 §7.5.2), what is used of it. Types and encodings in lower case. */
export interface Structure {
  /** Number of the part; missing at the root. */
  part?: string | undefined;
  type: string;
  parameters?: Record<string, string> | undefined;
  encoding?: string | undefined;
  /** Octets as they are encoded, as the server says. */
  size?: number | undefined;
  dispositionParameters?: Record<string, string> | undefined;
  envelope?: { subject?: string | undefined } | undefined;
  childNodes?: Structure[] | undefined;
}

export interface Leaf {
  /** As in BODY[1.2]. */
  part: string;
  type: string;
  name: string;
  encoding: string;
  /** Octets as they are encoded, as the server says; it may be wrong. */
  size: number;
}

export type Sight = BounceSight | FileSight;

export interface BounceSight {
  kind: 'bounce';
  /** The message/delivery-status part; null: it is in words only. */
  status: Leaf | null;
  /** Where the returned header fields are; `part` as in BODY[3.HEADER]. */
  returned: Leaf | null;
  /** Words for people. */
  text: Leaf | null;
}

export interface FileSight {
  kind: 'mail';
  /** Said to be a message file by name or type: fetched whole at once. */
  named: Leaf[];
  /** May be one all the same: its first octets tell. */
  others: Leaf[];
  /** Has the header field or the subject of a mail of ours, outside or in a mail that it encloses. */
  seemsOurs: boolean;
  /** RFC 3834: an out-of-office note or the like, to a mail of ours. */
  isAnswer: boolean;
  /** Nested or divided beyond all use: not all of it was looked at. */
  isTooDeep: boolean;
  /** It has more parts than are looked at. */
  isCut: boolean;
}

export function recognise(mail: MailSummary, attachmentType: string): Sight {
  const found = mail.structure === null ? nothingFound : walk(mail.structure);
  const seemsMarked = mail.fields.has(MARK_HEADER);
  const isReport = hasReport(mail.structure, found.leaves) || mail.fields.has('X-Failed-Recipients');
  const candidates = found.leaves.filter(({ type, size }) => !type.startsWith('message/') && size >= MIN_PART_BYTES);
  const named = candidates.filter((leaf) => isNamed(leaf, seemsMarked ? attachmentType : undefined));
  const isNotice = isFromMailServer(mail.fields) && !seemsMarked && named.length === 0;
  if (isReport || isNotice) return bounceSight(found);
  return {
    kind: 'mail',
    named,
    others: candidates.filter((leaf) => !named.includes(leaf)),
    seemsOurs: seemsMarked || isOwnSubject(mail.fields.get('Subject')) || found.enclosed.some((node) => encloses(node)),
    isAnswer: isAnswer(mail.fields) && readSubject(mail.fields.get('Subject') ?? '') !== null,
    isTooDeep: found.isTooDeep,
    isCut: found.isCut,
  };
}

/** `dirpost oslo to hq no 42`, also behind "Undeliverable:" or "Re:". */
export function readSubject(text: string): { from: string; to: string; number: number | null } | null {
  const found = /\bdirpost ([a-z0-9-]{1,63}) to ([a-z0-9-]{1,63})(?: no (\d{1,15}))?\b/.exec(text);
  if (found === null) return null;
  return { from: found[1]!, to: found[2]!, number: found[3] === undefined ? null : Number(found[3]) };
}

/** For problems: `"dirpost oslo to hq no 42" from oslo@branch.example`. */
export function describeMail({ fields }: MailSummary): string {
  const subject = oneLine(fields.get('Subject') ?? '', MAX_SUBJECT_LENGTH);
  return `"${subject}" from ${senderOf(fields)}`;
}

export function senderOf(fields: HeaderFields): string {
  const from = oneLine(fields.get('From') ?? '', MAX_SUBJECT_LENGTH);
  return /<([^<>]*)>\s*$/.exec(from)?.[1] ?? (from === '' ? 'nobody' : from);
}

interface Found {
  leaves: Leaf[];
  /** message/rfc822 and the like. */
  enclosed: Structure[];
  isTooDeep: boolean;
  isCut: boolean;
}

const nothingFound: Found = { leaves: [], enclosed: [], isTooDeep: true, isCut: false };

function walk(root: Structure): Found {
  const found: Found = { leaves: [], enclosed: [], isTooDeep: false, isCut: false };
  let nodes = 0;
  const look = (node: Structure, depth: number): void => {
    if (depth > MAX_DEPTH || ++nodes > MAX_NODES) found.isTooDeep = true;
    else if (isEnclosed(node)) found.enclosed.push(node);
    else if (node.type.startsWith('multipart/')) for (const child of node.childNodes ?? []) look(child, depth + 1);
    else if (found.leaves.length >= MAX_LEAVES) found.isCut = true;
    else found.leaves.push(leafOf(node));
  };
  look(root, 0);
  return found;
}

function isEnclosed({ type }: Structure): boolean {
  return type === 'message/rfc822' || type === 'message/global';
}

function leafOf({ part, type, encoding, size, parameters, dispositionParameters }: Structure): Leaf {
  const name = dispositionParameters?.['filename'] ?? parameters?.['name'] ?? '';
  // The body of a mail that has no parts is its part 1 (RFC 9051 §6.4.5.1).
  return { part: part ?? '1', type, name, encoding: encoding ?? '', size: size ?? 0 };
}

function isNamed({ type, name }: Leaf, attachmentType: string | undefined): boolean {
  return /\.dpm(?:\.txt)?$/i.test(name) || type === 'application/x-dirpost' || type === attachmentType?.toLowerCase();
}

/** A report as such (RFC 6522), or with its parts in another envelope, as some gateways build it. */
function hasReport(root: Structure | null, leaves: Leaf[]): boolean {
  if (leaves.some(({ type }) => isDeliveryStatus(type))) return true;
  return root?.type === 'multipart/report' && /^delivery-status$/i.test(root.parameters?.['report-type'] ?? '');
}

/** RFC 3464, RFC 6533. */
function isDeliveryStatus(type: string): boolean {
  return type === 'message/delivery-status' || type === 'message/global-delivery-status';
}

/** RFC 5321 §4.5.5: notifications have the null sender. */
function isFromMailServer(fields: HeaderFields): boolean {
  return (
    /^<\s*>$/.test(fields.get('Return-Path') ?? '') || /\b(?:mailer-daemon|postmaster)@/i.test(fields.get('From') ?? '')
  );
}

function bounceSight({ leaves, enclosed }: Found): BounceSight {
  const status = leaves.find(({ type }) => isDeliveryStatus(type)) ?? null;
  const headers = leaves.find(({ type }) => /^(?:text|message)\/(?:rfc822-headers|global-headers)$/.test(type));
  const whole = enclosed[0];
  // The root itself may be message/rfc822 where somebody forwards: then there is nothing to read.
  const returned = headers ?? (whole?.part === undefined ? null : { ...leafOf(whole), part: `${whole.part}.HEADER` });
  const text = leaves.find(({ type }) => type === 'text/plain') ?? leaves.find(({ type }) => type === 'text/html');
  return { kind: 'bounce', status, returned: returned ?? null, text: text ?? null };
}

function isOwnSubject(subject: string | null): boolean {
  return (
    subject !== null &&
    /^\s*(?:\[[^\]]{1,40}\]\s*|\*+[^*]{1,40}\*+\s*)?dirpost /.test(subject) &&
    readSubject(subject) !== null
  );
}

function encloses(node: Structure): boolean {
  return isOwnSubject(node.envelope?.subject ?? null);
}

function isAnswer(fields: HeaderFields): boolean {
  return (
    /^auto-(?:replied|notified)/i.test(fields.get('Auto-Submitted') ?? '') ||
    fields.has('X-Autoreply') ||
    fields.has('X-Autorespond') ||
    /^auto[_-]reply/i.test(fields.get('Precedence') ?? '')
  );
}
