/**
 * What is known beforehand of the mail servers that most offices have: where they are, how much they take, how they say
 * "slow down", where they put what is sent, and what an administrator there must allow. Facts of the providers, as they
 * document them; what a server says itself (SIZE, 552, a bounce) counts more.
 */
import type { Endpoint, ProfileName } from './options.ts';

export interface Profile {
  name: ProfileName;
  /** Mails that may be sent in a minute; null: no limit is known. */
  mailsPerMinute: number | null;
  /** At once, to submission and to the mailbox each. */
  connections: number;
  /** Defaults of the configuration; null: it has to name them. */
  submission: Endpoint | null;
  mailbox: Endpoint | null;
  /** Defaults of an OAuth login; TENANT in the address stands for the tenant's id or domain. */
  tokenUrl: string | null;
  scope: string | null;
  /**
   * Largest mail with its headers and base64, octets, that the provider lets go out by default; null: not known. The
   * server's SIZE may name more than it delivers, so the smaller one of the two bounds the parts.
   */
  maxMailBytes: number | null;
  /** A mail may be told in IDLE only a moment after it came. */
  tellsLate: boolean;
  /** The server itself keeps a copy of each mail in the folder \Sent, which has to be pruned. */
  sentIsAutomatic: boolean;
  /**
   * `\Trash`: folders are labels (Gmail), and a mail expunged elsewhere loses its label alone; it is deleted by moving it
   * there and expunging it there.
   */
  folders: { deleteIn: 'folder' | '\\Trash' };
  slowDown: readonly SlowDown[];
  /** What an administrator must allow, a sentence each, for `dirpost check`. */
  requirements: readonly string[];
}

