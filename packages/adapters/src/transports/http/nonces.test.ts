import { beforeEach, expect, it } from 'vitest';
import { Nonces } from './nonces.ts';

let nowMs = 0;
beforeEach(() => {
  nowMs = 0;
});
const nonces = (maxUsed = 100) => new Nonces({ validMs: 1_000, maxUsed, nowMs: () => nowMs });

it('a nonce is valid until its time is over', () => {
  const some = nonces();
  const nonce = some.give();
  nowMs = 999;
  expect(some.isValid(nonce)).toBe(true);
  nowMs = 1_000;
  expect(some.isValid(nonce)).toBe(false);
});

it('a nonce of another run is not valid', () => {
  expect(nonces().isValid(nonces().give())).toBe(false);
});

it('a nonce that was changed in one character is not valid', () => {
  const some = nonces();
  const nonce = some.give();
  for (let i = 0; i < nonce.length; i++) {
    const changed = `${nonce.slice(0, i)}${nonce[i] === 'A' ? 'B' : 'A'}${nonce.slice(i + 1)}`;
    expect(some.isValid(changed)).toBe(false);
  }
});

it('another spelling of the same octets is not valid', () => {
  const some = nonces();
  const nonce = some.give();
  // 43 characters carry two bits more than 32 octets have.
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = alphabet.indexOf(nonce.at(-1)!);
  const other = nonce.slice(0, -1) + alphabet[last ^ 1]!;
  expect(Buffer.from(other, 'base64url')).toEqual(Buffer.from(nonce, 'base64url'));
  expect(some.isValid(other)).toBe(false);
});

it.each(['', 'x', 'x'.repeat(43), '='.repeat(43), 'ä'.repeat(43)])('what is no nonce is not valid: %j', (text) => {
  expect(nonces().isValid(text)).toBe(false);
});

it('a nonce serves each postoffice once, for as long as it is valid', () => {
  const some = nonces();
  nowMs = 900;
  const nonce = some.give();
  expect(some.use('oslo', nonce)).toBe('fresh');
  expect(some.use('bergen', nonce)).toBe('fresh');
  for (nowMs of [900, 1_001, 1_899]) {
    expect(some.isValid(nonce)).toBe(true);
    expect(some.use('oslo', nonce)).toBe('used');
  }
});

it('one postoffice cannot fill the memory, nor keep out the others, and may go on later', () => {
  const some = nonces(2);
  const use = (name: string) => some.use(name, some.give());
  expect([use('oslo'), use('oslo'), use('oslo'), use('bergen')]).toEqual(['fresh', 'fresh', 'too-many', 'fresh']);
  nowMs = 1_001;
  expect(use('oslo')).toBe('fresh');
});
