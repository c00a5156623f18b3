import type { Attributes, DirectoryChange } from '@dirpost/core';
import { describe, expect, it } from 'vitest';
import { isNeverWritten } from './never-written.ts';
import { Schema } from './schema.ts';
import { shapeEntry } from './shape.ts';

const CONTAINER = 'ou=network,dc=x';

function shaped(
  given: Record<string, string[]>,
  {
    kind = 'person',
    shape = 'inetorgperson',
    schema = null,
    dn = `cn=Anna,${CONTAINER}`,
  }: {
    kind?: DirectoryChange['kind'];
    shape?: 'inetorgperson' | 'ad-contact';
    schema?: Schema | null;
    dn?: string;
  } = {},
) {
  const attributes: Attributes = new Map(
    Object.entries(given).map(([name, values]) => [name, values.map((value) => Buffer.from(value))]),
  );
  const result = shapeEntry({ dn, attributes, ...(kind && { kind }) }, { shape, container: CONTAINER }, schema);
  const texts = [...result.attributes].map(([name, values]) => [
    name,
    values.map((value) => Buffer.from(value).toString()),
  ]);
  return { ...(Object.fromEntries(texts) as Record<string, string[]>), leftOut: result.leftOut };
}

// As OpenLDAP, 389-DS and Active Directory (Samba) show them.
const openldap = new Schema(
  [
    `( 2.5.4.41 NAME 'name' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{32768} )`,
    `( 2.5.4.3 NAME ( 'cn' 'commonName' ) DESC 'RFC4519: common name(s) for which the entity is known by' SUP name )`,
    `( 2.5.4.4 NAME ( 'sn' 'surname' ) DESC 'RFC2256: last (family) name(s) for which the entity is known by' SUP name )`,
    `( 2.16.840.1.113730.3.1.241 NAME 'displayName' DESC 'RFC2798: preferred name to be used when displaying entries' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )`,
    `( 0.9.2342.19200300.100.1.3 NAME ( 'mail' 'rfc822Mailbox' ) DESC 'RFC1274: RFC822 Mailbox; may be more than one, not SINGLE-VALUE' EQUALITY caseIgnoreIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26{256} )`,
    `( 2.5.4.20 NAME 'telephoneNumber' DESC 'RFC2256: Telephone Number' EQUALITY telephoneNumberMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.50{32} )`,
    `( 2.5.4.31 NAME 'member' DESC 'RFC2256: member of a group' SUP distinguishedName )`,
  ],
  [
    `( 2.5.6.0 NAME 'top' DESC 'top of the superclass chain' ABSTRACT MUST objectClass )`,
    `( 2.5.6.6 NAME 'person' DESC 'RFC2256: a person; MUST ( be $ nice )' SUP top STRUCTURAL MUST ( sn $ cn ) MAY ( userPassword $ telephoneNumber $ seeAlso $ description ) )`,
    `( 2.5.6.7 NAME 'organizationalPerson' DESC 'RFC2256: an organizational person' SUP person STRUCTURAL MAY ( title $ l $ ou ) )`,
    `( 2.16.840.1.113730.3.2.2 NAME 'inetOrgPerson' DESC 'RFC2798: Internet Organizational Person' SUP organizationalPerson STRUCTURAL MAY ( displayName $ mail $ rfc822Mailbox ) )`,
    `( 2.5.6.9 NAME 'groupOfNames' DESC 'RFC2256: a group of names (DNs)' SUP top STRUCTURAL MUST ( member $ cn ) MAY description )`,
    `( 1.3.6.1.4.1.1466.101.120.111 NAME 'extensibleObject' DESC 'RFC4512: extensible object' SUP top AUXILIARY )`,
  ],
);
const ds389 = new Schema(
  [
    `( 2.5.4.3 NAME ( 'cn' 'commonName' )  SUP name EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 X-ORIGIN 'RFC 4519' X-DEPRECATED 'commonName' )`,
    `( nsDescOid-oid NAME 'nsThing' DESC 'Netscape defined attribute type' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 X-ORIGIN ( 'Netscape Directory Server' 'user defined' ) )`,
  ],
  [
    `( 2.16.840.1.113730.3.2.333 NAME 'nsPerson' DESC 'A "person" in 389-ds' SUP top STRUCTURAL MUST ( cn ) MAY ( nsThing $ cn ) X-ORIGIN '389 Directory Server Project' )`,
  ],
);
const ad = new Schema(
  [
    `( 2.5.4.3 NAME 'cn' SYNTAX '1.3.6.1.4.1.1466.115.121.1.15' SINGLE-VALUE )`,
    `( 0.9.2342.19200300.100.1.3 NAME 'mail' SYNTAX '1.3.6.1.4.1.1466.115.121.1.15' SINGLE-VALUE )`,
    `( 1.2.840.113556.1.4.1024 NAME 'targetAddress' SYNTAX '1.3.6.1.4.1.1466.115.121.1.15' SINGLE-VALUE )`,
    `( 1.2.840.113556.1.2.210 NAME 'proxyAddresses' SYNTAX '1.3.6.1.4.1.1466.115.121.1.15' )`,
    `( 1.2.840.113556.1.2.447 NAME 'mailNickname' SYNTAX '1.3.6.1.4.1.1466.115.121.1.15' SINGLE-VALUE )`,
  ],
  [
    `( 2.5.6.0 NAME 'top' ABSTRACT MUST (objectClass $ nTSecurityDescriptor ) MAY (cn $ proxyAddresses ) )`,
    `( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST (cn ) MAY (sn $ telephoneNumber ) )`,
    `( 2.5.6.7 NAME 'organizationalPerson' SUP person STRUCTURAL MAY (mail ) )`,
    `( 1.2.840.113556.1.5.15 NAME 'contact' SUP organizationalPerson STRUCTURAL MUST (cn ) MAY (notes ) )`,
    `( 1.2.840.113556.1.3.46 NAME 'mailRecipient' SUP top AUXILIARY MUST (cn ) MAY (targetAddress $ mailNickname ) )`,
  ],
  [`( 1.2.840.113556.1.5.15 NAME 'contact' AUX ( mailRecipient ) MUST (cn ) MAY (notes ) )`],
);

