/** What comes by mail: its structure and header fields, parts that may hold a message file, notifications of failure. */
import { strict as assert } from 'node:assert';
import { formatArmour, parseArmour } from '@dirpost/adapters';
import { type BounceTexts, readBounce } from '../../../packages/adapters/src/transports/mail/bounce.ts';
import { contentOf } from '../../../packages/adapters/src/transports/mail/candidates.ts';
import { HeaderFields, oneLine } from '../../../packages/adapters/src/transports/mail/header-fields.ts';
import { formatMark, readMark } from '../../../packages/adapters/src/transports/mail/mark.ts';
import { describeMail, recognise, type Structure } from '../../../packages/adapters/src/transports/mail/recognise.ts';
import { decodeTransfer } from '../../../packages/adapters/src/transports/mail/transfer-encoding.ts';
import { octets, type Target, text } from '../target.ts';

const TYPE = 'application/octet-stream';
const MAX_FILE_BYTES = 4_096;
const secret = Buffer.alloc(32, 7);
const mark = formatMark({ id: 'ab'.repeat(16), to: 'oslo', number: 42 }, secret);
const encodings = ['', '7bit', 'base64', 'quoted-printable', 'x-unknown'];

const part: Target = {
  name: 'mail-part',
  about: 'a part of a mail that may hold a message file: transfer encodings, armour',
  seeds: () => {
    const file = Buffer.concat([Buffer.from('DIRPOST1'), Buffer.alloc(200, 9)]);
    const armour = formatArmour(file);
    return [
      file,
      Buffer.from(file.toString('base64')),
      ...octets(
        armour,
        armour.replaceAll('\r\n', ' \n> '),
        `hello\n${armour}\n-- \nfooter`,
        'DIRPOST1=00=\r\n=3D',
        'RElSUE9TVDE',
      ),
    ];
  },
  words: [
    '-----BEGIN DIRPOST MESSAGE-----',
    '-----END DIRPOST MESSAGE-----',
    '-----BEGIN',
    'DIRPOST1',
    '=\r\n',
    '=',
    '> ',
    '\n',
  ],
  run(input) {
    for (const encoding of encodings) {
      const leaf = { part: '1', type: TYPE, name: '', encoding, size: input.length };
      const content = contentOf(input, leaf, MAX_FILE_BYTES);
      if (content.is === 'file') assert.equal(content.bytes.length <= MAX_FILE_BYTES, true);
      decodeTransfer(input, encoding, true);
    }
    if (input.length > 0) assert.deepEqual(parseArmour(Buffer.from(formatArmour(input))), Buffer.from(input));
  },
};

/** Parts of a notification are told apart by this line. */
const RULE = '\n=====\n';

const bounce: Target = {
  name: 'mail-bounce',
  about: 'a notification that a mail was not delivered: its fields, status part, returned fields and words',
  seeds: () =>
    octets(
      [
        'From: MAILER-DAEMON@mx.example\r\nSubject: Undelivered\r\nX-Failed-Recipients: oslo@x.example',
        'Reporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; oslo@x.example\r\nAction: failed\r\nStatus: 5.2.2\r\nDiagnostic-Code: smtp; 552 5.2.2 full',
        `Subject: dirpost hq to oslo no 42\r\nDirpost-Message: ${mark}\r\n`,
        'Mail delivery failed: 550 5.1.1 no such user',
      ].join(RULE),
      ['Subject: Warning: delayed', '', '', `> Dirpost-Message:\n> ${mark.replaceAll(' ', '\n> ')}`].join(RULE),
    ),
  words: [
    'Dirpost-Message: ',
    mark,
    'Action: ',
    'Status: ',
    'rfc822; ',
    '\r\n\r\n',
    '\n \t',
    RULE,
    'dirpost a to b no 1',
    '552 ',
    '5.3.4',
  ],
  maxBytes: 64 * 1024,
  run(input) {
    const [fields = '', status = '', returned = '', words = ''] = text(input).split(RULE);
    const texts: BounceTexts = {
      fields: new HeaderFields(fields),
      status: status === '' ? null : status,
      returned: returned === '' ? null : returned,
      text: words,
    };
    const found = readBounce(texts, secret);
    // Only a tag of our own is authentic, and there is one.
    if (found?.isAuthentic === true) assert.equal(found.messageId, 'ab'.repeat(16));
    if (found !== null)
      assert.equal(/[\u0000-\u001f\u007f-\u009f]/.test(`${found.recipient}${found.diagnostic}`), false);
    readMark(words, secret);
    assert.equal(/[\u0000-\u001f]/.test(oneLine(words, 100)), false);
  },
};

const TREE = {
  type: 'multipart/mixed',
  childNodes: [
    { part: '1', type: 'text/plain', encoding: '7bit', size: 400 },
    { part: '2', type: 'application/octet-stream', encoding: 'base64', size: 5000, parameters: { name: 'a.dpm' } },
    { part: '3', type: 'message/rfc822', size: 900, envelope: { subject: 'dirpost oslo to hq no 42' } },
    { part: '4', type: 'multipart/report', parameters: { 'report-type': 'delivery-status' }, childNodes: [] },
    { part: '5', type: 'message/delivery-status', size: 300 },
  ],
};

const mail: Target = {
  name: 'mail',
  about: 'a mail by its header fields and its structure, as a mailbox tells them: is there a message file in it?',
  seeds: () =>
    octets(
      `From: oslo@x.example\nSubject: dirpost oslo to hq no 3\nDirpost-Message: ${mark}\n${RULE}${JSON.stringify(TREE)}`,
      `Return-Path: <>\nAuto-Submitted: auto-replied\nSubject: Re:\n folded${RULE}{"type":"text/plain","size":900}`,
    ),
  words: [
    '"childNodes":[',
    '"type":"',
    'multipart/',
    'message/rfc822',
    '"size":',
    '.dpm',
    RULE,
    'Subject: ',
    'From: ',
    '\n ',
  ],
  maxBytes: 16 * 1024,
  run(input) {
    const [fields = '', tree = ''] = text(input).split(RULE);
    const summary = {
      uid: 1,
      size: 9_000,
      receivedMs: null,
      fields: new HeaderFields(fields),
      structure: structureIn(tree),
    };
    const sight = recognise(summary, TYPE);
    if (sight.kind === 'mail') assert.equal(sight.named.length + sight.others.length <= 32, true);
    assert.equal(/[\u0000-\u001f]/.test(describeMail(summary)), false);
  },
};

/** A tree with the fields of the kinds that the mail client gives; null: it is none. */
function structureIn(json: string): Structure | null {
  try {
    return nodeOf(JSON.parse(json) as unknown);
  } catch {
    return null;
  }
}

function nodeOf(given: unknown): Structure {
  const { part, type, encoding, size, parameters, envelope, childNodes } = Object(given) as Record<string, unknown>;
  const texts = Object.entries(Object(parameters) as object).map(([name, value]) => [name, String(value)]);
  const subject = (Object(envelope) as { subject?: unknown }).subject;
  return {
    type: textOf(type),
    ...(part !== undefined && { part: textOf(part) }),
    ...(encoding !== undefined && { encoding: textOf(encoding) }),
    ...(typeof size === 'number' && { size }),
    ...(envelope !== undefined && { envelope: { subject: textOf(subject) } }),
    parameters: Object.fromEntries(texts) as Record<string, string>,
    ...(Array.isArray(childNodes) && { childNodes: childNodes.map(nodeOf) }),
  };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? '');
}

export const mailTargets = [part, bounce, mail];