/** `text`: of a reply that failed, SMTP or IMAP. The first that fits counts. */
interface SlowDown {
  text: RegExp;
  backoffMs: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Obeyed at most, whatever a server asks for. */
const MAX_BACKOFF_MS = 24 * HOUR_MS;
const MIN_BACKOFF_MS = 1_000;
/** Replies are short; nobody shall keep us searching. */
const MAX_REPLY_CHARACTERS = 4_000;

/** RFC 3463 for SMTP, RFC 5530 for IMAP, and the words that servers use besides. */
const commonSlowDown: readonly SlowDown[] = [
  { text: /\b(?:grey|gray)list/i, backoffMs: 5 * MINUTE_MS },
  { text: /\btoo many (?:simultaneous |concurrent )?connections\b/i, backoffMs: 2 * MINUTE_MS },
  { text: /\bnumber of connections\b.{0,60}\bexceeded\b/i, backoffMs: 2 * MINUTE_MS },
  { text: /\bconcurrent connections? limit\b/i, backoffMs: MINUTE_MS },
  { text: /\btoo many (?:mails|messages|e-?mails|recipients|commands|login|logins)\b/i, backoffMs: 10 * MINUTE_MS },
  { text: /\b(?:rate|sending|message) ?limit|\brate\b.{0,60}\bexceeded\b|\bthrottl/i, backoffMs: 10 * MINUTE_MS },
  {
    text: /\bserver (?:is )?(?:too )?busy\b|\bsystem (?:is )?(?:too )?busy\b|\bload (?:is )?too high\b/i,
    backoffMs: 5 * MINUTE_MS,
  },
  { text: /(?:^|\[)(?:UNAVAILABLE|LIMIT|INUSE)\b/, backoffMs: MINUTE_MS },
  { text: /\b4\.(?:3\.2|4\.2|4\.5|7\.28)\b|\b421\b.{0,20}\b4\.7\.0\b/, backoffMs: 2 * MINUTE_MS },
  { text: /\b(?:try|retry|come back) (?:again )?later\b/i, backoffMs: 5 * MINUTE_MS },
];

/** Also 5xx: they say that the day's share is used up, and not that anything is wrong with the mail. */
const microsoftSlowDown: readonly SlowDown[] = [
  { text: /\bSubmissionQuotaExceeded|\b5\.1\.90\b|\b5\.7\.23[23]\b|\bdaily limit\b/i, backoffMs: HOUR_MS },
  { text: /\bsender thread limit exceeded\b|\bsender (?:submission )?limit\b/i, backoffMs: MINUTE_MS },
  { text: /\bmessage submission rate\b/i, backoffMs: 2 * MINUTE_MS },
  // Exchange says so of a mailbox with too many sessions, for some minutes.
  { text: /\bauthenticated but not connected\b/i, backoffMs: 5 * MINUTE_MS },
  // Without a time of its own: Exchange counts within 5 minutes.
  { text: /\brequest is throttled\b|\bserver busy\b/i, backoffMs: 5 * MINUTE_MS },
];

const googleSlowDown: readonly SlowDown[] = [
  // Shut for up to a day; to try more often makes it longer.
  { text: /(?:^|\[)OVERQUOTA\b|\bexceeded command or bandwidth limits\b|\bbandwidth limit/i, backoffMs: HOUR_MS },
  {
    text: /\b5\.4\.5\b|\bsending (?:limit|quota) exceeded\b|\brelay (?:sending )?limit exceeded\b/i,
    backoffMs: HOUR_MS,
  },
  { text: /\btoo many simultaneous connections\b/i, backoffMs: 5 * MINUTE_MS },
  { text: /\btoo many login attempts\b|\bunusual rate\b/i, backoffMs: 30 * MINUTE_MS },
  { text: /\b4\.2\.1\b|\breceiving mail (?:too quickly|at a rate)/i, backoffMs: 10 * MINUTE_MS },
  {
    text: /\b4\.7\.0\b.{0,80}\btry again later\b|\btemporary system problem\b|\bSystem Error\b/i,
    backoffMs: 5 * MINUTE_MS,
  },
];

const commonRequirements = [
  'Spam filters (rspamd, SpamAssassin, Exchange) let mails between the postoffices pass: by an allow rule for their addresses, and by SPF and DKIM that are right.',
  'Delivery status notifications arrive in the mailbox, and no rule there moves, answers or deletes mail.',
];

const profiles: Record<ProfileName, Profile> = {
  generic: {
    name: 'generic',
    mailsPerMinute: null,
    connections: 3,
    submission: null,
    mailbox: null,
    tokenUrl: null,
    scope: null,
    maxMailBytes: null,
    tellsLate: true,
    sentIsAutomatic: false,
    folders: { deleteIn: 'folder' },
    slowDown: commonSlowDown,
    requirements: commonRequirements,
  },
  microsoft365: {
    name: 'microsoft365',
    mailsPerMinute: 30,
    connections: 3,
    submission: { host: 'smtp.office365.com', port: 587, tls: 'starttls' },
    mailbox: { host: 'outlook.office365.com', port: 993, tls: 'implicit' },
    tokenUrl: 'https://login.microsoftonline.com/TENANT/oauth2/v2.0/token',
    scope: 'https://outlook.office365.com/.default',
    maxMailBytes: 35_000_000,
    tellsLate: false,
    sentIsAutomatic: true,
    folders: { deleteIn: 'folder' },
    slowDown: [...microsoftSlowDown, ...commonSlowDown],
    requirements: [
      'In Entra an application is registered for dirpost, with a client secret or, better, a certificate.',
      'It has the application permissions SMTP.SendAsApp and IMAP.AccessAsApp of "Office 365 Exchange Online" (not of Microsoft Graph), with the consent of an administrator.',
      'It is a service principal in Exchange Online: New-ServicePrincipal -AppId CLIENT-ID -ObjectId OBJECT-ID. OBJECT-ID is that of the enterprise application; the one of the app registration does not work.',
      'It has the mailbox: Add-MailboxPermission -Identity MAILBOX -User OBJECT-ID -AccessRights FullAccess.',
      'The mailbox may use SMTP AUTH and IMAP: Set-CASMailbox -Identity MAILBOX -SmtpClientAuthenticationDisabled $false -ImapEnabled $true. Both logins use XOAUTH2; passwords are not taken.',
      'The mailbox is licensed, is used by nothing else, and has no automatic reply; its MaxSendSize and MaxReceiveSize are larger than a part (Get-Mailbox).',
      'No mail flow rule, Safe Attachments policy or common attachment filter takes .dpm away, and disclaimers are not added to mails between the postoffices.',
      ...commonRequirements,
    ],
  },
  google: {
    name: 'google',
    mailsPerMinute: null,
    // Google takes 15; the phone of an administrator wants some, too.
    connections: 3,
    submission: { host: 'smtp.gmail.com', port: 465, tls: 'implicit' },
    mailbox: { host: 'imap.gmail.com', port: 993, tls: 'implicit' },
    tokenUrl: 'https://oauth2.googleapis.com/token',
    scope: 'https://mail.google.com/',
    maxMailBytes: 25_000_000,
    tellsLate: false,
    sentIsAutomatic: true,
    folders: { deleteIn: '\\Trash' },
    slowDown: [...googleSlowDown, ...commonSlowDown],
    requirements: [
      'In Google Cloud there is a service account for dirpost, with a JSON key.',
      'It may act for the mailbox: Google Admin console, Security, API controls, Domain-wide delegation, its client ID with the scope https://mail.google.com/.',
      'The mailbox belongs to Google Workspace; a service account cannot act for a private Gmail address.',
      'IMAP is on for the mailbox, its labels for the inbox, Sent, Trash and Spam are shown in IMAP, and the number of mails in a folder is not limited (Gmail settings, "Forwarding and POP/IMAP").',
      'The processed folder is a label; deleted mails go through Trash. All mails together may fetch 2,500 MB a day by IMAP and send 2,000 mails a day.',
      'No compliance rule takes .dpm away, adds a footer, or holds mails between the postoffices.',
      ...commonRequirements,
    ],
  },
};

export function profileOf(name: ProfileName): Profile {
  return profiles[name];
}

/**
 * How long to leave the server alone, milliseconds, by what it said when something failed; null: nothing in it asks for
 * that. `text`: the reply as the server sent it, an SMTP one with its code in front, an IMAP one with its response code
 * in front, in brackets or not. A time that the server names is obeyed, between a second and a day. Not null for some
 * 5xx replies, too: then the mail is to be sent again and not to be marked failed.
 */
export function profileBackoff(profile: Profile, text: string): number | null {
  const reply = text.slice(0, MAX_REPLY_CHARACTERS).replaceAll(/\s+/g, ' ');
  const askedMs = askedBackoffMs(reply);
  if (askedMs !== null) return Math.min(Math.max(askedMs, MIN_BACKOFF_MS), MAX_BACKOFF_MS);
  const fits = profile.slowDown.find(({ text }) => text.test(reply));
  // A refusal for good stays one, also where it says "try again later"; only the providers' own words are better known.
  const isForGood = /^5\d\d\b/.test(reply) && fits !== undefined && commonSlowDown.includes(fits);
  return fits === undefined || isForGood ? null : fits.backoffMs;
}

function askedBackoffMs(reply: string): number | null {
  const exchange = /\bBackoff Time: ?(\d{1,12}) ?milliseconds/i.exec(reply);
  if (exchange !== null) return Number(exchange[1]);
  if (/^5\d\d\b/.test(reply)) return null;
  const found = /\b(?:again|retry|back|listed) (?:in|after|for) (\d{1,6}) ?(s|m|h)(?:ec|econd|in|inute|our)?s?\b/i.exec(
    reply,
  );
  if (found === null) return null;
  const unitMs = { s: 1_000, m: MINUTE_MS, h: HOUR_MS }[found[2]!.toLowerCase()] ?? 0;
  return Number(found[1]) * unitMs;
}