describe('a schema', () => {
  it('knows attributes by all their names and by number, in any letters, with options', () => {
    for (const name of ['cn', 'commonName', 'COMMONNAME', '2.5.4.3', 'cn;lang-no'])
      expect(openldap.hasAttribute(name)).toBe(true);
    expect(openldap.hasAttribute('nobody')).toBe(false);
    expect(ds389.hasAttribute('nsthing')).toBe(true);
    expect(ad.hasAttribute('targetaddress')).toBe(true);
  });

  it('knows what has one value, whatever a description says', () => {
    expect(openldap.isSingleValued('displayName')).toBe(true);
    expect(openldap.isSingleValued('rfc822mailbox')).toBe(false);
    expect(ad.isSingleValued('mail')).toBe(true);
    expect(ad.isSingleValued('proxyAddresses')).toBe(false);
  });

  it('knows what a class and those above it must and may have, whatever a description says', () => {
    const { must, may } = openldap.allowedBy(['inetOrgPerson']);
    expect([...must].sort()).toEqual(['cn', 'objectclass', 'sn']);
    expect(may).toContain('mail');
    expect(may).toContain('telephonenumber');
    expect(may).not.toContain('member');
    expect(ds389.allowedBy(['nsperson']).may).toEqual(new Set(['nsthing', 'cn']));
    expect(openldap.allowedBy(['no-such-class'])).toEqual({ must: new Set(), may: new Set() });
  });

  it('knows what content rules add', () => {
    expect(ad.isAllowed('targetAddress', ad.allowedBy(['contact']))).toBe(true);
    expect(ad.isAllowed('targetAddress', ad.allowedBy(['person']))).toBe(false);
  });

  it('allows everything to an extensible object', () => {
    expect(openldap.isAllowed('member', openldap.allowedBy(['person', 'extensibleObject']))).toBe(true);
  });

  it('does not run in circles', () => {
    const circle = new Schema([], [`( 1.1 NAME 'a' SUP b MAY cn )`, `( 1.2 NAME 'b' SUP a MAY sn )`]);
    expect(circle.allowedBy(['a']).may).toEqual(new Set(['cn', 'sn']));
  });
});

