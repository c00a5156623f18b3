/**
 * What went wrong on the way to a mail server, before it said anything: errors of names, sockets and TLS in words for
 * somebody who has to find out at night whether it is the line, a certificate, the configuration or the server.
 */
import type { Retry } from '@dirpost/core';

export interface LineFailure {
  /** Goes on after "could not be reached: ". */
  why: string;
  retry: Retry;
  hint?: string;
}

const noLine = 'Most often this machine has no line just now.';
const dropped = 'The line is down, or a firewall drops what goes to that port.';
const checkCa = {
  why: 'its certificate is by an authority that is not known here',
  retry: 'operator',
  hint: "If the mail server's certificate is by a private authority, name its PEM file in transports.mail.ca. If not, something reads along on the way.",
} as const;
const checkClock = 'Look at the clock of this machine and at the certificate of the mail server.';
const checkTls = {
  why: 'what listens there does not speak TLS as this side does',
  retry: 'operator',
  hint: 'Look at the port and at tls: implicit is usual for 465 and 993, starttls for 587 and 143. TLS 1.2 or later is required.',
} as const;

const checkGreeting = {
  why: 'it does not greet as an SMTP server',
  retry: 'operator',
  hint: 'Look at host, port and tls of transports.mail.submission: 465 goes with implicit, 587 with starttls.',
} as const;

/** By `code` of the error. */
const table: Record<string, LineFailure> = {
  ENOTFOUND: {
    why: 'its name is not known',
    retry: 'later',
    hint: 'Look at the host name, and at DNS on this machine.',
  },
  EAI_AGAIN: { why: 'DNS does not answer', retry: 'later', hint: noLine },
  EDNS: { why: 'DNS does not answer', retry: 'later', hint: noLine },
  ECONNREFUSED: {
    why: 'nothing listens there',
    retry: 'later',
    hint: 'Is the mail server running, and the port right?',
  },
  EHOSTUNREACH: { why: 'there is no way to it', retry: 'later', hint: noLine },
  ENETUNREACH: { why: 'there is no way to it', retry: 'later', hint: noLine },
  ETIMEDOUT: { why: 'it does not answer', retry: 'later', hint: dropped },
  ECONNRESET: { why: 'the connection was cut', retry: 'later' },
  ECONNABORTED: { why: 'the connection was cut', retry: 'later' },
  ECONNECTION: { why: 'the connection was cut', retry: 'later' },
  EPIPE: { why: 'the connection was cut', retry: 'later' },
  ERR_STREAM_DESTROYED: { why: 'the connection was cut', retry: 'later' },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    why: 'its certificate is for another name',
    retry: 'operator',
    hint: 'Use the name that stands in the certificate as host, or renew the certificate.',
  },
  DEPTH_ZERO_SELF_SIGNED_CERT: { ...checkCa, why: 'its certificate is signed by itself' },
  SELF_SIGNED_CERT_IN_CHAIN: checkCa,
  UNABLE_TO_GET_ISSUER_CERT: checkCa,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: checkCa,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: checkCa,
  CERT_SIGNATURE_FAILURE: checkCa,
  CERT_HAS_EXPIRED: { why: 'its certificate has expired', retry: 'operator', hint: checkClock },
  CERT_NOT_YET_VALID: { why: 'its certificate is not valid yet', retry: 'operator', hint: checkClock },
  ERR_SSL_WRONG_VERSION_NUMBER: checkTls,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: checkTls,
  ERR_SSL_UNSUPPORTED_PROTOCOL: checkTls,
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: checkTls,
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: checkTls,
  EPROTO: checkTls,
  ETLS: checkTls,
};

/** What the error of a socket or of TLS means. One that is not known is told in its own words. */
export function lineFailure(cause: unknown): LineFailure {
  const code = codeOf(cause);
  if (code !== undefined && table[code] !== undefined) return table[code];
  // What greets is quoted by the client, at any length.
  if (cause instanceof Error && /^Invalid greeting\b/.test(cause.message)) return checkGreeting;
  return { why: cause instanceof Error ? cause.message : String(cause), retry: 'later' };
}

function codeOf(cause: unknown): string | undefined {
  if (!(cause instanceof Error)) return undefined;
  const { code, originalCode } = cause as NodeJS.ErrnoException & { originalCode?: string };
  // Of several addresses of one name all failed: the first says why.
  if (cause instanceof AggregateError) return codeOf(cause.errors[0]) ?? code;
  for (const known of [originalCode, code]) if (known !== undefined && table[known] !== undefined) return known;
  return codeOf(cause.cause) ?? code;
}
