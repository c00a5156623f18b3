import { expect, it } from 'vitest';
import { deriveEntryId, encodeEntry, type EntryKind } from './entry.ts';
import type { TargetEntry } from './seams/directory.ts';
import { TargetMatching, type Wanting } from './target-matching.ts';

const values = (text: string) => [Buffer.from(text)];

function wanting(cn: string, kind: EntryKind): Wanting {
  const id = deriveEntryId('oslo', 'cn', Buffer.from(cn));
  return { id, bytes: encodeEntry({ id, owner: 'oslo', kind, attributes: new Map([['cn', values(cn)]]) }) };
}

function there(cn: string, objectclass: string): TargetEntry {
  const attributes = new Map([
    ['cn', values(cn)],
    ['objectclass', values(objectclass)],
  ]);
  return { dn: `cn=${cn},ou=staff`, anchor: '01', attributes, isProtected: false };
}

function hits(kind: EntryKind, objectclass: string, more?: { groups: boolean }): number {
  const matching = new TargetMatching(['cn'], more);
  const left = matching.take([wanting('admins', kind)], 'cn', [there('admins', objectclass)]);
  expect(left.length).toBe(1 - matching.hits.length);
  return matching.hits.length;
}

it('groups are matched only where that is said, and persons never with them', () => {
  for (const name of ['groupOfNames', 'group', 'posixGroup', 'groupOfURLs', 'ipaUserGroup']) {
    expect(hits('group', name)).toBe(0);
    expect(hits('group', name, { groups: true })).toBe(1);
    expect(hits('person', name)).toBe(0);
    expect(hits('person', name, { groups: true })).toBe(0);
  }
  expect(hits('person', 'inetOrgPerson')).toBe(1);
  expect(hits('group', 'inetOrgPerson', { groups: true })).toBe(0);
});
