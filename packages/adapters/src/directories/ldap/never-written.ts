/**
 * What is never written into a directory, whatever a mapping says: what lets somebody in, or makes him more than he was. A
 * message file from outside must not be able to do either.
 */
const NEVER =
  /^(userpassword|authpassword|unicodepwd|clearpassword|.*passwd.*|.*pwd.*|.*password.*|krb.*|useraccountcontrol|msds-user-account-control-computed|admincount|serviceprincipalname|msds-keycredentiallink|altsecurityidentities|sshpublickey|ldappublickey|uidnumber|gidnumber|homedirectory|unixhomedirectory|loginshell|sudo.*|sidhistory|objectsid|tokengroups.*|primarygroupid|memberof|ntsecuritydescriptor|aci|olcaccess|authzto|authzfrom|saslauthzto|saslauthzfrom|nsaccountlock|nsroledn|logonhours|userworkstations|scriptpath|profilepath|homedrive|msds-allowedtodelegateto|msds-allowedtoactonbehalfofotheridentity|iscriticalsystemobject|samaccountname|userprincipalname|systemflags|grouptype)$/;

/** Kept by the server itself (RFC 4512 §3.4), or names of another place than this. */
const OPERATIONAL =
  /^(entryuuid|entrydn|entrycsn|creatorsname|createtimestamp|modifiersname|modifytimestamp|structuralobjectclass|subschemasubentry|hassubordinates|numsubordinates|nsuniqueid|objectguid|distinguishedname|instancetype|samaccounttype|whencreated|whenchanged|usncreated|usnchanged|objectcategory|dscorepropagationdata|name|cn;range=.*)$/;

const MAX_REMEMBERED = 2_000;
/** Attribute → whether it is never written: of a million entries the names are the same few. */
const remembered = new Map<string, boolean>();

export function isNeverWritten(attribute: string): boolean {
  const known = remembered.get(attribute);
  if (known !== undefined) return known;
  const name = attribute.toLowerCase().replace(/;.*$/, '');
  const isNever = NEVER.test(name) || OPERATIONAL.test(name);
  if (remembered.size < MAX_REMEMBERED) remembered.set(attribute, isNever);
  return isNever;
}
