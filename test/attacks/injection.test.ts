/**
 * Values that try to be more than values: in LDAP filters, DNs, LDIF and CSV. Also packages/adapters/…/authenticate.test.ts
 * (user names in filters, against a server that shows what it is asked), test/interop (names with every character, in real
 * servers), test/contract/directory-csv.test.ts ("does not run as formulas"), test/fuzz (targets filter-value, dn, ldif).
 */
import { formatLdif, parseLdif } from '@dirpost/adapters';
import {
  attributesLookup,
  compileFilter,
  containersOf,
  decodeEntry,
  encodeEntry,
  escapeDnValue,
  escapeFilterValue,
  normalizeDn,
  parentDn,
  parseDn,
} from '@dirpost/core';
import { describe, expect, it } from 'vitest';
import { parseQuery } from '../../packages/agent/src/explain/query.ts';

/** What somebody may be called. */
const evil = [
  '*',
  '*)(uid=*',
  'x)(|(cn=*',
  ')(objectClass=*',
  '\\2a',
  '\\',
  'x\\',
  '\0',
  'a,ou=admins,dc=example',
  'a+cn=admin',
  'a\\,b',
  '"a,b"',
  '#04024141',
  ' a ',
  'a;b',
  'a\nb',
  'a=b',
  '<GUID=1>',
];

describe.each(evil)('%j', (value) => {
  it('in a filter is one value, and finds only who has it', () => {
    const filter = compileFilter(`(cn=${escapeFilterValue(value)})`);
    const has = (cn: string) => filter.matches(attributesLookup(new Map([['cn', [Buffer.from(cn)]]])));
    expect(has(value)).not.toBe(false);
    expect(has('somebody else')).not.toBe(true);
    expect(compileFilter(filter.text).text).toBe(filter.text);
  });

  it('asked for by a command is one value, or said to be no filter', () => {
    const query = parseQuery(value, []);
    expect(query.filter?.matches(attributesLookup(new Map([['cn', [Buffer.from('somebody else')]]])))).not.toBe(true);
  });

  it('in a DN is one value of one RDN', () => {
    const dn = parseDn(`cn=${escapeDnValue(value)},ou=people,dc=x`);
    expect(dn.map((rdn) => rdn.length)).toEqual([1, 1, 1]);
    expect(parentDn(`cn=${escapeDnValue(value)},ou=people,dc=x`)).toBe('ou=people,dc=x');
  });

  it('as the name of an owner is one container below the container', () => {
    const [, below] = containersOf(
      { name: 'd', dn: 'container', container: 'ou=net,dc=x', publishing: [] },
      new Set([value]),
    );
    expect(normalizeDn(parentDn(below!.dn)!)).toBe(normalizeDn('ou=net,dc=x'));
    expect(parseDn(below!.dn)).toHaveLength(3);
  });
});

describe('LDIF', () => {
  const read = async (text: string) => {
    const records = [];
    for await (const record of parseLdif([Buffer.from(text)])) records.push(record);
    return records;
  };

  it.each([
    '< file:///etc/passwd',
    ': Zm9v',
    ' folded',
    'a\n\ndn: cn=evil',
    'a\r\nchangetype: delete',
    'a\n-\nreplace: cn',
    '-',
    '# comment',
    'dn: cn=evil',
    'version: 2',
    'x'.repeat(75) + '\n',
  ])('a value %j is read again as that value, and makes no line of its own', async (value) => {
    for (const name of ['cn', 'description']) {
      const attributes = new Map([[name, [Buffer.from(value)]]]);
      const records = await read(formatLdif([{ dn: `cn=${escapeDnValue(value)},dc=x`, attributes }]));
      expect(records).toHaveLength(1);
      expect(records[0]).toMatchObject({ kind: 'content' });
      const [found] = (records[0] as { attributes: Map<string, Uint8Array[]> }).attributes.get(name)!;
      expect(Buffer.from(found!).toString()).toBe(value);
    }
  });

  it.each(['changetype', 'control', 'dn'])(
    'an attribute that somebody calls %s makes no other record of the entry',
    async (name) => {
      const attributes = new Map([
        [name, [Buffer.from('delete')]],
        ['cn', [Buffer.from('x')]],
      ]);
      // It may travel: names of attributes are free.
      const bytes = encodeEntry({ id: Buffer.alloc(16), owner: 'oslo', kind: 'person', attributes });
      expect(decodeEntry(bytes).attributes.has(name)).toBe(true);
      const records = await read(formatLdif([{ dn: 'cn=x', attributes }]));
      expect(records).toMatchObject([{ kind: 'content', dn: 'cn=x' }]);
      await expect(read(`dn: cn=x\ncn: x\n${name}: delete\n`)).rejects.toMatchObject({ code: 'ldif-syntax' });
    },
  );
});
