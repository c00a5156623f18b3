/**
 * JSON Web Tokens (RFC 7519) by which a token server is convinced without a shared secret: one signed with the key of a
 * certificate that is registered there (RFC 7523 §2.2), and one of a Google service account (RFC 7523 §2.1).
 */
import {
  constants,
  createHash,
  createPrivateKey,
  type KeyObject,
  randomUUID,
  sign,
  X509Certificate,
} from 'node:crypto';
import type { DirpostError } from '@dirpost/core';
import { loginFailed } from './login-failures.ts';

/** Microsoft wants 5 to 10 minutes. */
const CLIENT_ASSERTION_S = 300;
/** The longest that Google takes. */
const SERVICE_ACCOUNT_S = 3_600;

type Algorithm = 'RS256' | 'PS256' | 'ES256';

/** Where PS256 is asked for; other servers are sure to know RS256 alone (RFC 7518 §3.1). */
const MICROSOFT = /^login\.(?:partner\.)?microsoftonline\.(?:com|us|cn)$/;

export interface ClientKey {
  certificate: X509Certificate;
  key: KeyObject;
}

/** `paths` are only named. Throws DirpostError `transport-failed`, `operator`, without anything of the key in it. */
export function clientKeyOf(
  pem: { certificate: Uint8Array; key: Uint8Array },
  paths: { certificate: string; key: string },
  nowMs: number,
): ClientKey {
  const certificate = parsed(() => new X509Certificate(pem.certificate), paths.certificate, 'a certificate');
  const key = parsed(() => createPrivateKey(Buffer.from(pem.key)), paths.key, 'a private key');
  if (!certificate.checkPrivateKey(key)) {
    throw loginFailed(`${paths.key} is not the key of the certificate ${paths.certificate}.`, {
      context: { ...paths },
    });
  }
  const endMs = Date.parse(certificate.validTo);
  if (endMs < nowMs) {
    throw loginFailed(`The certificate ${paths.certificate} expired on ${new Date(endMs).toISOString()}.`, {
      hint: 'Make a new one and register it at the token server. If it should still be valid, look at the clock.',
      context: { ...paths },
    });
  }
  return { certificate, key };
}

/** RFC 7523 §3, with the header fields by which the Microsoft identity platform finds the certificate. */
export function clientAssertion(client: ClientKey, clientId: string, tokenUrl: URL, nowMs: number): string {
  const der = client.certificate.raw;
  const header = {
    alg: algorithmOf(client.key, tokenUrl),
    typ: 'JWT',
    // RFC 7515 §4.1.7 and §4.1.8: which of the two is looked at depends on the server.
    x5t: createHash('sha1').update(der).digest('base64url'),
    'x5t#S256': createHash('sha256').update(der).digest('base64url'),
  };
  const iat = Math.floor(nowMs / 1000);
  const claims = {
    aud: tokenUrl.href,
    iss: clientId,
    sub: clientId,
    jti: randomUUID(),
    nbf: iat,
    iat,
    exp: iat + CLIENT_ASSERTION_S,
  };
  return signed(header, claims, client.key);
}

export interface ServiceAccount {
  email: string;
  key: KeyObject;
  keyId: string | undefined;
  tokenUri: string;
}

/** Google's key file, as its console hands it out. Throws DirpostError `transport-failed`, `operator`. */
export function serviceAccountOf(bytes: Uint8Array, path: string): ServiceAccount {
  let file: Record<string, unknown> | null = null;
  try {
    file = JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown> | null;
  } catch {
    // The parser's error quotes the file.
  }
  const { client_email: email, private_key: pem, private_key_id: keyId, token_uri: tokenUri } = file ?? {};
  if (typeof email !== 'string' || typeof pem !== 'string' || typeof tokenUri !== 'string') {
    throw loginFailed(`${path} is not the key of a service account.`, {
      hint: 'It is the JSON file from the Google Cloud console, with client_email, private_key and token_uri.',
      context: { path },
    });
  }
  const key = parsed(() => createPrivateKey(pem), path, 'the key of a service account');
  if (key.asymmetricKeyType !== 'rsa') throw unusable(path, 'the key of a service account');
  return { email, key, keyId: typeof keyId === 'string' ? keyId : undefined, tokenUri };
}

/** RFC 7523 §2.1; `user`: the mailbox for which the service account acts. */
export function serviceAccountAssertion(account: ServiceAccount, user: string, scope: string, nowMs: number): string {
  const { email, key, keyId, tokenUri } = account;
  const iat = Math.floor(nowMs / 1000);
  const header = { alg: 'RS256' as const, typ: 'JWT', ...(keyId !== undefined && { kid: keyId }) };
  return signed(header, { iss: email, sub: user, scope, aud: tokenUri, iat, exp: iat + SERVICE_ACCOUNT_S }, key);
}

function algorithmOf(key: KeyObject, tokenUrl: URL): Algorithm {
  const { asymmetricKeyType, asymmetricKeyDetails } = key;
  if (asymmetricKeyType === 'rsa') return MICROSOFT.test(tokenUrl.hostname) ? 'PS256' : 'RS256';
  if (asymmetricKeyType === 'rsa-pss') return 'PS256';
  if (asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'ES256';
  throw loginFailed(`The key of the certificate for ${tokenUrl.origin} is of a kind that token servers do not take.`, {
    hint: 'Make one with RSA of 2048 bits or more, or with the curve P-256.',
    context: { kind: asymmetricKeyType ?? null },
  });
}

function signed(header: { alg: Algorithm }, claims: Record<string, unknown>, key: KeyObject): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const content = `${part(header)}.${part(claims)}`;
  // RFC 7518 §3.4 and §3.5: r and s one after the other, and a salt as long as the hash.
  const how =
    header.alg === 'PS256'
      ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
      : { key, ...(header.alg === 'ES256' && { dsaEncoding: 'ieee-p1363' as const }) };
  return `${content}.${sign('sha256', Buffer.from(content), how).toString('base64url')}`;
}

/** What the parser says is not handed on. */
function parsed<T>(parse: () => T, path: string, what: string): T {
  try {
    return parse();
  } catch {
    throw unusable(path, what);
  }
}

function unusable(path: string, what: string): DirpostError {
  return loginFailed(`${path} does not hold ${what} that can be used.`, {
    hint: 'It has to be PEM, a key without a passphrase.',
    context: { path },
  });
}
