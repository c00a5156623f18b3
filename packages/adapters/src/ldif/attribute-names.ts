/**
 * Attribute names as people write them (RFC 4519, RFC 2798, RFC 4524, RFC 2307, Active Directory). LDAP does not care;
 * people who read a file do.
 */
const names = `
  aliasedObjectName associatedDomain associatedName businessCategory caCertificate carLicense certificateRevocationList
  co countryName createTimestamp creatorsName departmentNumber destinationIndicator displayName distinguishedName
  dnQualifier documentIdentifier domainComponent employeeID employeeNumber employeeType enhancedSearchGuide entryDN
  entryUUID facsimileTelephoneNumber generationQualifier gidNumber givenName groupType homeDirectory homePhone
  homePostalAddress houseIdentifier internationalISDNNumber ipPhone jpegPhoto labeledURI lastLogonTimestamp localityName
  loginShell legacyExchangeDN mailNickname mailLocalAddress managedBy memberOf memberUid memberURL mobile
  modifiersName modifyTimestamp msExchHideFromAddressLists msExchRecipientDisplayType msExchRecipientTypeDetails
  mS-DS-ConsistencyGuid objectCategory objectClass objectGUID objectSid organizationalStatus
  otherFacsimileTelephoneNumber otherHomePhone otherIpPhone otherMailbox otherMobile otherPager otherTelephone
  personalTitle physicalDeliveryOfficeName postalAddress postalCode postOfficeBox preferredDeliveryMethod
  preferredLanguage proxyAddresses pwdLastSet registeredAddress roleOccupant roomNumber sAMAccountName sAMAccountType
  searchGuide seeAlso serialNumber showInAddressBook streetAddress subschemaSubentry supportedApplicationContext
  targetAddress telephoneNumber telexNumber teletexTerminalIdentifier textEncodedORAddress thumbnailLogo
  thumbnailPhoto uidNumber uniqueIdentifier uniqueMember unixHomeDirectory uSNChanged uSNCreated userAccountControl
  userCertificate userClass userPassword userPKCS12 userPrincipalName userSMIMECertificate whenChanged whenCreated
  wWWHomePage x121Address x500UniqueIdentifier
`;

/** Names that are written in small letters anyway. */
const smallNames = `
  audio c cn comment company dc department description division drink gecos host info initials l mail manager member
  mobile o ou owner pager photo secretary sn st street title uid url
`;

const byLowerCase = new Map(
  `${names} ${smallNames}`
    .trim()
    .split(/\s+/)
    .map((name) => [name.toLowerCase(), name]),
);

/** Whether it is one of the attributes that directories commonly have, with any options. `name`: in lower case. */
export function isKnownAttribute(name: string): boolean {
  return byLowerCase.has(name.split(';', 1)[0]!);
}

/** `telephonenumber;lang-no` → `telephoneNumber;lang-no`; a name that is not known stays as it is. */
export function displayName(description: string): string {
  const semicolon = description.indexOf(';');
  if (semicolon < 0) return byLowerCase.get(description) ?? description;
  const type = description.slice(0, semicolon);
  return (byLowerCase.get(type) ?? type) + description.slice(semicolon);
}
