/** What a server refuses by its schema is foretold by preview with the code with which it is refused, and nothing else is. */
import type { DirectoryChange } from '@dirpost/core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LdapDirectory } from '../../packages/adapters/src/directories/ldap/directory.ts';
import { type Ds389, startDs389 } from '../servers/ldap/ds389.ts';
import { describe389, describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import {
  attributesOf,
  container,
  idOf,
  NETWORK,
  openDirectory,
  person,
  range,
  targetIn,
  type Texts,
  writeAll,
} from './ldap-directory.ts';
import { foretoldOf, group, takenOf, wroteOf } from './ldap-foretold.ts';

/** Each as the server says it, and before it is asked. */
async function expectForetold(directory: LdapDirectory, changes: DirectoryChange[]): Promise<Map<string, string>> {
  const foretold = await foretoldOf(directory, changes);
  const wrote = await wroteOf(directory, changes);
  expect(Object.fromEntries(foretold)).toEqual(Object.fromEntries(wrote));
  return wrote;
}

/** Attributes of syntaxes that people seldom have. */
const odd = [
  `( 1.3.6.1.4.1.55555.1.1 NAME 'oddBoolean' SYNTAX 1.3.6.1.4.1.1466.115.121.1.7 SINGLE-VALUE )`,
  `( 1.3.6.1.4.1.55555.1.2 NAME 'oddInteger' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )`,
  `( 1.3.6.1.4.1.55555.1.3 NAME 'oddTime' EQUALITY generalizedTimeMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.24 )`,
  `( 1.3.6.1.4.1.55555.1.4 NAME 'oddAscii' EQUALITY caseIgnoreIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )`,
  `( 1.3.6.1.4.1.55555.1.5 NAME 'oddFromAbove' SUP oddAscii )`,
];

const wrongValues: Texts[] = [
  { mail: 'grüße@example.com' },
  { telephonenumber: '030/12*34' },
  { facsimiletelephonenumber: 'ä' },
  { manager: 'the boss' },
  { title: ['Boss', 'boss'] },
];
const wrongOdd: Texts[] = [
  { oddboolean: 'yes' },
  { oddboolean: ['TRUE', 'FALSE'] },
  { oddinteger: 'seven' },
  { oddinteger: '007' },
  { oddinteger: '' },
  { oddtime: 'yesterday' },
  { oddtime: '20261399000000Z' },
  { oddascii: 'ä' },
  { oddfromabove: 'ä' },
  { objectclass: ['top', 'noSuchClass'] },
  { objectclass: ['top', 'organizationalUnit'], member: NETWORK },
  { objectclass: ['top', 'organizationalUnit', 'inetOrgPerson'].slice(0, 2), nosuchattribute: 'x' },
  { objectclass: ['top', 'applicationProcess', 'labeledURIObject', 'pkiUser'], nosuchattribute: 'x' },
];
const rightValues: Texts[] = [
  {
    title: 'Grüße 😀',
    telephonenumber: '+49 (30) 1234-5',
    facsimiletelephonenumber: '+49 30 1',
    description: ['one', 'two', ' '],
    employeenumber: '17',
    o: 'x'.repeat(600),
    postaladdress: 'A street 1$Town',
  },
  { manager: `cn=nobody,${NETWORK}` },
  { manager: 'cn=A\\, B+mail=x,dc=example,dc=com' },
  { title: ['Boss', 'Chief'], mail: ['a@x.test', 'b@x.test'] },
  { displayname: ['one', 'two'], nosuchattribute: 'x', member: 'y' },
  // What is empty is left out.
  { title: '', telephonenumber: ['', '+49 30 1'] },
];
const rightOdd: Texts[] = [
  { oddboolean: 'FALSE', oddinteger: '-12', oddtime: '20261231235959Z', oddascii: 'a b' },
  { oddinteger: ['0', '99999999999999999999'], oddtime: ['2026123123Z', '20261231235959.5+0100'] },
];

const people = (texts: Texts[], name: string): DirectoryChange[] =>
  texts.map((one, i) => person(`${name}${i}`, one, NETWORK));
/** What stands there has the classes that it is given; these may have everything. */
const anything = (texts: Texts[], name: string): DirectoryChange[] =>
  texts.map((one, i) => {
    const [ou, objectclass] = [`${name}${i}`, ['organizationalUnit', 'extensibleObject']];
    const dn = `ou=${ou},${NETWORK}`;
    return {
      id: idOf(dn),
      action: 'put',
      kind: 'container',
      dn,
      attributes: attributesOf({ objectclass, ou, ...one }),
    };
  });
const elsewhere = [
  person('lost', {}, `ou=nowhere,${NETWORK}`),
  { ...person('named'), dn: `dc=named,${NETWORK}`, attributes: attributesOf({ cn: 'named', sn: 'x' }) },
  group('crew', [`cn=right0,${NETWORK}`, `cn=nobody,${NETWORK}`], NETWORK),
  group('empty', [], NETWORK),
];
const everything = [
  container(NETWORK, 'network'),
  ...people(rightValues, 'right'),
  ...people(wrongValues, 'wrong'),
  ...anything(rightOdd, 'odd'),
  ...anything(wrongOdd, 'strange'),
  ...elsewhere,
];
const TAKEN = 1 + rightValues.length + rightOdd.length + 2;

describeSlapd('what slapd would refuse', () => {
  let slapd: Slapd;
  beforeAll(async () => {
    slapd = await startSlapd({ writes: 'nosync', globalLines: odd.map((one) => `attributetype ${one}`) });
  });
  afterAll(() => slapd?.stop());
  const open = () => openDirectory(slapd, { target: targetIn(NETWORK) });

  it('is foretold in its own words, and nothing else is', async () => {
    const wrote = await expectForetold(open(), everything);
    expect(takenOf(wrote)).toBe(TAKEN);
    expect(new Set(wrote.values())).toEqual(
      new Set([
        'written',
        'invalidAttributeSyntax',
        'attributeOrValueExists',
        'constraintViolation',
        'undefinedAttributeType',
        'objectClassViolation',
        'noSuchObject',
      ]),
    );
  });

  it('is foretold of what stands there and is changed or moved, too', async () => {
    const directory = open();
    const names = range(6).map((i) => `there${i}`);
    const made = await writeAll(directory, [container(NETWORK, 'network'), ...names.map((name) => person(name))]);
    const texts: Texts[] = [{ title: 'new' }, { mail: 'ä@x.test' }, { title: 'x', telephonenumber: '*' }, {}];
    const within = [NETWORK, NETWORK, NETWORK, `ou=nowhere,${NETWORK}`];
    const changes = texts.map(
      (one, i): DirectoryChange => ({
        ...person(names[i]!, one, within[i]),
        place: made[i + 1]!.place!,
      }),
    );
    const wrote = await expectForetold(directory, changes);
    expect([...wrote.values()]).toEqual([
      'written',
      'invalidAttributeSyntax',
      'invalidAttributeSyntax',
      'noSuchObject',
    ]);
  });
});

describe389('what 389-DS would refuse', () => {
  let ds389: Ds389;
  beforeAll(async () => {
    ds389 = await startDs389({});
    const types = odd.map((one) => `add: attributeTypes\nattributeTypes: ${one}\n-\n`).join('');
    await ds389.modify(`dn: cn=schema\nchangetype: modify\n${types}`);
  });
  afterAll(() => ds389?.stop());

  it('is foretold in its own words, and nothing else is', async () => {
    const wrote = await expectForetold(
      openDirectory(ds389, { anchor: 'nsuniqueid', target: targetIn(NETWORK) }),
      everything,
    );
    expect(takenOf(wrote)).toBe(TAKEN);
  });
});