describe('a person', () => {
  it('has what inetOrgPerson demands, made of what there is', () => {
    expect(shaped({ displayname: ['Anna Berg'], mail: ['a@x'] })).toMatchObject({
      objectclass: ['top', 'person', 'organizationalPerson', 'inetOrgPerson'],
      cn: ['Anna Berg'],
      sn: ['Berg'],
      leftOut: [],
    });
    expect(shaped({})).toMatchObject({ cn: ['unnamed'], sn: ['unnamed'] });
  });

  it('has nothing that the schema has no place for, and that is named', () => {
    const given = {
      cn: ['Anna'],
      sn: ['Berg'],
      member: ['cn=x'],
      'x-own': ['1'],
      mail: ['a@x', 'b@x'],
      displayname: ['A', 'B'],
      title: [],
    };
    expect(shaped(given, { schema: openldap })).toEqual({
      objectclass: expect.anything(),
      cn: ['Anna'],
      sn: ['Berg'],
      mail: ['a@x', 'b@x'],
      displayname: ['A'],
      leftOut: ['member', 'x-own'],
    });
  });

  it('never has what lets somebody in', () => {
    const { leftOut, ...rest } = shaped({
      cn: ['A'],
      sn: ['B'],
      userpassword: ['x'],
      uidnumber: ['0'],
      'sshpublickey;x': ['k'],
    });
    expect(leftOut).toEqual(['userpassword', 'uidnumber', 'sshpublickey;x']);
    expect(Object.keys(rest)).toEqual(['cn', 'sn', 'objectclass']);
  });
});

describe('a group', () => {
  it('without members has the container, which is nobody', () => {
    expect(shaped({ cn: ['team'] }, { kind: 'group' })).toMatchObject({
      objectclass: ['top', 'groupOfNames'],
      member: [CONTAINER],
    });
    expect(shaped({ cn: ['team'], member: ['cn=a'] }, { kind: 'group' })).toMatchObject({ member: ['cn=a'] });
  });

  it('in Active Directory gives nobody any right', () => {
    expect(shaped({ cn: ['team'], grouptype: ['-2147483646'] }, { kind: 'group', shape: 'ad-contact' })).toMatchObject({
      objectclass: ['top', 'group'],
      grouptype: ['8'],
      leftOut: ['grouptype'],
    });
  });
});

describe('a contact in Active Directory', () => {
  it('is one that Exchange knows, where its schema is there', () => {
    const given = { cn: ['Anna'], mail: ['Anna.Berg+x@example.org'] };
    expect(shaped(given, { shape: 'ad-contact', schema: ad })).toMatchObject({
      objectclass: ['top', 'person', 'organizationalPerson', 'contact'],
      targetaddress: ['SMTP:Anna.Berg+x@example.org'],
      proxyaddresses: ['SMTP:Anna.Berg+x@example.org'],
      mailnickname: ['Anna.Berg-x'],
    });
    const without = new Schema(
      [`( 2.5.4.3 NAME 'cn' )`, `( 1.1 NAME 'mail' )`],
      [`( 1.2 NAME 'contact' MAY (cn $ mail ) )`],
    );
    expect(Object.keys(shaped(given, { shape: 'ad-contact', schema: without }))).toEqual([
      'cn',
      'mail',
      'objectclass',
      'leftOut',
    ]);
  });

  it('has every address of its owner, one of them as the one that mail goes to', () => {
    const given = { cn: ['Anna'], mail: ['anna@example.org', 'a.berg@example.org', 'Anna@example.org'] };
    expect(shaped(given, { shape: 'ad-contact', schema: ad })).toMatchObject({
      targetaddress: ['SMTP:anna@example.org'],
      proxyaddresses: ['SMTP:anna@example.org', 'smtp:a.berg@example.org'],
    });
  });

  it('is named by the value of its name, where there is room for one', () => {
    expect(shaped({ cn: ['Anna B', 'Anna'] }, { shape: 'ad-contact', schema: ad })).toMatchObject({ cn: ['Anna'] });
  });
});

