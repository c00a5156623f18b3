import { describe, expect, it } from 'vitest';
import { formatMark, type Mark, readMark } from './mark.ts';

const secret = Buffer.alloc(32, 7);
const mark: Mark = { id: '0123456789abcdef0123456789abcdef', to: 'oslo', number: 42 };

describe('the mark of a mail', () => {
  it('is read back as ours', () => {
    expect(readMark(formatMark(mark, secret), secret)).toEqual({ ...mark, isAuthentic: true });
  });

  it('is read where a server folded the field', () => {
    const folded = ` ${formatMark(mark, secret).replaceAll('; ', ';\r\n\t')}\r\n`;
    expect(readMark(folded, secret)).toEqual({ ...mark, isAuthentic: true });
  });

  it('is not ours with another secret, nor when anything in it was altered', () => {
    const text = formatMark(mark, secret);
    expect(readMark(text, Buffer.alloc(32, 8))?.isAuthentic).toBe(false);
    expect(readMark(text.replace('no=42', 'no=43'), secret)?.isAuthentic).toBe(false);
    expect(readMark(text.replace('to=oslo', 'to=lima'), secret)?.isAuthentic).toBe(false);
    expect(readMark(text.replace('id=0', 'id=1'), secret)?.isAuthentic).toBe(false);
  });

  it('is none in another form', () => {
    for (const text of ['', 'id=1; to=oslo; no=1; tag=2', `${formatMark(mark, secret)} and more`]) {
      expect(readMark(text, secret)).toBeNull();
    }
    expect(readMark(formatMark({ ...mark, to: 'nul' }, secret), secret)).toBeNull();
  });
});
