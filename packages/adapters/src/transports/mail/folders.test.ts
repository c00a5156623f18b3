import { expect, it } from 'vitest';
import { ownPath } from './folders.ts';
import { rangeOf } from './moving.ts';

it('own folders are named within the personal namespace, with the delimiter of the server', () => {
  const none = new Set<string>();
  expect(ownPath({ prefix: '', delimiter: '/' }, 'Dirpost/Processed', none)).toBe('Dirpost/Processed');
  expect(ownPath({ prefix: 'INBOX.', delimiter: '.' }, 'Dirpost/Processed', none)).toBe('INBOX.Dirpost.Processed');
  expect(ownPath({ prefix: 'INBOX.', delimiter: '.' }, 'INBOX/Processed', none)).toBe('INBOX.Processed');
  expect(ownPath({ prefix: 'INBOX.', delimiter: '.' }, 'Inbox', none)).toBe('INBOX');
  expect(ownPath({ prefix: '', delimiter: null }, 'Processed', none)).toBe('Processed');
  expect(ownPath(undefined, 'Processed', none)).toBe('Processed');
});

it('a name that the server has as it stands is that folder', () => {
  expect(ownPath({ prefix: 'INBOX.', delimiter: '.' }, 'Shared/Box', new Set(['Shared/Box']))).toBe('Shared/Box');
});

it('numbers are asked for in ranges', () => {
  expect(rangeOf([1, 2, 3, 7, 9, 10])).toBe('1:3,7,9:10');
  expect(rangeOf([5])).toBe('5');
});
