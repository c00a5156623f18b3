/** Where the server may listen and where a client may go without TLS: this machine only. And the size that both refuse. */
import { isIP } from 'node:net';
import { DirpostError } from '@dirpost/core';

export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  if (isIP(name) === 4) return name.startsWith('127.');
  return name === 'localhost' || name === '::1';
}

/** Throws DirpostError `config-invalid`. */
export function checkLoopback(host: string): void {
  if (isLoopback(host)) return;
  throw new DirpostError('config-invalid', `The server would listen on ${host} without TLS.`, {
    retry: 'operator',
    hint: 'Give it a certificate (tls), or listen on 127.0.0.1; or say that something in front of it does TLS (tlsAtProxy).',
    context: { host },
  });
}

/** Of the server, as configured. Throws DirpostError `config-invalid`. */
export function checkServerUrl(text: string): URL {
  const url = parse(text);
  const isFit = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (!isFit || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw configInvalid(`${shown(url)} is not an address of a server.`, 'Write it like https://hq.example.org:8943.');
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw configInvalid(`${shown(url)} would go over the network without TLS.`, 'Write https:// in place of http://.');
  }
  return url;
}

/** Throws DirpostError `config-invalid`. */
export function checkProxyUrl(text: string): URL {
  const url = parse(text);
  if (url.username !== '' || url.password !== '') {
    const hint = 'Put one line USER:PASSWORD into a file, and name it in proxyLogin.';
    throw configInvalid('The address of the proxy has a login in it.', hint);
  }
  if (url.protocol === 'https:' || url.protocol === 'http:') return url;
  throw configInvalid(
    `${shown(url)} is not an address of an HTTP proxy.`,
    'Write it like http://proxy.example.org:3128.',
  );
}

/** Without a login, which nobody should write there, but somebody will. */
export function shown(url: URL): string {
  return url.origin === 'null' ? url.protocol : `${url.origin}${url.pathname.replace(/\/$/, '')}`;
}

function parse(text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw configInvalid('An address of the http transport is not a URL.', 'Write it like https://hq.example.org:8943.');
}

function configInvalid(message: string, hint: string): DirpostError {
  return new DirpostError('config-invalid', message, { retry: 'operator', hint });
}

export function messageTooLarge(id: string, bytes: number, maxBytes: number | null): DirpostError {
  const limit = maxBytes === null ? 'the server takes less' : `this transport takes at most ${maxBytes}`;
  return new DirpostError('message-too-large', `Message file ${id} has ${bytes} bytes; ${limit}.`, {
    retry: 'operator',
    hint: `Raise limits.maxMessageBytes ${maxBytes === null ? 'of the server' : 'here'}, and then on the other side.`,
    context: { id, bytes, maxBytes },
  });
}
