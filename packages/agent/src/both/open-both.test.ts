import { expect, it } from 'vitest';
import { sourceOf } from './open-both.ts';

const directory = {
  attributes: { Fax: 'facsimileTelephoneNumber', displayName: '{sn}, {givenName}', homePhone: null, mail: 'mail' },
  asked: ['facsimiletelephonenumber', 'sn', 'givenname', 'mail', 'title'],
};

it.each([
  ['title', { attribute: 'title' }],
  ['mail', { attribute: 'mail' }],
  ['fax', { attribute: 'facsimiletelephonenumber' }],
  ['displayname', { reason: 'displayname is made by the template "{sn}, {givenName}"' }],
  ['homephone', { reason: 'homephone is not published from here' }],
  // It goes under another name, and nothing is published under its own.
  ['facsimiletelephonenumber', { reason: 'facsimiletelephonenumber is not published from here' }],
  ['pager', { reason: 'pager is not published from here' }],
])('an edit of %s goes to %o', (attribute, wanted) => {
  expect(sourceOf(attribute, directory)).toEqual(wanted);
});
