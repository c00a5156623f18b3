/**
 * The one list of attributes that hold what lets somebody in: passwords, their hashes and histories, keys. They are never published,
 * under no other name and in no template either (mapping.ts), and never written (the LDAP adapter). Certificates are none of them:
 * they are public, and mail is encrypted by them.
 */

/** Of names as `folded` gives them. */
const SECRET = [
  // Passwords and their hashes, at whatever server: userPassword, sambaNTPassword, unicodePwd, dBCSPwd, ms-Mcs-AdmPwd …
  /passw(?:or)?d|passphrase|passcode|passhash|pwd|rootpw$|^(?:user|login|mail|clear|sasldb)pass$|^userpin$|^clear(?:text|pw)/,
  /^(?:ipa)?(?:nt|lm)hash$|^(?:ipa|samba).*hash$|shadowhash|^authauthority$/,
  // "secretary" is a person.
  /secret(?!ar)|credentials?$|^supplementalcredentials|privatekey|symmetrickey|apikey|accesstoken/,
  /^krb.*key|^krbextradata$|^ipa.*key|^userpkcs|^encryptionkey/,
  // Active Directory: local administrators, BitLocker, trusts, managed accounts, Windows Hello.
  /^mslaps|^msmcsadmpwd|^msfve|^mstpm|^mskds|^mspkidpapi|^mspkiaccount|^msdsmanagedpassword|^msdskeycredential/,
  /^(?:trust|initial)auth(?:incoming|outgoing)$|^ipanttrustauth|^(?:current|prior)value$/,
  // Second factors, and logins to networks.
  /^oath|^[th]otp|(?:otp|token|authenticator)(?:key|seed)|^radius/,
  /sshpub(?:lic)?key|^ldappublickey$/,
];

/** Of policies and clocks: nothing in them lets anybody in. */
const HARMLESS = /^(?:pwd(?:policysubentry|lastset|lastsuccess|reset|[a-z]*time)|passwordpolicysubentry)$/;

/** The same attributes by number, as a file may name them. */
const SECRET_OIDS = new Set([
  // userPassword, authPassword, userPKCS12, pwdHistory
  '2.5.4.35',
  '1.3.6.1.4.1.4203.1.3.4',
  '2.16.840.1.113730.3.1.216',
  '1.3.6.1.4.1.42.2.27.8.1.20',
  // sambaLMPassword, sambaNTPassword, sambaPasswordHistory, sambaClearTextPassword, sambaPreviousClearTextPassword
  '1.3.6.1.4.1.7165.2.1.24',
  '1.3.6.1.4.1.7165.2.1.25',
  '1.3.6.1.4.1.7165.2.1.54',
  '1.3.6.1.4.1.7165.2.1.67',
  '1.3.6.1.4.1.7165.2.1.68',
  // unicodePwd, dBCSPwd, ntPwdHistory, lmPwdHistory, supplementalCredentials
  '1.2.840.113556.1.4.90',
  '1.2.840.113556.1.4.55',
  '1.2.840.113556.1.4.94',
  '1.2.840.113556.1.4.160',
  '1.2.840.113556.1.4.125',
  // unixUserPassword, msDS-ManagedPassword, msDS-KeyCredentialLink
  '1.2.840.113556.1.4.1910',
  '1.2.840.113556.1.4.2196',
  '1.2.840.113556.1.4.2328',
  // krbPrincipalKey, sshPublicKey
  '2.16.840.1.113719.1.301.4.39.1',
  '1.3.6.1.4.1.24552.500.1.1.1.13',
]);

/** Of an attribute in any spelling, with or without options (RFC 4512 §2.5), and of the title of a column. */
export function isSecret(attribute: string): boolean {
  const type = attribute.split(';', 1)[0]!.trim().toLowerCase();
  if (SECRET_OIDS.has(type.replace(/^oid\./, ''))) return true;
  const name = folded(type);
  return !HARMLESS.test(name) && SECRET.some((pattern) => pattern.test(name));
}

function folded(type: string): string {
  return type.replaceAll(/[\s_-]+/g, '');
}

/** Of a mapping: the first attribute that is a secret, of one or of those that a template names; null: none is. */
export function secretIn(source: string): string | null {
  const named = source.includes('{')
    ? [...source.replaceAll('{{', '').matchAll(/\{([^{}|]*)/g)].map(([, one]) => one!.trim())
    : [source];
  return named.find(isSecret) ?? null;
}
