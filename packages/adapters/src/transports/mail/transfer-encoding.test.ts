import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { decodeTransfer } from './transfer-encoding.ts';

const decoded = (text: string, encoding: string, isStart?: boolean) =>
  decodeTransfer(Buffer.from(text, 'latin1'), encoding, isStart)?.toString('latin1');

it('base64 with lines of any length is read, and what is broken is told', () => {
  const bytes = randomBytes(1_000);
  const text = bytes.toString('base64').replace(/.{61}/g, '$&\r\n ');
  expect(decodeTransfer(Buffer.from(text), 'BASE64')!.equals(bytes)).toBe(true);
  expect(decoded('aGVsbG8', 'base64')).toBe('hello');
  for (const broken of ['aGVsb!8=', 'aGVsbG8=aGVsbG8=', 'aGVsb', 'aGVsbG8===']) {
    expect(decoded(broken, 'base64')).toBeUndefined();
  }
});

it('the start of a part may end anywhere', () => {
  expect(decoded('aGVsbG8gd29', 'base64', true)).toBe('hello ');
  expect(decoded('aGVs\r\nbG8h!!', 'base64', true)).toBe('hello!');
});

it('quoted-printable is read with soft breaks, and octets that are none of it pass', () => {
  expect(decoded('a=3Db=\r\nc=0d=0A', 'quoted-printable')).toBe('a=bc\r\n');
  expect(decoded('a= \t\r\nb=', 'quoted-printable')).toBe('ab');
  expect(decoded('1=2 = 3=ZZ', 'quoted-printable')).toBe('1=2 = 3=ZZ');
});

it('what is not encoded passes, and an encoding that nobody knows does not', () => {
  for (const encoding of ['7bit', '8BIT', 'binary', '']) expect(decoded('\xff\0', encoding)).toBe('\xff\0');
  expect(decoded('begin 644', 'x-uuencode')).toBeUndefined();
});

it('quoted-printable that is nothing but signs is undone within a second of processor time', () => {
  const signs = Buffer.alloc(8 * 1024 * 1024, '=');
  const before = process.cpuUsage();
  expect(decodeTransfer(signs, 'quoted-printable')!.equals(signs.subarray(0, -1))).toBe(true);
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1_000).toBeLessThan(1_000);
});
