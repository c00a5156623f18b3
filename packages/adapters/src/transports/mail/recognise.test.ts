import { expect, it } from 'vitest';
import { HeaderFields } from './header-fields.ts';
import { type MailSummary, readSubject, recognise, type Structure } from './recognise.ts';

const TYPE = 'application/octet-stream';

function mail(structure: Structure | null, ...fields: string[]): MailSummary {
  return { uid: 1, size: 1_000, receivedMs: 0, fields: new HeaderFields(fields.join('\r\n')), structure };
}

function part(number: string, type: string, more: Partial<Structure> = {}): Structure {
  return { part: number, type, encoding: 'base64', size: 5_000, ...more };
}

function multipart(...childNodes: Structure[]): Structure {
  return { type: 'multipart/mixed', childNodes };
}

const mark = `Dirpost-Message: id=${'0'.repeat(32)}; to=hq; no=42; tag=${'0'.repeat(32)}`;

function files(structure: Structure | null, ...fields: string[]) {
  const sight = recognise(mail(structure, ...fields), TYPE);
  if (sight.kind !== 'mail') throw new Error('a bounce');
  return { ...sight, named: sight.named.map((leaf) => leaf.part), others: sight.others.map((leaf) => leaf.part) };
}

it('our own mail is fetched by its attachment at once', () => {
  const structure = multipart(
    part('1', 'text/plain'),
    part('2', TYPE, { dispositionParameters: { filename: 'a.dpm' } }),
  );
  expect(files(structure, mark)).toMatchObject({ named: ['2'], others: ['1'], seemsOurs: true, isTooDeep: false });
});

it('a renamed and retyped attachment is looked at all the same', () => {
  const structure = multipart(part('1', 'text/plain'), part('2', 'application/pdf'), part('3', 'image/png'));
  expect(files(structure)).toMatchObject({ named: [], others: ['1', '2', '3'], seemsOurs: false });
});

it('a mail that is nothing but the file has it as its part 1', () => {
  expect(files({ type: TYPE, encoding: 'base64', size: 5_000 }, mark)).toMatchObject({ named: ['1'] });
});

it('a footer that wraps the mail in another multipart is no obstacle', () => {
  const inner = { ...multipart(part('1.1', 'text/plain'), part('1.2', TYPE)), part: '1' };
  expect(files(multipart(inner, part('2', 'text/plain', { size: 200 })), mark).named).toEqual(['1.2']);
});

it('nothing below an enclosed mail is looked at, and its subject tells that it is one of ours', () => {
  const enclosed = part('2', 'message/rfc822', {
    envelope: { subject: 'dirpost oslo to hq no 42' },
    childNodes: [multipart(part('2.1', 'text/plain'), part('2.2', TYPE))],
  });
  expect(files(multipart(part('1', 'text/plain'), enclosed))).toMatchObject({
    named: [],
    others: ['1'],
    seemsOurs: true,
  });
});

it('a mail of 10,000 parts and one that is nested 200 deep are looked at within limits', () => {
  const many = multipart(...Array.from({ length: 10_000 }, (_, i) => part(String(i + 1), TYPE)));
  const wide = files(many);
  expect(wide.named.length + wide.others.length).toBe(32);
  expect(wide).toMatchObject({ isTooDeep: true, isCut: true });
  let deep = part('1', TYPE);
  for (let i = 0; i < 200; i++) deep = multipart(deep);
  expect(files(deep)).toMatchObject({ named: [], others: [], isTooDeep: true });
  expect(files(null)).toMatchObject({ isTooDeep: true });
});

it('parts that are too small for any message file are not looked at', () => {
  expect(files(multipart(part('1', 'text/plain', { size: 99 }))).others).toEqual([]);
});

it('a notification is known by its structure', () => {
  const report: Structure = {
    type: 'multipart/report',
    parameters: { 'report-type': 'Delivery-Status' },
    childNodes: [
      part('1', 'text/plain'),
      part('2', 'message/delivery-status'),
      part('3', 'message/rfc822', { childNodes: [multipart(part('3.1', TYPE))] }),
    ],
  };
  expect(recognise(mail(report), TYPE)).toMatchObject({
    kind: 'bounce',
    status: { part: '2' },
    returned: { part: '3.HEADER' },
    text: { part: '1' },
  });
  const headers: Structure = {
    ...report,
    childNodes: [part('1', 'text/plain'), part('2', 'message/delivery-status'), part('3', 'text/rfc822-headers')],
  };
  expect(recognise(mail(headers), TYPE)).toMatchObject({ kind: 'bounce', returned: { part: '3' } });
});

it('a notification in another envelope, or in words only, is known too', () => {
  const rebuilt = multipart(part('1', 'text/html'), part('2', 'message/delivery-status'));
  expect(recognise(mail(rebuilt), TYPE)).toMatchObject({ kind: 'bounce', text: { type: 'text/html' } });
  const words = { type: 'text/plain', size: 900 };
  expect(recognise(mail(words, 'X-Failed-Recipients: a@b.test'), TYPE).kind).toBe('bounce');
  expect(recognise(mail(words, 'Return-Path: <>'), TYPE).kind).toBe('bounce');
  expect(recognise(mail(words, 'From: MAILER-DAEMON@mx.test (Mail Delivery Subsystem)'), TYPE).kind).toBe('bounce');
  expect(recognise(mail(words, 'From: ola@mx.test'), TYPE).kind).toBe('mail');
});

it('a read receipt is no notification that something was not delivered', () => {
  const receipt: Structure = {
    type: 'multipart/report',
    parameters: { 'report-type': 'disposition-notification' },
    childNodes: [part('1', 'text/plain'), part('2', 'message/disposition-notification')],
  };
  expect(files(receipt).named).toEqual([]);
});

it('an automatic answer counts only where it is one to a mail of ours', () => {
  const words = { type: 'text/plain', size: 900 };
  const away = ['Subject: Automatic reply: dirpost oslo to hq no 3', 'Auto-Submitted: auto-replied (vacation)'];
  expect(files(words, ...away)).toMatchObject({ isAnswer: true, seemsOurs: false });
  expect(files(words, 'Subject: Out of office', 'Auto-Submitted: auto-replied').isAnswer).toBe(false);
  expect(files(words, 'Subject: dirpost oslo to hq no 3', 'Auto-Submitted: auto-generated').isAnswer).toBe(false);
});

it('a subject of ours is read behind what others put before it', () => {
  expect(readSubject('Undeliverable: dirpost oslo to hq no 42 part 1 of 3')).toEqual({
    from: 'oslo',
    to: 'hq',
    number: 42,
  });
  expect(readSubject('dirpost oslo to hq')).toEqual({ from: 'oslo', to: 'hq', number: null });
  expect(readSubject('how dirpost works')).toBeNull();
});
