/**
 * A mail around a message file (T1): who it is from and what it holds in one readable sentence, the file as attachment,
 * and the header fields by which other programs know it for an automatic mail and this one knows it again.
 */
import type { MessageFile, MessageSummary } from '@dirpost/core';
import { domainOf } from './addresses.ts';
import { ARMOUR_FACTOR, formatArmour } from './armour.ts';
import { formatMark, MARK_HEADER } from './mark.ts';
import type { AttachmentOptions } from './options.ts';

/** What a mail has beside its attachment, octets, generously: header fields, text part, boundaries. */
const MAX_REST_BYTES = 16 * 1024;
/** RFC 2045 §6.8: lines of 76 characters and CRLF, of 57 octets each. */
const BASE64_FACTOR = 78 / 57;
const LINE_LENGTH = 72;

export interface Composing {
  /** Both checked by checkMailAddress. */
  from: string;
  to: string;
  attachment: AttachmentOptions;
  tagSecret: Uint8Array;
  date: Date;
}

/** Octets as they are sent. `file.bytes` is not used after it. */
export async function composeMail(file: MessageFile, composing: Composing): Promise<Buffer> {
  const { from, to, attachment, tagSecret, date } = composing;
  const { default: MailComposer } = await import('nodemailer/lib/mail-composer');
  const mark = { id: file.id, to: file.to, number: file.about?.number ?? 0 };
  const composer = new MailComposer({
    from: { name: '', address: from },
    to: { name: '', address: to },
    subject: subjectOf(file),
    messageId: messageIdOf(file.id, from),
    date,
    headers: {
      // RFC 3834 §5: nothing of ours is to be answered by a program.
      'Auto-Submitted': 'auto-generated',
      // Not "All": that would hold back bounces, too.
      'X-Auto-Response-Suppress': 'OOF, AutoReply, RN, NRN',
      [MARK_HEADER]: formatMark(mark, tagSecret),
    },
    text: textOf(file),
    attachments: [attachmentOf(file, attachment)],
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return await composer.compile().build();
}

/** Largest message file whose mail has at most `mailBytes` octets; 0 where none has. */
export function fileBytesIn(mailBytes: number, form: AttachmentOptions['form']): number {
  const factor = form === 'armoured' ? ARMOUR_FACTOR : BASE64_FACTOR;
  return Math.max(0, Math.floor((mailBytes - MAX_REST_BYTES) / factor));
}

/** Octets of the mail around a message file of that size, at most. */
export function mailBytesOf(fileBytes: number, form: AttachmentOptions['form']): number {
  return Math.ceil(fileBytes * (form === 'armoured' ? ARMOUR_FACTOR : BASE64_FACTOR)) + MAX_REST_BYTES;
}

/** The same for a repeat, so that servers and people see that it is one. */
export function messageIdOf(id: string, from: string): string {
  return `<${id}@${domainOf(from).replace(/^\[|\]$/g, '')}>`;
}

export function subjectOf({ from, to, about }: MessageFile): string {
  const number = about === undefined ? '' : ` no ${about.number}`;
  return `dirpost ${from} to ${to}${number}${partOf(about)}`;
}

/** ASCII in short lines, so that nothing on the way encodes it. */
export function textOf({ from, to, about }: MessageFile): string {
  const what = about === undefined ? 'a message' : describe(about);
  const sentence = `The dirpost postoffice "${from}" sends ${what} to the postoffice "${to}" in the attached file.`;
  return `${wrap(sentence)}\r\n\r\nMade by dirpost; do not answer.\r\n`;
}

function describe(about: MessageSummary): string {
  const { kind, number, changes } = about;
  const counted = changes === null ? '' : ` with ${changes} ${changes === 1 ? 'change' : 'changes'}`;
  const part = about.parts > 1 ? `,${partOf(about)},` : '';
  const article = kind === 'verification' ? 'a' : 'an';
  return `${article} ${kind} (no ${number})${counted}${part}`;
}

function partOf(about: MessageSummary | undefined): string {
  return about === undefined || about.parts <= 1 ? '' : ` part ${about.part + 1} of ${about.parts}`;
}

function attachmentOf({ id, bytes }: MessageFile, { name, type, form }: AttachmentOptions) {
  const filename = name.replaceAll('{id}', id);
  const plain = { filename, contentType: type, contentDisposition: 'attachment' };
  if (form === 'armoured') return { ...plain, content: formatArmour(bytes), contentTransferEncoding: '7bit' };
  const content = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { ...plain, content, contentTransferEncoding: 'base64' };
}

function wrap(sentence: string): string {
  const lines = [''];
  for (const word of sentence.split(' ')) {
    const line = lines.at(-1)!;
    if (line === '') lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= LINE_LENGTH) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines.join('\r\n');
}
