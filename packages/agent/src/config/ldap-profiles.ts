/** What the sort of an LDAP server decides, where the configuration says nothing: key, kinds, filter, attributes. */
import type { LdapProfileName, LdapTarget } from '@dirpost/adapters';
import { defaultKinds } from '@dirpost/core';
import type { PublishedKind } from './directory-fields.ts';

export const ldapProfiles = ['openldap', '389ds', 'ad', 'generic'] as const satisfies LdapProfileName[];

export interface LdapProfile {
  /** The attribute that the server gives an entry for life. */
  key: string;
  kinds: Partial<Record<PublishedKind, string>>;
  /** null: what one of the kinds matches. */
  filter: string | null;
  /** What is asked for. Never all: a directory holds what is nobody's business. */
  attributes: string[];
  shape: LdapTarget['shape'];
  /** By which attribute an entry is named in a target; null: as at its owner. */
  rdn: string | null;
}

const person = ['cn', 'sn', 'givenName', 'initials', 'displayName', 'title', 'description', 'uid'];
const mail = ['mail'];
const telephone = ['telephoneNumber', 'mobile', 'facsimileTelephoneNumber', 'pager'];
const office = [
  'o',
  'ou',
  'departmentNumber',
  'physicalDeliveryOfficeName',
  'roomNumber',
  'businessCategory',
  'street',
  'postOfficeBox',
  'postalCode',
  'postalAddress',
  'l',
  'st',
  'c',
  'preferredLanguage',
  'labeledURI',
];
const group = ['member', 'uniqueMember'];
const standard = [...person, ...mail, ...telephone, ...office, ...group];
const exchange = [
  'proxyAddresses',
  'mailNickname',
  'company',
  'department',
  'streetAddress',
  'co',
  'wWWHomePage',
  'msExchRecipientDisplayType',
];

const classes: LdapProfile = {
  key: 'entryUUID',
  kinds: Object.fromEntries(defaultKinds),
  filter: null,
  attributes: standard,
  shape: 'inetorgperson',
  rdn: null,
};

/** MS-ADTS 2.2.16: the bit ACCOUNTDISABLE; matched by LDAP_MATCHING_RULE_BIT_AND. */
const DISABLED = '(userAccountControl:1.2.840.113556.1.4.803:=2)';

/** Exchange: rooms and equipment. They are users to Active Directory, with an account that is switched off. */
const RESOURCE = '(|(msExchRecipientDisplayType=7)(msExchRecipientDisplayType=8))';

const profiles: Record<LdapProfileName, LdapProfile> = {
  openldap: classes,
  generic: classes,
  '389ds': { ...classes, key: 'nsuniqueid' },
  ad: {
    key: 'objectGUID',
    kinds: {
      group: '(objectClass=group)',
      contact: '(objectClass=contact)',
      resource: RESOURCE,
      person: '(objectClass=user)',
    },
    // Who has a mail address: accounts of services and security groups have none.
    filter: `(&(mail=*)(|(objectCategory=group)(&(objectCategory=person)(|${RESOURCE}(!${DISABLED})))))`,
    attributes: [...standard, ...exchange],
    shape: 'ad-contact',
    rdn: 'cn',
  },
};

export function ldapProfile(name: LdapProfileName): LdapProfile {
  return profiles[name];
}
