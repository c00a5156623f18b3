/**
 * `dirpost check`, of the http transport. At a server: whether what it needs to listen is there, and whether invitations
 * can name an address. At a requestor: whether the server answers there now; a line that is down is no fault.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { join } from 'node:path';
import { fileError } from '@dirpost/adapters';
import { DirpostError } from '@dirpost/core';
import type { Configuration } from '../config/load.ts';
import type { HttpConfiguration } from '../config/transports.ts';
import { isElsewhere } from '../following-http.ts';
import { reachable } from '../joining/server-address.ts';
import { loadPeers } from '../peers.ts';
import { movedCertificateFile } from '../transports.ts';
import type { Finding } from './findings.ts';

const ANSWER_WITHIN_MS = 10_000;
const MAX_ANSWER_BYTES = 4_096;
const DAY_MS = 86_400_000;
const SOON_DAYS = 30;
const what = 'http';

const reasons: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'its name is not known',
  EAI_AGAIN: 'its name cannot be looked up now',
  ECONNRESET: 'the connection was cut',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'nobody vouches for its certificate; name it under transports.http.ca',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'nobody vouches for its certificate; name the authority under transports.http.ca',
  CERT_HAS_EXPIRED: 'its certificate has run out',
};

export async function checkHttp(
  configuration: Configuration,
  http: HttpConfiguration,
  signal: AbortSignal,
): Promise<Finding[]> {
  try {
    return configuration.role === 'server'
      ? await checkListening(configuration, http)
      : [await checkReached(await whereNow(configuration, http), signal)];
  } catch (error) {
    if (!(error instanceof DirpostError)) throw error;
    return [{ what, result: 'fault', text: error.message, ...(error.hint === undefined ? {} : { mend: error.hint }) }];
  }
}

/** The server may have moved (`dirpost move`). */
async function whereNow({ dataFolder, server }: Configuration, http: HttpConfiguration): Promise<HttpConfiguration> {
  const moved = (await loadPeers(dataFolder)).get(server)?.moved;
  if (http.url === undefined || moved?.http === undefined || !isElsewhere(moved, http.url)) return http;
  const { certificate } = moved;
  const pinned = certificate === undefined ? {} : { ca: join(dataFolder, movedCertificateFile(certificate)) };
  return { ...http, url: moved.http, ...pinned };
}

async function checkListening(
  configuration: Configuration,
  { listen = '127.0.0.1:8943', tls, tlsAtProxy }: HttpConfiguration,
): Promise<Finding[]> {
  const { addresses } = await reachable(configuration);
  if (tls === undefined && !tlsAtProxy && !isLoopback(listen)) {
    const text = `it would listen on ${listen} without TLS`;
    const mend = 'Name a certificate under transports.http.tls, or listen on 127.0.0.1.';
    return [{ what, result: 'fault', text, mend }];
  }
  const found: Finding[] = [];
  if (addresses.http === undefined) {
    const text = `listens on ${listen}, and invitations cannot name an address`;
    const mend = 'Name what requestors call as transports.http.address, such as https://hq.example.org:8943.';
    found.push({ what, result: 'warning', text, mend });
  } else {
    found.push({ what, result: 'ok', text: `listens on ${listen}; requestors call ${addresses.http}` });
  }
  if (tls !== undefined) found.push(...(await checkCertificate(tls)));
  return found;
}

async function checkCertificate(tls: { certificate: string; key: string }): Promise<Finding[]> {
  const certificate = new X509Certificate(await readFile(tls.certificate));
  await readFile(tls.key).catch((error: unknown) => {
    throw fileError(error, `read ${tls.key}`);
  });
  const days = Math.floor((Date.parse(certificate.validTo) - Date.now()) / DAY_MS);
  if (days >= SOON_DAYS) return [];
  const text = days < 0 ? `${tls.certificate} has run out` : `${tls.certificate} runs out in ${days} days`;
  const mend =
    'Put a new one in its place; it is read again by itself. Announce it before to those who joined by its fingerprint: dirpost move --http ADDRESS --certificate FILE';
  return [{ what, result: days < 0 ? 'fault' : 'warning', text, mend }];
}

async function checkReached({ url, ca, proxy }: HttpConfiguration, signal: AbortSignal): Promise<Finding> {
  if (url === undefined) {
    const mend = 'Name the address of the server: transports.http.url';
    return { what, result: 'fault', text: 'the address of the server is missing', mend };
  }
  const { protocol, hostname } = new URL(url);
  if (protocol === 'http:' && !isLoopback(`${hostname}:`)) {
    const text = `${url} would go over the network without TLS`;
    return { what, result: 'fault', text, mend: 'Write https:// in place of http://.' };
  }
  if (proxy !== undefined) return { what, result: 'ok', text: `${url}, by the proxy ${proxy}; not tried` };
  const authority = ca === undefined ? undefined : await readAuthority(ca);
  try {
    const answer = await ask(`${url.replace(/\/$/, '')}/healthz`, authority, signal);
    if (answer.includes('"ok"')) return { what, result: 'ok', text: `${url} answers` };
    const text = `${url} answers, and not as a dirpost server`;
    return { what, result: 'warning', text, mend: 'Are address and port right? Is there a proxy or a captive portal?' };
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const text = `${url} does not answer now: ${reasons[code] ?? (message || code)}`;
    const mend = 'Are address and port right, does dirpost run at the server, and does a firewall let it through?';
    return { what, result: 'warning', text, mend };
  }
}

async function readAuthority(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw fileError(error, `read ${path}`);
  }
}

function ask(url: string, ca: Buffer | undefined, signal: AbortSignal): Promise<string> {
  const request = url.startsWith('https:') ? tlsRequest : plainRequest;
  return new Promise((resolve, reject) => {
    const options = { agent: false, timeout: ANSWER_WITHIN_MS, signal, ...(ca && { ca }) };
    const asked = request(url, options, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (some: string) => {
        text += some;
        if (text.length > MAX_ANSWER_BYTES) asked.destroy(new Error('it sends too much'));
      });
      answer.once('error', reject).once('end', () => resolve(text));
    });
    asked.once('timeout', () => asked.destroy(new Error('it takes too long')));
    asked.once('error', reject).end();
  });
}

/** `listen`: HOST:PORT. */
export function isLoopback(listen: string): boolean {
  return /^(?:127\.[\d.]+|localhost|\[::1\]):/i.test(listen);
}
