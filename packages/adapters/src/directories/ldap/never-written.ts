/**
 * What is never written into a directory, whatever a mapping says: what lets somebody in, or makes him more than he was. A
 * message file from outside must not be able to do either.
 */
import { isSecret } from '@dirpost/core';

/** Besides core's secrets: what gives rights, and all of policies on passwords. */
const PRIVILEGES =
  /^(.*pwd.*|.*password.*|krb.*|useraccountcontrol|msds-user-account-control-computed|admincount|serviceprincipalname|altsecurityidentities|uidnumber|gidnumber|homedirectory|unixhomedirectory|loginshell|sudo.*|sidhistory|objectsid|tokengroups.*|primarygroupid|memberof|ntsecuritydescriptor|aci|olcaccess|authzto|authzfrom|saslauthzto|saslauthzfrom|nsaccountlock|nsroledn|logonhours|userworkstations|scriptpath|profilepath|homedrive|msds-allowedtodelegateto|msds-allowedtoactonbehalfofotheridentity|iscriticalsystemobject|samaccountname|userprincipalname|systemflags|grouptype)$/;

/** Kept by the server itself (RFC 4512 §3.4), or names of another place than this. */
const OPERATIONAL =
  /^(entryuuid|entrydn|entrycsn|creatorsname|createtimestamp|modifiersname|modifytimestamp|structuralobjectclass|subschemasubentry|hassubordinates|numsubordinates|nsuniqueid|objectguid|distinguishedname|instancetype|samaccounttype|whencreated|whenchanged|usncreated|usnchanged|objectcategory|dscorepropagationdata|name|cn;range=.*)$/;

/** An attribute by its number (RFC 4512 §1.4) could be any of these. */
const NUMBER = /^(?:oid\.)?\d/;

const CERTIFICATES = /^(usercertificate|usersmimecertificate)$/;

const MAX_REMEMBERED = 2_000;
/** Attribute → whether it is never written: of a million entries the names are the same few. */
const remembered = new Map<string, boolean>();

export function isNeverWritten(attribute: string): boolean {
  const known = remembered.get(attribute);
  if (known !== undefined) return known;
  const name = typeOf(attribute);
  const isNever = isSecret(name) || PRIVILEGES.test(name) || OPERATIONAL.test(name) || NUMBER.test(name);
  if (remembered.size < MAX_REMEMBERED) remembered.set(attribute, isNever);
  return isNever;
}

/**
 * Into entries that are not dirpost's own: those that stood there before, and own people whom others edit. Such an entry may be
 * somebody who logs in, and servers take a certificate in it for him.
 */
export function isNeverWrittenToOthers(attribute: string): boolean {
  return isNeverWritten(attribute) || CERTIFICATES.test(typeOf(attribute));
}

function typeOf(attribute: string): string {
  return attribute.toLowerCase().replace(/;.*$/, '');
}
