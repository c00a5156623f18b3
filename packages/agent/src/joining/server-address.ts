/** Where a server is reached, for its invitations; and the certificate that an invitation vouches for, at the branch. */
import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:tls';
import { fileError } from '@dirpost/adapters';
import { DirpostError } from '@dirpost/core';
import type { Configuration } from '../config/load.ts';
import type { MailConfiguration } from '../config/mail.ts';
import type { Addresses } from './invitation.ts';

/** In the data folder of a requestor: what vouches for the server's https. */
export const CERTIFICATE_FILE = 'server-ca.pem';

const CONNECT_WITHIN_MS = 20_000;

export interface Reachable {
  addresses: Addresses;
  /** PEM of the certificate that no public authority vouches for. */
  certificate?: string;
  /** Its own mail, whose servers its branches may have, too. */
  mail?: MailConfiguration;
}

/** Throws DirpostError where the certificate of the configuration cannot be read. */
export async function reachable({ transports }: Configuration): Promise<Reachable> {
  const { http, folder, mail } = transports;
  const addresses: Addresses = {};
  const own = mail === undefined ? {} : { mail };
  const url = http?.address ?? addressOf(http?.listen, http?.tls !== undefined);
  if (url !== undefined) addresses.http = url;
  if (folder !== undefined) addresses.folder = folder.path;
  if (mail !== undefined) addresses.mail = mail.address;
  if (url === undefined || http?.tls === undefined) return { addresses, ...own };
  const certificate = await readCertificate(http.tls.certificate);
  if (certificate.issuer !== certificate.subject) return { addresses, ...own };
  return { addresses: { ...addresses, pin: sha256(certificate.raw) }, certificate: certificate.toString(), ...own };
}

/** What only this machine can use is no address for others; a name for "all addresses" neither. */
function addressOf(listen: string | undefined, tls: boolean): string | undefined {
  if (listen === undefined || /^(?:0\.0\.0\.0|\[::\]):|:0$/.test(listen)) return undefined;
  return `${tls ? 'https' : 'http'}://${listen}`;
}

async function readCertificate(path: string): Promise<X509Certificate> {
  let pem: Buffer;
  try {
    pem = await readFile(path);
  } catch (error) {
    throw fileError(error, `read ${path}`);
  }
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new DirpostError('config-invalid', `${path} holds no certificate.`, { retry: 'operator', cause });
  }
}

/**
 * The certificate of the server as PEM, once it is the one that the invitation names. Nothing else is said to the server
 * before. Throws DirpostError `transport-failed`, `peer-invalid` where it is another.
 */
export async function fetchCertificate(url: string, pin: string, signal: AbortSignal): Promise<string> {
  const raw = await presentedBy(new URL(url), signal);
  if (sha256(raw) === pin) return new X509Certificate(raw).toString();
  throw new DirpostError('peer-invalid', `${url} shows another certificate than the one that the invitation names.`, {
    retry: 'operator',
    hint: 'Either its certificate was replaced since: have another invitation made. Or somebody stands between: do not go on.',
  });
}

function presentedBy({ hostname, port }: URL, signal: AbortSignal): Promise<Buffer> {
  const host = hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    const fail = (reason: string) => {
      socket.destroy();
      reject(
        new DirpostError('transport-failed', `${hostname} cannot be reached to compare its certificate: ${reason}.`, {
          retry: 'later',
          hint: 'Is the line up, and does the server run? Then run the same command again; nothing was changed here.',
        }),
      );
    };
    // Not by authorities, but by the hash in the invitation, which came from the server by hand.
    const options = {
      host,
      port: Number(port || 443),
      rejectUnauthorized: false,
      servername: isName(host) ? host : '',
    };
    const socket = connect(options, () => {
      const { raw } = socket.getPeerCertificate();
      socket.destroy();
      resolve(raw);
    });
    socket.setTimeout(CONNECT_WITHIN_MS, () => fail('it does not answer'));
    socket.once('error', (error) => fail(error.message));
    signal.addEventListener('abort', () => fail('interrupted'), { once: true });
  });
}

/** RFC 6066 §3: no addresses as server names. */
function isName(host: string): boolean {
  return !/^[\d.]+$|:/.test(host);
}

function sha256(octets: Uint8Array): string {
  return createHash('sha256').update(octets).digest('hex');
}
