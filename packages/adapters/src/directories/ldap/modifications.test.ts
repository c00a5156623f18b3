import type { Attributes } from '@dirpost/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { modificationsFor } from './modifications.ts';
import type { ValuePolicy } from './options.ts';
import type { Modification } from './requests.ts';

type Texts = Record<string, string[]>;

const attributes = (texts: Texts): Attributes =>
  new Map(Object.entries(texts).map(([name, values]) => [name, values.map((value) => Buffer.from(value, 'latin1'))]));

function changes(
  present: Texts,
  wanted: Texts,
  policies: Record<string, ValuePolicy> = {},
  rdn: Record<string, string> = {},
) {
  const named = new Map(Object.entries(rdn).map(([name, value]) => [name, Buffer.from(value)]));
  return modificationsFor(attributes(present), attributes(wanted), { policies, rdn: named });
}

const shown = (all: Modification[]) =>
  all.map(
    ({ kind, attribute, values }) =>
      `${kind} ${attribute}: ${values.map((value) => Buffer.from(value).toString('latin1')).join(' ')}`,
  );

/** As a server does it (RFC 4511 §4.6), and as strictly. */
function apply(present: Texts, all: Modification[]): Texts {
  const after = new Map(Object.entries(present).map(([name, values]) => [name, new Set(values)]));
  for (const { kind, attribute, values } of all) {
    const has = after.get(attribute) ?? new Set();
    const texts = values.map((value) => Buffer.from(value).toString('latin1'));
    if (kind === 'replace') after.set(attribute, new Set(texts));
    else {
      expect(texts.length).toBeGreaterThan(0);
      for (const text of texts) {
        expect(has.has(text), `${kind} of "${text}" in ${attribute}`).toBe(kind === 'delete');
        if (kind === 'delete') has.delete(text);
        else has.add(text);
      }
      after.set(attribute, has);
    }
  }
  return Object.fromEntries(
    [...after].filter(([, values]) => values.size > 0).map(([name, values]) => [name, [...values].sort()]),
  );
}

const name = fc.constantFrom('mail', 'title', 'description', 'jpegphoto', 'x-unknown', 'member');
const value = fc.constantFrom('a', 'b', 'c', 'ÿ\0', 'd', 'e');
const values = fc.uniqueArray(value, { maxLength: 6 });
const texts = fc.dictionary(name, values, { maxKeys: 6 });
const policy = fc.constantFrom<ValuePolicy>('force', 'keep', 'merge', 'default');

describe('applied to what is there, they give what the policy says', () => {
  it('of each attribute, and nothing more', () => {
    fc.assert(
      fc.property(texts, texts, fc.dictionary(name, policy), (present, wanted, policies) => {
        const all = changes(present, wanted, policies);
        const after = apply(present, all);
        for (const one of ['mail', 'title', 'description', 'jpegphoto', 'x-unknown', 'member']) {
          const [has, wants] = [present[one] ?? [], wanted[one]];
          const expected: Record<ValuePolicy, string[]> = {
            // What is not dirpost's is not cleared.
            force: wants ?? (one === 'x-unknown' ? has : []),
            keep: has.length > 0 ? has : (wants ?? []),
            merge: [...new Set([...has, ...(wants ?? [])])],
            default: has,
          };
          expect(after[one] ?? []).toEqual(expected[policies[one] ?? 'force'].toSorted());
          const touched = all.filter(({ attribute }) => attribute === one);
          if ([...has].sort().join('\n') === (after[one] ?? []).join('\n')) expect(touched).toEqual([]);
        }
        // Once more there is nothing to do.
        expect(changes(after, wanted, policies)).toEqual([]);
      }),
      { numRuns: 1_000 },
    );
  });
});

it('what dirpost does not know, or never writes, is not cleared', () => {
  const present = { userpassword: ['x'], 'x-own': ['x'], memberof: ['x'], objectclass: ['top'], title: ['Boss'] };
  expect(shown(changes(present, { sn: ['Berg'] }))).toEqual(['replace sn: Berg', 'replace title: ']);
});

it('classes are added and never taken away', () => {
  const present = { objectclass: ['top', 'Person', 'posixAccount'] };
  expect(shown(changes(present, { objectclass: ['top', 'person', 'inetOrgPerson'] }))).toEqual([
    'add objectclass: inetOrgPerson',
  ]);
  expect(changes(present, { objectclass: ['TOP'] })).toEqual([]);
});

describe('members', () => {
  const members = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `cn=${from + i},dc=x`);

  it('of a large group come and go one by one, in pieces', () => {
    const all = changes({ member: members(0, 3_000) }, { member: members(10, 5_500) });
    expect(all.map(({ kind, values: some }) => [kind, some.length])).toEqual([
      ['delete', 10],
      ['add', 1_000],
      ['add', 1_000],
      ['add', 500],
    ]);
  });

  it('of a small group are replaced at once', () => {
    expect(shown(changes({ member: ['cn=a', 'cn=b'] }, { member: ['cn=b'] }))).toEqual(['replace member: cn=b']);
  });

  it('are the same however the server spells their DNs', () => {
    const has = members(0, 60).map((dn) => dn.replace('cn', 'CN').replace(',dc=', ', DC='));
    expect(changes({ member: has }, { member: members(0, 60) })).toEqual([]);
    expect(shown(changes({ member: has }, { member: members(1, 61) }))).toEqual([
      'delete member: CN=0, DC=x',
      'add member: cn=60,dc=x',
    ]);
  });
});

