import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ARMOUR_FACTOR, formatArmour, parseArmour } from './armour.ts';

const parse = (text: string) => parseArmour(Buffer.from(text));

/** What mail programs, gateways and filters do to text. */
const damage: Record<string, (text: string) => string> = {
  'LF line ends': (text) => text.replaceAll('\r\n', '\n'),
  'CR line ends': (text) => text.replaceAll('\r\n', '\r'),
  'spaces at line ends': (text) => text.replaceAll('\r\n', ' \t \r\n'),
  'lines set in': (text) => text.replaceAll(/^/gm, '    '),
  'a quotation': (text) => text.replaceAll(/^/gm, '> '),
  'a quotation of a quotation': (text) => text.replaceAll(/^/gm, '>> '),
  'empty lines between': (text) => text.replaceAll('\r\n', '\r\n\r\n'),
  'a footer': (text) => `${text}\r\n-- \r\nThis mail is confidential.\r\n`,
  'a text before': (text) => `EXTERNAL MAIL: be careful -----\r\n\r\n${text}`,
  'no last line end': (text) => text.trimEnd(),
  'a byte order mark': (text) => `\u{feff}${text}`,
  'an armoured file that was cut before it': (text) => `${text.slice(0, text.length / 2)}\r\n${text}`,
};

/** Lines anew at white space, or within long words, as programs do. */
function rewrap(text: string, width: number): string {
  const wrapped: string[] = [];
  for (const line of text.split('\r\n')) {
    if (line.startsWith('-----')) wrapped.push(line);
    else for (let at = 0; at < line.length; at += width) wrapped.push(line.slice(at, at + width));
  }
  return wrapped.join('\r\n');
}

describe('armour', () => {
  it.each(Object.keys(damage))('passes with %s', (kind) => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 400 }), (bytes) => {
        expect(parse(damage[kind]!(formatArmour(bytes)))).toEqual(Buffer.from(bytes));
      }),
      { numRuns: 50 },
    );
  });

  it('passes with all of it together, in any order, and with lines of any length', () => {
    const kinds = fc.subarray(Object.keys(damage));
    const shuffled = kinds.chain((some) => fc.shuffledSubarray(some, { minLength: some.length }));
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 400 }),
        shuffled,
        fc.integer({ min: 1, max: 200 }),
        (bytes, some, width) => {
          const text = some.reduce((before, kind) => damage[kind]!(before), rewrap(formatArmour(bytes), width));
          expect(parse(text)).toEqual(Buffer.from(bytes));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('passes when all lines were joined', () => {
    const bytes = Buffer.alloc(300, 1);
    expect(parse(formatArmour(bytes).replaceAll('\r\n', ' '))).toEqual(bytes);
    expect(parse(formatArmour(bytes).replaceAll(' ', '\r\n> '))).toEqual(bytes);
  });

  it('is ASCII in lines of at most 64 characters, and as large as its factor says', () => {
    const text = formatArmour(Buffer.alloc(48_000, 255));
    expect(/^[\r\n\x20-\x7e]+$/.test(text)).toBe(true);
    expect(Math.max(...text.split('\r\n').map((line) => line.length))).toBe(64);
    expect(text.length).toBeLessThan(48_000 * ARMOUR_FACTOR + 100);
  });

  it('takes a part of a buffer as what it is', () => {
    const whole = Buffer.from('before DIRPOST1 after');
    expect(parse(formatArmour(whole.subarray(7, 15)))?.toString()).toBe('DIRPOST1');
    expect(parseArmour(Buffer.from(`x${formatArmour(whole)}`).subarray(1))).toEqual(whole);
  });

  it.each([
    ['nothing', ''],
    ['no end', formatArmour(Buffer.from('DIRPOST1')).replace(/-----END.*/, '')],
    ['no beginning', formatArmour(Buffer.from('DIRPOST1')).replace(/-----BEGIN.*/, '')],
    ['nothing between', '-----BEGIN DIRPOST MESSAGE-----\r\n-----END DIRPOST MESSAGE-----'],
    ['other text between', formatArmour(Buffer.from('DIRPOST1')).replace('\r\n', '\r\n[filtered]\r\n')],
    ['a character too few', formatArmour(Buffer.from('DIRPOST12')).replace('RE', 'R')],
  ])('is not found in %s', (_what, text) => {
    expect(parse(text)).toBeNull();
  });

  it('is looked for in linear time', () => {
    const startedMs = performance.now();
    expect(parse('-----BEGIN DIRPOST '.repeat(100_000) + '>'.repeat(1_000_000))).toBeNull();
    expect(performance.now() - startedMs).toBeLessThan(2_000);
  });
});
