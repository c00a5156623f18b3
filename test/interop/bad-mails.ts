/** Mails that should not be, as octets: for tests of what a mailbox may hold. */
import { randomBytes } from 'node:crypto';

const CRLF = '\r\n';

export interface Part {
  name?: string;
  type?: string;
  content: Uint8Array | string;
  /** Without it, of the content. */
  base64?: string;
}

export interface Letter {
  from?: string;
  to: string;
  subject?: string;
  /** Further header fields. */
  fields?: string[];
  parts: Part[];
}

/** A mail with parts. */
export function letter({
  from = 'dirpost@oslo.test',
  to,
  subject = 'dirpost oslo to hq no 42',
  fields = [],
  parts,
}: Letter): Buffer {
  const boundary = `=_${randomBytes(8).toString('hex')}`;
  const head = [
    `From: ${from}`,
    `To: ${to}`,
    `Subject: ${subject}`,
    `Message-ID: <${randomBytes(8).toString('hex')}@oslo.test>`,
    'MIME-Version: 1.0',
    ...fields,
    `Content-Type: multipart/mixed; boundary="${boundary}"`,
    '',
    '',
  ].join(CRLF);
  const bodies = parts.map((part) => `--${boundary}${CRLF}${formatPart(part)}${CRLF}`);
  return Buffer.from(`${head}${bodies.join('')}--${boundary}--${CRLF}`);
}

export function file(content: Uint8Array | string, name = 'message.dpm'): Part {
  return { name, type: 'application/octet-stream', content };
}

/** In so many multiparts, one in another. */
export function nested(depth: number, inner: Part): Part {
  let [type, body] = [inner.type ?? 'text/plain', formatBody(inner)];
  for (let i = 0; i < depth; i++) {
    const head = `Content-Type: ${type}${CRLF}${i === 0 ? `Content-Transfer-Encoding: base64${CRLF}` : ''}`;
    body = `--level${i}${CRLF}${head}${CRLF}${body}${CRLF}--level${i}--${CRLF}`;
    type = `multipart/mixed; boundary="level${i}"`;
  }
  return { type, content: body, base64: '' };
}

/** As a mail server returns a mail (RFC 3464), with all of it. */
export function notification(to: string, returned: Uint8Array): Buffer {
  const boundary = `=_${randomBytes(8).toString('hex')}`;
  const status = [
    'Reporting-MTA: dns; mail.elsewhere.test',
    '',
    'Final-Recipient: rfc822; dirpost@hq.test',
    'Action: failed',
    'Status: 5.1.1',
    'Diagnostic-Code: smtp; 550 5.1.1 there is nobody of that name',
    '',
  ].join(CRLF);
  const parts = [
    `Content-Type: text/plain${CRLF}${CRLF}It could not be delivered.${CRLF}`,
    `Content-Type: message/delivery-status${CRLF}${CRLF}${status}${CRLF}`,
    `Content-Type: message/rfc822${CRLF}${CRLF}${Buffer.from(returned).toString('latin1')}${CRLF}`,
  ];
  const head = [
    'Return-Path: <>',
    'From: Mail Delivery System <mailer-daemon@elsewhere.test>',
    `To: ${to}`,
    'Subject: Mail delivery failed: returning message to sender',
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=delivery-status; boundary="${boundary}"`,
    '',
    '',
  ].join(CRLF);
  const body = parts.map((part) => `--${boundary}${CRLF}${part}`).join('');
  return Buffer.from(`${head}${body}--${boundary}--${CRLF}`, 'latin1');
}

/** Somebody's mail to somebody. */
export function foreignMail(number: number, to: string): string {
  const lines = [
    `From: Ola Nordmann <ola${number}@elsewhere.test>`,
    `To: ${to}`,
    `Subject: Lunch ${number}`,
    `Message-ID: <lunch${number}@elsewhere.test>`,
    'Date: Fri, 20 Nov 2026 12:00:00 +0100',
    '',
    'Shall we have lunch?',
    '',
  ];
  return lines.join(CRLF);
}

function formatPart(part: Part): string {
  const { name, type = 'text/plain' } = part;
  const lines = [`Content-Type: ${type}`];
  if (part.base64 !== '') lines.push('Content-Transfer-Encoding: base64');
  if (name !== undefined) lines.push(`Content-Disposition: attachment; filename="${name}"`);
  return `${lines.join(CRLF)}${CRLF}${CRLF}${formatBody(part)}`;
}

function formatBody({ content, base64 }: Part): string {
  if (base64 === '') return String(content);
  const encoded = base64 ?? Buffer.from(content).toString('base64');
  return encoded.replaceAll(/.{1,76}/g, (line) => `${line}${CRLF}`);
}