it('containers are written as they are', () => {
  expect(shaped({ ou: ['x'], objectclass: ['organizationalUnit'] }, { kind: 'container' })).toEqual({
    ou: ['x'],
    objectclass: ['organizationalUnit'],
    leftOut: [],
  });
});

describe('what is never written', () => {
  it.each(
    `userPassword authPassword unicodePwd clearPassword lmPwdHistory sambaNTPassword pwdAccountLockedTime krbPrincipalKey
     userAccountControl adminCount servicePrincipalName msDS-KeyCredentialLink altSecurityIdentities sshPublicKey uidNumber
     gidNumber homeDirectory loginShell sudoRole sIDHistory objectSid primaryGroupID memberOf nTSecurityDescriptor aci
     olcAccess authzTo nsAccountLock sAMAccountName sAMAccountType userPrincipalName msDS-AllowedToDelegateTo entryUUID
     objectGUID nsUniqueId modifyTimestamp uSNChanged objectCategory structuralObjectClass userPassword;x-old
     userPKCS12 sambaPasswordHistory ipaSshPubKey nsSshPublicKey passwordPolicySubentry msLAPS-EncryptedPassword
     1.3.6.1.1.1.1.0 OID.1.3.6.1.1.1.1.3 2.5.4.35`
      .trim()
      .split(/\s+/),
  )('%s', (name) => {
    expect(isNeverWritten(name)).toBe(true);
  });

  it.each(
    `cn sn givenName displayName mail telephoneNumber mobile title ou o l street postalAddress description manager member
     jpegPhoto userCertificate;binary userSMIMECertificate proxyAddresses targetAddress employeeNumber uid labeledURI
     preferredLanguage departmentNumber`
      .trim()
      .split(/\s+/),
  )('but %s is', (name) => {
    expect(isNeverWritten(name)).toBe(false);
  });
});

/** By attribute. */
const values = (...given: Parameters<typeof shaped>) => shaped(...given) as unknown as Record<string, string[]>;

it('empty values are left out, since servers refuse an entry for them', () => {
  const { title, description } = values({ cn: ['Anna'], title: [''], description: ['', 'of many words'] });
  expect(title).toBeUndefined();
  expect(description).toEqual(['of many words']);
});

it('an attribute that comes by several of its names comes once', () => {
  const given = { cn: ['Anna'], mail: ['anna@x.test'], rfc822mailbox: ['ANNA@x.test', 'a@x.test'] };
  const { mail, rfc822mailbox } = values(given, { schema: openldap });
  expect([mail, rfc822mailbox]).toEqual([['anna@x.test', 'a@x.test'], undefined]);
});

it('a certificate has the name that the server takes: with ;binary, or in Active Directory without', () => {
  const given = { cn: ['Anna'], 'usercertificate;binary': ['x'] };
  expect(values(given, { shape: 'ad-contact' })['usercertificate']).toEqual(['x']);
  expect(values(given)['usercertificate;binary']).toEqual(['x']);
});

it('a name in another language is left out of Active Directory, which has none', () => {
  const given = { cn: ['Anna'], displayname: ['Anna'], 'displayname;lang-ja': ['アンナ'] };
  expect(values(given, { shape: 'ad-contact' })).toMatchObject({
    displayname: ['Anna'],
    leftOut: ['displayname;lang-ja'],
  });
  expect(values(given)['displayname;lang-ja']).toEqual(['アンナ']);
});
