/**
 * Reads a notification that a mail was not delivered (RFC 3464 in RFC 6522), or what older servers write instead. It says
 * which message file came back, why, and whether it is really one that was sent from here. Nothing is ever answered, and
 * a notification is never an acknowledgement.
 */
import { isPostofficeName } from '@dirpost/core';
import { HeaderFields, oneLine } from './header-fields.ts';
import { MARK_HEADER, type Mark, readMark } from './mark.ts';
import type { Bounce } from './options.ts';
import { readSubject } from './recognise.ts';

const MAX_DIAGNOSTIC_LENGTH = 500;
const MAX_RECIPIENT_LENGTH = 320;
/** Recipients of one notification that are looked at; a mail of ours has one. */
const MAX_RECIPIENTS = 100;

export interface BounceTexts {
  /** Of the notification itself. */
  fields: HeaderFields;
  /** The message/delivery-status part, decoded. */
  status: string | null;
  /** The returned header fields. */
  returned: string | null;
  /** Words for people. */
  text: string;
}

interface Recipient {
  address: string | null;
  action: string;
  status: string | null;
  diagnostic: string | null;
}

/** null: it is about no mail of ours, or about one that arrived. `tagSecret`: as the mails were marked with. */
export function readBounce(texts: BounceTexts, tagSecret: Uint8Array): Bounce | null {
  const about = findMark(texts, tagSecret) ?? findSubject(texts);
  if (about === null) return null;
  const recipients = texts.status === null ? [] : readRecipients(texts.status);
  const told =
    recipients.find(({ action }) => action === 'failed') ?? recipients.find(({ action }) => action === 'delayed');
  // RFC 3464 §2.3.3: delivered, relayed and expanded are good news.
  if (told === undefined && recipients.length > 0) return null;
  const action = told === undefined ? actionInWords(texts) : told.action === 'delayed' ? 'delayed' : 'failed';
  const diagnostic = told?.diagnostic ?? replyInWords(texts.text);
  // Exim says X.0.0 of all, and quotes what the other side said.
  const status =
    [told?.status, statusIn(diagnostic)].find((one) => one && !one.endsWith('.0.0')) ?? told?.status ?? null;
  const recipient = told?.address ?? failedRecipient(texts.fields);
  return {
    ...about,
    recipient: recipient === null ? null : oneLine(recipient, MAX_RECIPIENT_LENGTH),
    action,
    status,
    diagnostic: oneLine(diagnostic, MAX_DIAGNOSTIC_LENGTH),
    isTooLarge: action === 'failed' && isTooLarge(status, diagnostic),
  };
}

type About = Pick<Bounce, 'isAuthentic' | 'messageId' | 'peer' | 'number'>;

/** Authentic ones first: somebody may have put another beside it. */
function findMark({ returned, text, status }: BounceTexts, tagSecret: Uint8Array): About | null {
  let found: About | null = null;
  for (const place of [returned, text, status]) {
    for (const mark of place === null ? [] : marksIn(place, tagSecret)) {
      if (mark.isAuthentic) return aboutOf(mark);
      found ??= aboutOf(mark);
    }
  }
  return found;
}

function aboutOf({ id, to, number, isAuthentic }: Mark & { isAuthentic: boolean }): About {
  return { isAuthentic, messageId: id, peer: to, number };
}

function marksIn(text: string, tagSecret: Uint8Array): (Mark & { isAuthentic: boolean })[] {
  const marks = [];
  // White space and quotation marks: folded, quoted or wrapped by whoever returned it.
  const pattern = new RegExp(
    `${MARK_HEADER}:[\\s>]*(id=[0-9a-f]{32};[\\s>]*to=[\\s\\S]{1,150}?tag=[0-9a-f]{32})`,
    'gi',
  );
  for (const [, value] of text.matchAll(pattern)) {
    const mark = readMark(value!.replace(/[\s>]+/g, ' ').toLowerCase(), tagSecret);
    if (mark !== null) marks.push(mark);
    if (marks.length >= 10) break;
  }
  return marks;
}

