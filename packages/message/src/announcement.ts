/**
 * What an announcement says (format.md, "Announcement"): the keys that its sender has now, and what of the other's it
 * knows; of a server also where it is reached, and whether keys of the network are to be post-quantum ones. It tells the
 * state and no difference, so the newest one alone counts, however often and in whatever order they arrive.
 */
import { type Announcement, DirpostError, type Incarnation, isMailAddress } from '@dirpost/core';
import { parsePublicKeys, rawSigningKey } from './keys.ts';

const MAX_RECIPIENT_BYTES = 4_096;
/** Of an address of http, and of mail. */
export const MAX_ADDRESS_BYTES = 2_048;
/** Of a certificate in its DER form. */
export const MAX_CERTIFICATE_BYTES = 16_384;
/** Longer nobody keeps older keys, whatever is announced. */
export const MAX_OVERLAP_MS = 90 * 24 * 3_600_000;

export interface Announced {
  /** Grows with every announcement that says something new. */
  serial: number;
  /** Of the newest announcement of the receiver that its sender knows; 0: none. */
  heard: number;
  /** Its sender waits to hear that this one is known. */
  asks: boolean;
  signing: string;
  recipient: string;
  /** How long keys before these are still used; 0: no more. */
  overlapMs: number;
  /** Of a server; absent: as they were. */
  addresses?: AnnouncedAddresses;
  /** Of a server: all keys of the network are to be post-quantum hybrid ones. */
  hybrid: boolean;
}

export interface AnnouncedAddresses {
  http?: string;
  /** The certificate of that address in its DER form, where no public authority vouches for it. */
  certificate?: Uint8Array;
  mail?: string;
}

export function announcement(incarnation: Incarnation, announced: Announced): Announcement {
  const { signing, addresses, ...rest } = announced;
  const fields = {
    ...rest,
    signing: rawSigningKey(signing),
    ...(addresses?.http === undefined ? {} : { http: addresses.http }),
    ...(addresses?.certificate === undefined ? {} : { certificate: Buffer.from(addresses.certificate) }),
    ...(addresses?.mail === undefined ? {} : { mail: addresses.mail }),
  };
  return { kind: 'announcement', incarnation, fields };
}

/** Throws DirpostError `message-payload`. */
export function readAnnouncement({ fields }: Announcement): Announced {
  const octets = fields['signing'];
  if (!(octets instanceof Uint8Array) || octets.length !== 32) throw malformed('signing');
  const signing = Buffer.from(octets).toString('base64');
  const recipient = text(fields, 'recipient', MAX_RECIPIENT_BYTES) ?? '';
  try {
    parsePublicKeys(JSON.stringify({ signing, recipient }));
  } catch {
    throw malformed('recipient');
  }
  const addresses = readAddresses(fields);
  return {
    serial: count(fields, 'serial'),
    heard: count(fields, 'heard'),
    asks: flag(fields, 'asks'),
    signing,
    recipient,
    overlapMs: Math.min(count(fields, 'overlapMs'), MAX_OVERLAP_MS),
    ...(addresses === null ? {} : { addresses }),
    hybrid: flag(fields, 'hybrid'),
  };
}

function readAddresses(fields: Record<string, unknown>): AnnouncedAddresses | null {
  const http = text(fields, 'http', MAX_ADDRESS_BYTES);
  const mail = text(fields, 'mail', MAX_ADDRESS_BYTES);
  if (http !== undefined && !isHttpAddress(http)) throw malformed('http');
  if (mail !== undefined && !isMailAddress(mail)) throw malformed('mail');
  const certificate = fields['certificate'];
  if (certificate !== undefined) {
    if (!(certificate instanceof Uint8Array) || certificate.length > MAX_CERTIFICATE_BYTES)
      throw malformed('certificate');
  }
  if (http === undefined && mail === undefined) return null;
  return {
    ...(http === undefined ? {} : { http }),
    ...(certificate === undefined ? {} : { certificate: Buffer.from(certificate) }),
    ...(mail === undefined ? {} : { mail }),
  };
}

function isHttpAddress(text: string): boolean {
  if (!/^https?:\/\/[^\s\p{Cc}]+$/u.test(text) || !URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username === '' && password === '';
}

function text(fields: Record<string, unknown>, name: string, maxBytes: number): string | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string' || Buffer.byteLength(value) > maxBytes) throw malformed(name);
  return value;
}

function count(fields: Record<string, unknown>, name: string): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed(name);
  return value;
}

function flag(fields: Record<string, unknown>, name: string): boolean {
  const value = fields[name];
  if (typeof value !== 'boolean') throw malformed(name);
  return value;
}

function malformed(what: string): DirpostError {
  return new DirpostError('message-payload', `The announcement lacks "${what}", or holds it in a wrong form.`);
}
