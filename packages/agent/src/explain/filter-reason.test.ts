/** Which part of a filter is named, and with which values of the entry. */
import { attributesLookup } from '@dirpost/core';
import { describe, expect, it } from 'vitest';
import { filterReasons } from './filter-reason.ts';

describe('why a filter does not select an entry', () => {
  const lookup = attributesLookup(
    new Map([
      ['title', [Buffer.from('Clerk')]],
      ['userpassword', [Buffer.from('open sesame')]],
    ]),
  );

  it.each([
    ['(title=clerk)', []],
    ['(&(title=clerk)(ou=sales))', ['(ou=sales) does not match: it has no ou']],
    [
      '(&(title=x)(&(ou=y)))',
      ['(title=x) does not match: its title is "Clerk"', '(ou=y) does not match: it has no ou'],
    ],
    ['(!(title=clerk))', ['(!(title=clerk)) does not match: its title is "Clerk"']],
    ['(|(title=x)(ou=y))', ['(|(title=x)(ou=y)) does not match: its title is "Clerk", it has no ou']],
    ['(|)', ['(|) does not match']],
  ])('%s', (filter, reasons) => {
    expect(filterReasons(filter, lookup)).toEqual(reasons);
  });

  it('passwords are never shown', () => {
    const reasons = filterReasons('(userPassword=x)', lookup);
    expect(reasons).toEqual(['(userPassword=x) does not match: its userpassword is not shown']);
  });
});
