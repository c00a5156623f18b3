import { expect, it } from 'vitest';
import { statementsIn, statementsText } from './wire.ts';

it('a request carries six statements of keys, each of 400 octets, and no more', () => {
  const statements = Array.from({ length: 6 }, () => Buffer.alloc(400, 1));
  expect(statementsIn(statementsText(statements))).toEqual(statements);
  expect(statementsIn('')).toEqual([]);
  expect(statementsIn(statementsText([...statements, Buffer.from('1')]))).toBeUndefined();
  expect(statementsIn(statementsText([Buffer.alloc(401)]))).toBeUndefined();
});
