/** Single attributes of own entries, changed in OpenLDAP as somebody else proposed: only where they are as he believed. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Amendment, AmendOutcome } from '../../packages/adapters/src/directories/ldap/amend.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { ldif, openDirectory, people, PEOPLE, personLdif } from './ldap-directory.ts';

const DN = `cn=anna,${PEOPLE}`;
const of = (...texts: string[]) => texts.map((text) => Buffer.from(text));

describeSlapd('an attribute that somebody else proposes', () => {
  let server: Slapd;

  beforeAll(async () => {
    server = await startSlapd({ writes: 'nosync', ldif: ldif([people, personLdif('anna'), personLdif('bob')]) });
  });

  afterAll(() => server.stop());

  beforeEach(() =>
    server.modify(`dn: ${DN}
changetype: modify
replace: telephoneNumber
telephoneNumber: 1
telephoneNumber: 2
-
replace: facsimileTelephoneNumber
facsimileTelephoneNumber: 3
-
replace: title
title: Clerk
`),
  );

  const amend = async (changes: Amendment['changes'], more: Partial<Amendment> = {}): Promise<AmendOutcome> => {
    const directory = openDirectory(server);
    const asked = [{ dn: DN, isEntry: () => true, changes, ...more }];
    for await (const outcome of directory.amend(asked, new AbortController().signal)) return outcome;
    throw new Error('no outcome came');
  };

  const values = async (attribute: string) => {
    const text = await server.search('(objectClass=*)', [attribute], DN);
    return text.split('\n').filter((line) => line.startsWith(`${attribute}: `));
  };

  const title = (before: string[] | null, ...after: string[]) => ({
    attribute: 'title',
    before: before === null ? null : of(...before),
    after: of(...after),
  });

  it('is written where it is as he believed, together with others, and only once', async () => {
    const changes = [
      { attribute: 'telephonenumber', before: of('2', '1'), after: of('2', '4') },
      // Without an equality rule: no value of it can be named.
      { attribute: 'facsimiletelephonenumber', before: of('3'), after: of('5') },
      title(['Clerk']),
    ];
    expect(await amend(changes)).toEqual({ result: 'written' });
    expect(await values('telephoneNumber')).toEqual(['telephoneNumber: 2', 'telephoneNumber: 4']);
    expect(await values('facsimileTelephoneNumber')).toEqual(['facsimileTelephoneNumber: 5']);
    expect(await values('title')).toEqual([]);
    expect(await amend(changes)).toEqual({ result: 'already' });
  });

  it('is left alone where it is not, and so is all that comes with it', async () => {
    const changes = [title(['Poet'], 'Boss'), { attribute: 'telephonenumber', before: of('1', '2'), after: of('9') }];
    expect(await amend(changes)).toEqual({ result: 'differs', attributes: ['title'] });
    expect(await values('telephoneNumber')).toHaveLength(2);
    expect(await amend([title(null, 'Boss')])).toEqual({ result: 'written' });
    expect(await values('title')).toEqual(['title: Boss']);
  });

  it('is refused with the reason of the server', async () => {
    const bad = { attribute: 'nosuchattribute', before: [], after: of('x') };
    expect(await amend([bad, title(['Clerk'], 'Boss')])).toMatchObject({
      result: 'refused',
      code: 'undefinedAttributeType',
    });
    expect(await values('title')).toEqual(['title: Clerk']);
  });

  it.each([
    'userpassword',
    'uidnumber',
    'objectclass',
    'entryuuid',
    'usercertificate;binary',
    'usersmimecertificate',
    'sshpublickey',
    '1.3.6.1.1.1.1.0',
  ])('is never %s', async (attribute) => {
    expect(await amend([{ attribute, before: null, after: of('x') }])).toMatchObject({
      result: 'refused',
      code: 'notAllowed',
    });
  });

  it('is never what names the entry', async () => {
    expect(await amend([{ attribute: 'cn', before: null, after: of('Eve') }])).toMatchObject({
      result: 'refused',
      code: 'notAllowedOnRDN',
    });
  });

  it('waits where another entry has come to its place, or none is there', async () => {
    const seen: string[] = [];
    const isEntry = (anchor: Uint8Array) => seen.push(Buffer.from(anchor).toString()) === 0;
    expect(await amend([title(['Clerk'], 'Boss')], { isEntry })).toMatchObject({ result: 'later' });
    expect(seen).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/)]);
    expect(await amend([title(['Clerk'], 'Boss')], { dn: `cn=nobody,${PEOPLE}` })).toMatchObject({ result: 'later' });
    expect(await values('title')).toEqual(['title: Clerk']);
  });
});
