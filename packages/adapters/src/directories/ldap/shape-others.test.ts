import type { DirectoryChange, EntryKind } from '@dirpost/core';
import { describe, expect, it } from 'vitest';
import { isNeverWrittenToOthers } from './never-written.ts';
import type { LdapTarget } from './options.ts';
import type { FoundEntry } from './responses.ts';
import { isSecurityGroup, shapeAdopted, whyLeftAlone } from './shape-others.ts';

const DN = 'cn=Anna,ou=staff,dc=x';
const target: LdapTarget = {
  container: 'ou=network,dc=x',
  makeContainer: true,
  shape: 'inetorgperson',
  removal: 'delete',
  adopted: { base: 'ou=staff,dc=x' },
  policies: {},
  allowed: { create: true, update: true, rename: true, delete: true },
};

function values(given: Record<string, string | string[]>): Map<string, Buffer[]> {
  return new Map(Object.entries(given).map(([name, some]) => [name, [some].flat().map((one) => Buffer.from(one))]));
}

function change(attributes: Record<string, string>, kind: EntryKind = 'person'): DirectoryChange {
  const place = { dn: DN, anchor: '01' };
  return { id: new Uint8Array(16), action: 'put', dn: DN, attributes: values(attributes), kind, place, adopted: true };
}

function standing(...objectclass: string[]): FoundEntry {
  return { type: 'entry', dn: DN, attributes: values({ objectclass }), controls: [] };
}

describe('an entry that stood there before', () => {
  const certificates = ['usercertificate;binary', 'usersmimecertificate', '2.5.4.36;binary'];
  const keys = ['sshpublickey', 'nssshpublickey', 'ipasshpubkey', 'userpkcs12'];

  it('gets no certificate or key: servers let people in by them', () => {
    const given = Object.fromEntries([...certificates, ...keys, 'uidnumber', 'mail'].map((name) => [name, 'x']));
    const { attributes } = shapeAdopted(change(given), standing('inetOrgPerson', 'posixAccount'), target, null);
    expect([...attributes.keys()]).toEqual(['mail']);
    for (const name of [...certificates, ...keys]) expect(isNeverWrittenToOthers(name)).toBe(true);
    expect(isNeverWrittenToOthers('mail')).toBe(false);
  });

  it('is left alone if it is a group, unless the configuration says so', () => {
    const withGroups: LdapTarget = { ...target, adopted: { base: 'ou=staff,dc=x', groups: true } };
    const group = change({ cn: 'x' }, 'group');
    for (const name of ['groupOfNames', 'groupOfUniqueNames', 'posixGroup', 'group', 'groupOfURLs']) {
      expect(whyLeftAlone(group, standing('top', name), target)).toMatch(/it is a group/);
      // One that is to be removed says no kind.
      expect(whyLeftAlone({ ...group, kind: 'person' }, standing('top', name), target)).toMatch(/it is a group/);
      expect(whyLeftAlone(group, standing('top', name), withGroups)).toBeNull();
    }
    expect(whyLeftAlone(change({}), standing('inetOrgPerson'), target)).toBeNull();
  });

  it('is always left alone if it is a security group', () => {
    const withGroups: LdapTarget = { ...target, adopted: { base: 'ou=staff,dc=x', groups: true } };
    const found = standing('top', 'group');
    found.attributes.set('grouptype', [Buffer.from('-2147483646')]);
    expect(whyLeftAlone(change({}, 'group'), found, withGroups)).toMatch(/security group/);
    const isOne = (grouptype: string) => isSecurityGroup(values({ grouptype }));
    expect(['-2147483646', '-2147483640', '-2147483643', '2147483650'].map(isOne)).toEqual([true, true, true, true]);
    expect(['2', '4', '8'].map(isOne)).toEqual([false, false, false]);
    expect(isSecurityGroup(new Map())).toBe(false);
  });
});
