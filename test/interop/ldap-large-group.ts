/** A group that is too large for one request, for servers that take members who are not there. */
import type { DirectoryChange } from '@dirpost/core';
import { expect, it } from 'vitest';
import { attributesOf, container, idOf, openDirectory, range, readAll, targetIn, writeAll } from './ldap-directory.ts';
import type { HardServer, HardSite } from './ldap-hard-cases.ts';

export function largeGroup(server: () => HardServer, { suffix, shape, cutsAt, options }: HardSite): void {
  it('takes a group that is too large for one request in parts, and later what differs, in parts as well', async () => {
    const below = `ou=many,${suffix}`;
    // Names that fill the request with few members.
    const count = Math.ceil(cutsAt / 800);
    const members = (from: number) => range(count).map((i) => `cn=${`${from + i}`.padEnd(800, 'm')},${below}`);
    const group = (dns: string[]): DirectoryChange => ({
      id: idOf('all'),
      action: 'put',
      kind: 'group',
      dn: `cn=all,${below}`,
      attributes: attributesOf({ cn: 'all', member: dns }),
    });
    const write = (changes: DirectoryChange[]) => {
      const target = targetIn(below, { shape });
      return writeAll(openDirectory(server(), { ...options(), bases: [], target }), changes);
    };
    const read = async () => {
      const bases = [{ dn: below, scope: 'sub' as const, filter: '(cn=all)' }];
      const { entries } = await readAll(openDirectory(server(), { ...options(), method: 'whole', bases }));
      return entries[0]!.attributes
        .get('member')!
        .map((value) => Buffer.from(value).toString())
        .toSorted();
    };
    const first = await write([container(below, 'many'), group(members(0))]);
    expect(first.map(({ result }) => result)).toEqual(['written', 'written']);
    expect(await read()).toEqual(members(0).toSorted());
    const { place } = first[1]!;
    // All but one are others.
    const other = members(count - 1);
    expect(await write([{ ...group(other), place: place! }])).toMatchObject([{ result: 'written' }]);
    expect(await read()).toEqual(other.toSorted());
  });
}
