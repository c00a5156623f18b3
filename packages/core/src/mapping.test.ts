import { describe, expect, it } from 'vitest';
import { decodeEntry, encodeEntry } from './entry.ts';
import { defaultLimits } from './limits.ts';
import { compileMapping, compileTemplate, type MappingOptions } from './mapping.ts';
import type { DirectoryEntry } from './seams/directory.ts';

function person(change: Record<string, string | string[]> = {}, dn = 'uid=anna,ou=people,dc=oslo'): DirectoryEntry {
  const attributes = {
    objectclass: 'inetOrgPerson',
    uid: 'anna',
    cn: 'Anna Berg',
    sn: 'Berg',
    givenname: 'Anna',
    entryuuid: 'u-1',
    ...change,
  };
  return {
    dn,
    attributes: new Map(
      Object.entries(attributes).map(([name, values]) => [name, [values].flat().map((value) => Buffer.from(value))]),
    ),
  };
}

const map = (options: Partial<MappingOptions> = {}) =>
  compileMapping({ owner: 'oslo', key: 'entryUUID', space: 'entryuuid', limits: defaultLimits, ...options });

function published(options: Partial<MappingOptions>, entry: DirectoryEntry): Record<string, string[]> {
  const mapped = map(options)(entry);
  if (mapped.outcome !== 'publish') throw new Error(JSON.stringify(mapped));
  const decoded = decodeEntry(encodeEntry({ ...mapped, owner: 'oslo' }));
  return Object.fromEntries(
    [...decoded.attributes].map(([name, values]) => [name, values.map((value) => Buffer.from(value).toString())]),
  );
}

describe('mapping', () => {
  it('sends attributes as they are, with the DN, and without secrets and operational ones', () => {
    const sent = published({}, person({ userpassword: '{SSHA}x', modifytimestamp: '2026', description: 'd' }));
    expect(sent).toMatchObject({
      cn: ['Anna Berg'],
      description: ['d'],
      entryuuid: ['u-1'],
      entrydn: ['uid=anna,ou=people,dc=oslo'],
    });
    expect(Object.keys(sent)).not.toContain('userpassword');
    expect(Object.keys(sent)).not.toContain('modifytimestamp');
  });

  it('never sends a secret, even when it is mapped by name', () => {
    expect(published({ attributes: { userPassword: 'sn' } }, person())).not.toHaveProperty('userpassword');
  });

  it('sends no secret that a dump of a server has: no history, no key, no password in the clear', () => {
    const secrets = [
      'sambapasswordhistory',
      'userpkcs12',
      'clearpassword',
      'mslaps-password',
      'userpassword;x-old',
      'krb5key',
    ];
    const dump = Object.fromEntries(secrets.map((name) => [name, 'verysecret']));
    const sent = published({ key: 'entryUUID' }, person({ ...dump, 'usercertificate;binary': 'public' }));
    expect(JSON.stringify(sent)).not.toContain('verysecret');
    expect(sent).toMatchObject({ 'usercertificate;binary': ['public'] });
  });

  it('never sends a secret under another name, in a template, or as the key', () => {
    const entry = person({ userpassword: 'verysecret', 'userpassword;x-old': 'verysecret' });
    const attributes = {
      description: 'userPassword',
      info: 'userPassword;x-old',
      title: '{userPassword}',
      l: '{cn} {userPassword;x-old|upper}',
      'userPassword;x-new': 'sn',
    };
    const sent = published({ attributes, key: 'userPassword' }, entry);
    expect(JSON.stringify(sent).toLowerCase()).not.toMatch(/verysecret|password/);
    for (const name of Object.keys(attributes)) expect(sent).not.toHaveProperty(name.toLowerCase());
  });

  it('renames, drops, and fills templates', () => {
    const attributes = { displayName: '{sn|upper}, {givenName|first}.', surname: 'sn', uid: null, fax: '{fax}' };
    const sent = published({ attributes }, person());
    expect(sent).toMatchObject({ displayname: ['BERG, A.'], surname: ['Berg'] });
    for (const gone of ['sn', 'uid', 'fax']) expect(sent).not.toHaveProperty(gone);
  });

  it('leaves out what base, filter, exclusions and kinds do not let through, and says why', () => {
    const out = (options: Partial<MappingOptions>, entry = person()) => map(options)(entry);
    expect(out({ base: 'dc=lima' })).toMatchObject({ outcome: 'leave-out' });
    expect(out({ base: 'OU=People, DC=oslo' })).toMatchObject({ outcome: 'publish' });
    expect(out({ filter: '(mail=*)' })).toMatchObject({ outcome: 'leave-out' });
    expect(out({ exclude: [{ attribute: 'uid', prefix: 'AN' }] })).toMatchObject({ outcome: 'leave-out' });
    expect(out({ exclude: [{ attribute: 'uid', pattern: '^n' }] })).toMatchObject({ outcome: 'publish' });
    expect(out({ exclude: [{ dn: 'ou=people,dc=oslo' }] })).toMatchObject({ outcome: 'leave-out' });
    expect(out({}, person({ objectclass: 'organizationalUnit' }))).toMatchObject({ outcome: 'leave-out' });
    expect(out({ kinds: { resource: '(cn=Anna*)' } })).toMatchObject({ outcome: 'publish', kind: 'resource' });
  });

  it('refuses what has no key', () => {
    expect(map({ key: 'employeeNumber' })(person())).toMatchObject({ outcome: 'refuse', code: 'no-key' });
  });

  it('keeps members of groups apart until their ids are known', () => {
    const mapped = map()(person({ objectclass: 'groupOfNames', member: ['uid=a,dc=oslo', 'uid=b,dc=oslo'] }));
    expect(mapped).toMatchObject({ outcome: 'publish', kind: 'group', memberDns: ['uid=a,dc=oslo', 'uid=b,dc=oslo'] });
  });
});

describe('a template', () => {
  it('that is not valid says what is wrong with it', () => {
    expect(() => compileTemplate('{sn')).toThrow('a single {');
    expect(() => compileTemplate('{s n}')).toThrow('does not name an attribute');
    expect(() => compileTemplate('{sn|reverse}')).toThrow('there is no function reverse');
  });

  it('gives nothing where an attribute is missing, and keeps doubled braces', () => {
    expect(compileTemplate('{cn} {mobile}')(person())).toEqual([]);
    expect(compileTemplate('{{{cn|local}}}')(person()).map(String)).toEqual(['{Anna Berg}']);
  });
});