it('a value that is there in other letters is not merged a second time', () => {
  expect(changes({ mail: ['Anna@x'] }, { mail: ['anna@x'] }, { mail: 'merge' })).toEqual([]);
});

it('the values by which an entry is named stay, and others beside them come and go', () => {
  const rdn = { cn: 'Anna' };
  expect(changes({ cn: ['Anna'] }, { cn: ['Anna'] }, {}, rdn)).toEqual([]);
  expect(changes({ cn: ['anna'] }, { cn: ['Anna'] }, {}, rdn)).toEqual([]);
  expect(shown(changes({ cn: ['Anna', 'old'] }, { cn: ['Anna', 'new'] }, {}, rdn))).toEqual([
    'delete cn: old',
    'add cn: new',
  ]);
  expect(changes({ cn: ['Anna', 'own'] }, {}, {}, rdn)).toEqual([]);
});

it('a value that is spelt otherwise than the name is changed beside it, and taken for no other', () => {
  const rdn = { cn: 'ANNA BERG' };
  expect(shown(changes({ cn: ['ANNA BERG'] }, { cn: ['Anna  Berg '] }, {}, rdn))).toEqual([
    'delete cn: ANNA BERG',
    'add cn: Anna  Berg ',
  ]);
  expect(changes({ cn: ['Anna  Berg '] }, { cn: ['Anna  Berg '] }, {}, rdn)).toEqual([]);
});

it('what Exchange gave to a contact stays where the network does not name it', () => {
  const given = { legacyexchangedn: ['/o=X'], showinaddressbook: ['cn=All,dc=x'], title: ['Boss'] };
  expect(shown(changes(given, {}))).toEqual(['replace title: ']);
  expect(shown(changes(given, { legacyexchangedn: ['/o=Y'], title: ['Boss'] }))).toEqual([
    'replace legacyexchangedn: /o=Y',
  ]);
});

it('values are merged as the server tells them apart', () => {
  const policies = { telephonenumber: 'merge', title: 'merge' } as const;
  const has = { telephonenumber: ['+47 22-33 44'], title: ['Head  of IT'] };
  expect(changes(has, { telephonenumber: ['+47223344'], title: ['head of it '] }, policies)).toEqual([]);
});

describe('addresses of Exchange that are merged', () => {
  const merged = (has: string[], wanted: string[]) =>
    shown(changes({ proxyaddresses: has }, { proxyaddresses: wanted }, { proxyaddresses: 'merge' }));

  it('have the primary of the network; the one before is a further one, and X500, x400 and sip stay', () => {
    const has = ['SMTP:old@x', 'X500:/o=X/cn=a', 'x400:c=DE;a=x', 'sip:a@x', 'smtp:second@x'];
    expect(merged(has, ['SMTP:new@x'])).toEqual([
      'replace proxyaddresses: SMTP:new@x smtp:old@x X500:/o=X/cn=a x400:c=DE;a=x sip:a@x smtp:second@x',
    ]);
  });

  it('have no address twice, whatever the case of its letters', () => {
    expect(merged(['smtp:New@x', 'SMTP:old@x'], ['SMTP:new@x', 'smtp:OLD@x'])).toEqual([
      'replace proxyaddresses: SMTP:new@x smtp:old@x',
    ]);
    expect(merged(['SMTP:Anna@x'], ['smtp:anna@x'])).toEqual([]);
  });

  it('stay as they are where the network has none, and keep their primary where its values have none', () => {
    const policies = { proxyaddresses: 'merge' } as const;
    expect(changes({ proxyaddresses: ['SMTP:a@x', 'X500:/o=X'] }, {}, policies)).toEqual([]);
    expect(merged(['SMTP:a@x'], ['smtp:b@x'])).toEqual(['replace proxyaddresses: SMTP:a@x smtp:b@x']);
  });

  it('are never changed twice, and have at most one primary', () => {
    const address = fc.constantFrom('SMTP:a@x', 'smtp:a@x', 'SMTP:A@x', 'SMTP:b@x', 'smtp:b@x', 'X500:/o=X', 'sip:a@x');
    const addresses = fc.uniqueArray(address, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(addresses, addresses, fc.nat(), (has, wanted, turn) => {
        const policies = { proxyaddresses: 'merge' } as const;
        const first = changes({ proxyaddresses: has }, { proxyaddresses: wanted }, policies);
        const after = apply({ proxyaddresses: has }, first)['proxyaddresses']!;
        if (first.length > 0) expect(after.filter((one) => one.startsWith('SMTP:')).length).toBeLessThanOrEqual(1);
        // In the order that the server likes.
        const given = [...after.slice(turn % after.length), ...after.slice(0, turn % after.length)];
        if (first.length > 0)
          expect(changes({ proxyaddresses: given }, { proxyaddresses: wanted }, policies)).toEqual([]);
      }),
    );
  });
});
