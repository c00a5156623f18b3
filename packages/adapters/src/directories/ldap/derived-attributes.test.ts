import { expect, it } from 'vitest';
import { derivedAttributes } from './derived-attributes.ts';

const used = (filter: string, ...attributes: string[]) =>
  derivedAttributes({ bases: [{ dn: 'dc=x', scope: 'sub', filter }], attributes });

it('attributes that come from other entries are found in filters, wherever they stand, and among what is asked for', () => {
  expect(used('(&(objectClass=user)(|(cn=a)(!(memberOf=cn=g,dc=x))))')).toEqual(['memberof']);
  expect(used('(memberOf:1.2.840.113556.1.4.1941:=cn=g,dc=x)')).toEqual(['memberof']);
  expect(used('(isMemberOf=*)', 'directreports')).toEqual(['directreports', 'ismemberof']);
  expect(used('(&(member=cn=a)(:dn:2.5.13.5:=b))', 'cn', 'manager')).toEqual([]);
});
