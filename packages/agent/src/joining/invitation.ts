/**
 * An invitation as one line, which a person carries from the server to a branch (format.md, "Invitation"):
 *
 *   dirpost-join-1.<base64url of a msgpack map>.<checksum>
 *
 * Whoever has the line may join under the name that it bears, once. The checksum finds what copying and mail programs do to
 * long lines; white space, line breaks and quotation marks in it do not matter.
 */
import { createHash } from 'node:crypto';
import { defaultLimits, DirpostError, isMailAddress, isPostofficeName, type PostofficeName } from '@dirpost/core';
import { type PublicKeys, pack, parsePublicKeys, rawSigningKey, unpack } from '@dirpost/message';

export interface Invitation {
  /** 16 random octets as 32 hexadecimal digits. Not secret: it stands in the header of the enrolment. */
  id: string;
  /** 20 random octets. Whoever has it may join. */
  secret: Uint8Array;
  /** By the server's clock. */
  expiresMs: number;
  server: PostofficeName;
  /** Of the new postoffice. */
  name: PostofficeName;
  /** Of the server. */
  keys: PublicKeys;
  /** Public half of the server's recovery key, 32 octets in base64; null for a server without. */
  recoveryKey: string | null;
  addresses: Addresses;
}

/** Where the server is reached. */
export interface Addresses {
  http?: string;
  /** SHA-256 of the http certificate, 64 hexadecimal digits, where no public authority vouches for it. */
  pin?: string;
  /** Path of the exchange folder as the server sees it; another machine may see it elsewhere. */
  folder?: string;
  /** Its mail address. */
  mail?: string;
}

export const SECRET_BYTES = 20;
const MARK = 'dirpost-join-1.';
const CHECKSUM_DIGITS = 8;
const MAX_LINE_LENGTH = 16_384;

export function formatInvitation(invitation: Invitation): string {
  const { id, secret, expiresMs, server, name, keys, recoveryKey, addresses } = invitation;
  const fields = {
    s: server,
    n: name,
    k: rawSigningKey(keys.signing),
    a: keys.recipient,
    i: Buffer.from(id, 'hex'),
    t: Buffer.from(secret),
    x: expiresMs,
    ...(recoveryKey === null ? {} : { r: rawSigningKey(recoveryKey) }),
    ...(addresses.http === undefined ? {} : { h: addresses.http }),
    ...(addresses.pin === undefined ? {} : { p: Buffer.from(addresses.pin, 'hex') }),
    ...(addresses.folder === undefined ? {} : { f: addresses.folder }),
    ...(addresses.mail === undefined ? {} : { m: addresses.mail }),
  };
  const body = `${MARK}${pack(fields).toString('base64url')}`;
  return `${body}.${checksumOf(body)}`;
}

/** The text may hold more than the line, such as a whole mail. Throws DirpostError `peer-invalid`, never quoting it. */
export function parseInvitation(text: string): Invitation {
  if (text.length > 64 * MAX_LINE_LENGTH) throw damaged('it is far too long for one');
  // What mail programs put into long lines, and around them.
  const joined = text.replace(/[\s\u00ad\u200b-\u200d\u2060\ufeff"'<>`=]/g, '');
  const version = /dirpost-join-(\d+)\./.exec(joined);
  if (version === null) throw damaged('it does not begin with dirpost-join-1');
  if (version[1] !== '1') {
    throw new DirpostError('peer-invalid', 'The invitation was made by a newer dirpost than this one.', {
      retry: 'operator',
      hint: 'Install the version of the server here, then join again.',
    });
  }
  const line = joined.slice(version.index, version.index + MAX_LINE_LENGTH);
  const found = /^(dirpost-join-1\.[\w-]+)\.([0-9a-f]{8})/.exec(line);
  if (found === null) throw damaged(`it ends early, after ${line.length} characters`);
  if (checksumOf(found[1]!) !== found[2]) throw damaged('a part is missing, or was changed on its way');
  return readFields(Buffer.from(found[1]!.slice(MARK.length), 'base64url'));
}

function readFields(body: Uint8Array): Invitation {
  const decoded = unpack(body, defaultLimits.maxNesting, 'peer-invalid');
  const fields = (typeof decoded === 'object' && decoded !== null ? decoded : {}) as Record<string, unknown>;
  const { s: server, n: name, a: recipient, x: expiresMs } = fields;
  if (typeof server !== 'string' || !isPostofficeName(server)) throw malformed('the name of the server');
  if (typeof name !== 'string' || !isPostofficeName(name) || name === server) throw malformed('a name');
  if (typeof expiresMs !== 'number' || !Number.isSafeInteger(expiresMs)) throw malformed('its time');
  const signing = octets(fields['k'], 32, 'the signing key').toString('base64');
  const pin = fields['p'] === undefined ? undefined : octets(fields['p'], 32, 'the certificate').toString('hex');
  const http = textOf(fields['h'], 'the http address');
  const folder = textOf(fields['f'], 'the exchange folder');
  const mail = textOf(fields['m'], 'the mail address');
  if (mail !== undefined && !isMailAddress(mail)) throw malformed('the mail address');
  if (http !== undefined && !/^https?:\/\/\S+$/.test(http)) throw malformed('the http address');
  return {
    id: octets(fields['i'], 16, 'its id').toString('hex'),
    secret: octets(fields['t'], SECRET_BYTES, 'its secret'),
    expiresMs,
    server,
    name,
    keys: readKeys(signing, recipient),
    recoveryKey: fields['r'] === undefined ? null : octets(fields['r'], 32, 'the recovery key').toString('base64'),
    addresses: { ...(http && { http }), ...(pin && { pin }), ...(folder && { folder }), ...(mail && { mail }) },
  };
}

function readKeys(signing: string, recipient: unknown): PublicKeys {
  try {
    return parsePublicKeys(JSON.stringify({ signing, recipient }));
  } catch {
    throw malformed('the keys of the server');
  }
}

function octets(value: unknown, length: number, what: string): Buffer {
  if (!(value instanceof Uint8Array) || value.length !== length) throw malformed(what);
  return Buffer.from(value);
}

function textOf(value: unknown, what: string): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '' || value.length > 2_048 || value.includes('\0')) throw malformed(what);
  return value;
}

function checksumOf(body: string): string {
  return createHash('sha256').update(body).digest('hex').slice(0, CHECKSUM_DIGITS);
}

function damaged(how: string): DirpostError {
  return new DirpostError('peer-invalid', `This is not a whole invitation: ${how}.`, {
    retry: 'operator',
    hint: 'Copy the line again, from "dirpost-join-1." to its end; line breaks in it do not matter. Or have another made.',
  });
}

function malformed(what: string): DirpostError {
  return new DirpostError('peer-invalid', `The invitation lacks ${what}, or holds it in a wrong form.`, {
    retry: 'operator',
    hint: 'Have another made at the server, with `dirpost invite`.',
  });
}
