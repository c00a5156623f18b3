import { expect, it } from 'vitest';
import { type BounceTexts, readBounce } from './bounce.ts';
import { HeaderFields } from './header-fields.ts';
import { formatMark } from './mark.ts';

const secret = Buffer.alloc(32, 1);
const id = 'abcdef0123456789abcdef0123456789';
const mark = formatMark({ id, to: 'hq', number: 42 }, secret);

function texts(more: Partial<BounceTexts> & { head?: string }): BounceTexts {
  const { head = 'From: MAILER-DAEMON@mx.test', ...others } = more;
  return { fields: new HeaderFields(head), status: null, returned: null, text: '', ...others };
}

const returned = `From: dirpost@oslo.test\r\nSubject: dirpost oslo to hq no 42\r\nDirpost-Message: ${mark}\r\n`;

function status(...recipient: string[]): string {
  return `Reporting-MTA: dns; mx.one.test\r\nArrival-Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\n${recipient.join('\r\n')}\r\n`;
}

it('reads what Exim sends, and knows its own tag', () => {
  const bounce = readBounce(
    texts({
      head: 'X-Failed-Recipients: dirpost@hq.test\r\nAuto-Submitted: auto-replied\r\nFrom: Mail Delivery System <Mailer-Daemon@mx>',
      status: status(
        'Action: failed',
        'Final-Recipient: rfc822;dirpost@hq.test',
        'Status: 5.0.0',
        'Remote-MTA: dns; mx.hq.test',
        'Diagnostic-Code: smtp; 550 5.1.1 <dirpost@hq.test>:\r\n Recipient address rejected',
      ),
      returned: `Return-path: <dirpost@oslo.test>\r\n${returned.replace('; no=', ';\r\n no=')}`,
    }),
    secret,
  );
  expect(bounce).toEqual({
    isAuthentic: true,
    messageId: id,
    peer: 'hq',
    number: 42,
    recipient: 'dirpost@hq.test',
    action: 'failed',
    status: '5.1.1',
    diagnostic: '550 5.1.1 <dirpost@hq.test>: Recipient address rejected',
    isTooLarge: false,
  });
});

it('a tag made with another secret, and a subject alone, prove nothing', () => {
  const forged = texts({
    returned: returned.replace(mark, formatMark({ id, to: 'hq', number: 42 }, Buffer.alloc(32, 2))),
  });
  expect(readBounce(forged, secret)).toMatchObject({ isAuthentic: false, messageId: id, peer: 'hq' });
  const subject = texts({ head: 'Subject: Undeliverable: dirpost oslo to hq no 42', text: 'Your message was lost.' });
  expect(readBounce(subject, secret)).toMatchObject({ isAuthentic: false, messageId: null, peer: 'hq', number: 42 });
});

it('an authentic tag counts, whatever stands before it', () => {
  const other = formatMark({ id: '0'.repeat(32), to: 'rome', number: 1 }, Buffer.alloc(32, 2));
  const bounce = readBounce(texts({ returned: `Dirpost-Message: ${other}\r\n${returned}` }), secret);
  expect(bounce).toMatchObject({ isAuthentic: true, messageId: id });
});

it('a notification about somebody else’s mail is none of our business', () => {
  expect(
    readBounce(texts({ status: status('Action: failed', 'Final-Recipient: rfc822; a@b.test') }), secret),
  ).toBeNull();
});

it('good news is no bounce, and bad news of one of several recipients is', () => {
  const delivered = 'Final-Recipient: rfc822; a@hq.test\r\nAction: delivered\r\nStatus: 2.0.0';
  expect(readBounce(texts({ status: status(delivered), returned }), secret)).toBeNull();
  const failed = 'Final-Recipient: rfc822; b@hq.test\r\nAction: failed (mailbox gone)\r\nStatus: 5.1.1 (unknown)';
  const bounce = readBounce(texts({ status: status(`${delivered}\r\n\r\n${failed}`), returned }), secret);
  expect(bounce).toMatchObject({ recipient: 'b@hq.test', action: 'failed', status: '5.1.1' });
});

it('a delay is told as one, also in words', () => {
  const delayed =
    'Final-Recipient: rfc822; a@hq.test\r\nAction: delayed\r\nStatus: 4.4.1\r\nDiagnostic-Code: smtp; 452 4.3.4 too large for now';
  const bounce = readBounce(texts({ status: status(delayed), returned }), secret);
  expect(bounce).toMatchObject({ action: 'delayed', status: '4.4.1', isTooLarge: false });
  const words = texts({
    head: 'Subject: Warning: message 1a delayed 24 hours',
    text: `Still trying.\r\n\r\n${returned}`,
  });
  expect(readBounce(words, secret)).toMatchObject({ isAuthentic: true, action: 'delayed' });
});

it('an old notification in plain words is read, quoted or not', () => {
  const text = [
    'Hi. This is the qmail-send program at mx.test.',
    '',
    '<dirpost@hq.test>:',
    '192.0.2.1 does not like recipient.',
    'Remote host said: 550 5.1.1 unknown user',
    '',
    '--- Below this line is a copy of the message.',
    ...returned.replace('; to=', ';\r\n\tto=').split('\r\n'),
  ];
  for (const quote of ['', '> ']) {
    const quoted = text.map((line) => `${quote}${line}`).join('\n');
    expect(readBounce(texts({ text: quoted }), secret)).toMatchObject({
      isAuthentic: true,
      action: 'failed',
      status: '5.1.1',
    });
  }
});

it.each([
  ['5.3.4', '552 5.3.4 Message size exceeds fixed limit', true],
  ['5.2.3', '550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient', true],
  ['5.0.0', '552 message exceeds maximum allowed size', true],
  ['5.0.0', 'host mx.test: 552-5.3.4 Your message exceeded our message size limits', true],
  ['5.7.1', '550 5.7.1 #5.3.4 smtp; too big', false],
  ['5.2.2', '552 5.2.2 mailbox full', false],
  ['5.0.0', '552 Requested mail action aborted: exceeded storage allocation, over quota', false],
  ['5.1.1', '550 5.1.1 no such user', false],
])('too large or not: %s %s', (code, diagnostic, isTooLarge) => {
  const failed = `Final-Recipient: rfc822; a@hq.test\r\nAction: failed\r\nStatus: ${code}\r\nDiagnostic-Code: smtp; ${diagnostic}`;
  expect(readBounce(texts({ status: status(failed), returned }), secret)).toMatchObject({ isTooLarge });
});

it('what the other side says becomes one short line without control characters', () => {
  const evil = `550 \u001b[31mno\u0007 ${'x'.repeat(2_000)}`;
  const failed = `Final-Recipient: rfc822; a@hq.test\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; ${evil}`;
  const { diagnostic } = readBounce(texts({ status: status(failed), returned }), secret)!;
  expect(diagnostic).toHaveLength(500);
  // oxlint-disable-next-line no-control-regex -- these are what is to be gone
  expect(diagnostic).not.toMatch(/[\u0000-\u001f]/);
});

it('a megabyte of nonsense is read quickly', () => {
  const nonsense = 'Dirpost-Message: id='.repeat(50_000);
  const sinceMs = performance.now();
  expect(readBounce(texts({ status: nonsense, returned: nonsense, text: nonsense }), secret)).toBeNull();
  expect(performance.now() - sinceMs).toBeLessThan(2_000);
});
