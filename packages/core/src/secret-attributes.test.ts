import { describe, expect, it } from 'vitest';
import { isSecret, secretIn } from './secret-attributes.ts';

const words = (text: string) => text.split(/\s+/);

describe('a secret', () => {
  it.each(
    words(`userPassword userPassword;binary USERPASSWORD;x-old authPassword clearPassword clearTextPassword unicodePwd dBCSPwd
     supplementalCredentials lmPwdHistory ntPwdHistory pwdHistory passwordHistory unixUserPassword msSFU30Password ms-Mcs-AdmPwd
     ms-Mcs-AdmPwdHistory msLAPS-Password msLAPS-EncryptedPassword msLAPS-EncryptedPasswordHistory msLAPS-EncryptedDSRMPassword
     msDS-ManagedPassword msDS-ManagedPasswordPreviousId msDS-ManagedPasswordId msDS-KeyCredentialLink msFVE-RecoveryPassword
     msFVE-KeyPackage msTPM-OwnerInformation msPKIDPAPIMasterKeys msPKIAccountCredentials trustAuthIncoming initialAuthOutgoing
     sambaNTPassword sambaLMPassword sambaPasswordHistory sambaClearTextPassword sambaPreviousClearTextPassword userPKCS12 userPKCS8
     krbPrincipalKey krbMKey krb5Key krbExtraData krbPwdHistory ipaNTHash ipaTokenOTPkey ipaSshPubKey nsSshPublicKey sshPublicKey
     ipaTokenRadiusSecret oathSecret oathHOTPToken totpSecret radiusTunnelPassword radiusUserSecret nsds5ReplicaCredentials olcRootPW
     nspmPassword ndsPkiPrivateKey sambaPwdLastSet 2.5.4.35 OID.2.5.4.35 2.16.840.1.113730.3.1.216 1.3.6.1.4.1.7165.2.1.54;binary`),
  )('is %s', (name) => {
    expect(isSecret(name)).toBe(true);
  });

  it.each(['Password hash', 'Private key', 'pass_word', 'SSH public key'])('is the column "%s"', (title) => {
    expect(isSecret(title)).toBe(true);
  });

  it.each(
    words(`cn sn mail title description secretary userCertificate userCertificate;binary userSMIMECertificate uid uidNumber
     compassDirection passportNumber pwdPolicySubentry pwdChangedTime pwdLastSet krbPrincipalName krbCanonicalName keywords
     postalCode pincode clearance radioNumber employeeNumber ipaUniqueID 2.5.4.3 2.5.4.36 labeledURI`),
  )('is not %s', (name) => {
    expect(isSecret(name)).toBe(false);
  });

  it('is seen in a mapping from an attribute or in a template, not in its text', () => {
    expect(secretIn('userPassword;binary')).toBe('userPassword;binary');
    expect(secretIn('{cn}: { UserPassword |trim}')).toBe('UserPassword');
    expect(secretIn('{{{userPassword}}}')).toBe('userPassword');
    expect(secretIn('{{userPassword}} of {cn}')).toBeNull();
    expect(secretIn('no userPassword: {cn}')).toBeNull();
    expect(secretIn('telephoneNumber')).toBeNull();
  });
});
