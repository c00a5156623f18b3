/**
 * Mail addresses (addr-spec, RFC 5322 §3.4.1) as they may stand in a header and in a command: nothing that ends a line,
 * and one address only.
 */
import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { DirpostError } from '@dirpost/core';

/** RFC 5321 §4.5.3.1, octets. */
const MAX_LOCAL_BYTES = 64;
const MAX_DOMAIN_BYTES = 255;

/** Dot-atom (RFC 5322 §3.2.3), or characters beyond ASCII (RFC 6531 §3.3); no quoted strings. */
const LOCAL_PART = /^[\w!#$%&'*+/=?^`{|}~\u{a1}-\u{10ffff}-]+(?:\.[\w!#$%&'*+/=?^`{|}~\u{a1}-\u{10ffff}-]+)*$/u;
const DOMAIN = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const INTERNATIONAL_DOMAIN = /^(?=.*[^\0-\x7f])[a-z0-9.\u{a1}-\u{10ffff}-]+$/iu;

/** The address with its domain in ASCII (RFC 5890). Throws DirpostError `config-invalid`. `whose`: "the own", "that of hq". */
export function checkMailAddress(address: string, whose: string): string {
  const at = address.lastIndexOf('@');
  const [local, domain] = [address.slice(0, at), asciiDomain(address.slice(at + 1))];
  const fits = Buffer.byteLength(local) <= MAX_LOCAL_BYTES && domain.length <= MAX_DOMAIN_BYTES;
  if (at > 0 && fits && LOCAL_PART.test(local) && domain !== '') return `${local}@${domain}`;
  const shown = JSON.stringify(address.slice(0, 320));
  throw new DirpostError('config-invalid', `${shown} is not a mail address; it is named as ${whose}.`, {
    retry: 'operator',
    hint: 'Write the address alone, like dirpost@oslo.example.org.',
    context: { address },
  });
}

/** Such an address passes only where the server offers SMTPUTF8 (RFC 6531). */
export function isInternational(address: string): boolean {
  return /[^\0-\x7f]/u.test(address);
}

/** What follows the @. */
export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1);
}

/** Where a line without TLS may go: this machine only. */
export function isLoopbackHost(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  if (isIP(name) === 4) return name.startsWith('127.');
  return name === 'localhost' || name === '::1';
}

/** Empty for what is none. */
function asciiDomain(domain: string): string {
  const literal = /^\[(?:IPv6:)?([0-9a-f.:]+)\]$/i.exec(domain);
  if (literal !== null) return isIP(literal[1]!) === 0 ? '' : domain;
  // Of ASCII it would make more than it should: an octal number an address, a line end nothing.
  const ascii = INTERNATIONAL_DOMAIN.test(domain) ? domainToASCII(domain) : domain.toLowerCase();
  return DOMAIN.test(ascii) ? ascii : '';
}