/** Where the header fields are not returned: by our own subject, which is proof of nothing. */
function findSubject({ returned, text, fields }: BounceTexts): About | null {
  for (const place of [returned, fields.get('Subject'), text]) {
    const subject = place === null ? null : readSubject(place);
    if (subject === null || !isPostofficeName(subject.to)) continue;
    return { isAuthentic: false, messageId: null, peer: subject.to, number: subject.number };
  }
  return null;
}

/** RFC 3464 §2.1: fields of the mail, and then, behind empty lines, of each recipient. */
function readRecipients(text: string): Recipient[] {
  const groups = text
    .split(/(?:\r?\n)[ \t]*(?:\r?\n)+/)
    .slice(0, MAX_RECIPIENTS)
    .map((group) => new HeaderFields(group));
  return groups
    .filter((group) => group.has('Final-Recipient') || group.has('Original-Recipient') || group.has('Action'))
    .map((group) => ({
      address: typed(group.get('Original-Recipient')) ?? typed(group.get('Final-Recipient')),
      action: (group.get('Action') ?? 'failed').toLowerCase().replace(/[^a-z].*$/, ''),
      status: /[245]\.\d{1,3}\.\d{1,3}/.exec(group.get('Status') ?? '')?.[0] ?? null,
      diagnostic: typed(group.get('Diagnostic-Code')),
    }));
}

/** `rfc822; bob@two.test`, `smtp; 550 5.1.1 no such user`. */
function typed(value: string | null): string | null {
  if (value === null) return null;
  const plain = value.replace(/^[\w.-]{1,40}\s*;\s*/, '').trim();
  return plain === '' ? null : plain.replace(/^<(.*)>$/, '$1');
}

function failedRecipient(fields: HeaderFields): string | null {
  const value = fields.get('X-Failed-Recipients')?.split(',')[0]?.trim();
  return value === undefined || value === '' ? null : value;
}

const DELAYED =
  /\b(?:delay(?:ed)?|will (?:continue|keep) (?:to )?(?:try|retry)|will be retried|still being (?:re)?tried|warning:)/i;

function actionInWords({ fields, text }: BounceTexts): Bounce['action'] {
  return DELAYED.test(`${fields.get('Subject') ?? ''}\n${text.slice(0, 4_000)}`) ? 'delayed' : 'failed';
}

/** The line with an SMTP reply in it, else the first words. */
function replyInWords(text: string): string {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const reply = lines.findIndex((line) => /\b[45]\d\d[ -](?:#?[45]\.\d|[a-z])/i.test(line));
  if (reply >= 0) return lines.slice(reply, reply + 2).join(' ');
  return lines.filter((line) => line !== '').join(' ');
}

/** RFC 3463 in an SMTP reply (RFC 2034): 552 5.3.4. */
function statusIn(diagnostic: string): string | null {
  return /(?:^|[\s#(:])([245]\.\d{1,3}\.\d{1,3})(?=[\s);:,.]|$)/.exec(diagnostic)?.[1] ?? null;
}

const SIZE_STATUS = ['5.3.4', '5.2.3'];
const SIZE_WORDS =
  /(?:message|mail|content)\s+(?:size\s+)?(?:is\s+)?(?:too\s+(?:large|big)|exceeds)|exceed(?:s|ed)?\s+(?:the\s+)?(?:\w+\s+){0,3}size|size\s+limit|SizeLimit/i;

function isTooLarge(status: string | null, diagnostic: string): boolean {
  const inReply = statusIn(diagnostic);
  if ([status, inReply].some((code) => code !== null && SIZE_STATUS.includes(code))) return true;
  if (SIZE_WORDS.test(diagnostic)) return true;
  // 552 alone is also said of a full mailbox (RFC 5321 §4.2.3), which then has its own status.
  const isFull = [status, inReply].includes('5.2.2') || /quota|mailbox\s+(?:is\s+)?full|over\s?quota/i.test(diagnostic);
  return !isFull && /(?:^|[\s:])552[ -]/.test(diagnostic);
}
