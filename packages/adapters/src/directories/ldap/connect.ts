/**
 * One line to one LDAP server: TCP or the socket of ldapi, TLS from the first octet or by StartTLS, never anything less
 * than was asked for.
 */
import { readFileSync } from 'node:fs';
import { createConnection, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { DirpostError, type ErrorDetails, isDirpostError } from '@dirpost/core';
import { fileError } from '../../durable-file.ts';
import type { LdapOptions, LdapServer } from './options.ts';
import { resultName, SUCCESS } from './results.ts';
import { Session } from './session.ts';

/** RFC 4511 §4.14.1. */
const START_TLS = '1.3.6.1.4.1.1466.20037';
/** Above all values of an entry that the limits allow, with BER around them. */
const MESSAGE_SPARE_BYTES = 4 * 1024 * 1024;

export type LineOptions = Pick<LdapOptions, 'ca' | 'bind' | 'times' | 'limits'>;

/** Not yet bound. Throws DirpostError `directory-failed`, `file-…` where a file of certificates cannot be read. */
export async function connectTo(server: LdapServer, options: LineOptions, signal: AbortSignal): Promise<Session> {
  const { times, limits } = options;
  const plain = await openSocket(server, times.connectMs, signal);
  plain.setKeepAlive(true, times.keepAliveMs);
  plain.setNoDelay(true);
  const upgrade = (socket: Duplex) => secure(socket, server, options, signal);
  const socket = server.tls === 'ldaps' ? await upgrade(plain) : plain;
  const session = new Session(socket, {
    server: shownServer(server),
    operationMs: times.operationMs,
    maxMessageBytes: limits.maxEntryBytes + MESSAGE_SPARE_BYTES,
  });
  if (server.tls === 'starttls') await startTls(session, upgrade, signal);
  return session;
}

/** `ldap.example.org:389`; of ldapi the path. */
export function shownServer({ host, port, tls }: LdapServer): string {
  if (tls === 'ldapi') return host;
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

async function openSocket(server: LdapServer, connectMs: number, signal: AbortSignal): Promise<Socket> {
  const { host, port, tls } = server;
  const socket = tls === 'ldapi' ? createConnection(host) : createConnection({ host, port });
  return settled(socket, 'connect', server, connectMs, signal);
}

async function secure(
  plain: Duplex,
  server: LdapServer,
  options: LineOptions,
  signal: AbortSignal,
): Promise<TLSSocket> {
  // What befalls the line below is told by TLS above it, once; a reset afterwards would be an error that nobody takes.
  plain.on('error', () => {});
  try {
    const socket = connectTls({ socket: plain, ...tlsOptions(server, options) });
    return await settled(socket, 'secureConnect', server, options.times.connectMs, signal);
  } catch (error) {
    plain.destroy();
    throw error instanceof DirpostError ? error : unusableFiles(server, error);
  }
}

function tlsOptions({ host }: LdapServer, { ca, bind }: LineOptions): ConnectionOptions {
  return {
    host,
    // RFC 6066 §3: no addresses as server names.
    ...(isIP(host) === 0 && { servername: host }),
    minVersion: 'TLSv1.2',
    ...(ca !== undefined && { ca: read(ca) }),
    ...(bind.method === 'external' &&
      bind.certificate && { cert: read(bind.certificate.certificate), key: read(bind.certificate.key) }),
  };
}

const FILE_HINT = 'Look at the PEM files: `ca`, the certificate, and the key that belongs to it.';

/** OpenSSL did not take what was read. */
function unusableFiles(server: LdapServer, cause: unknown): DirpostError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new DirpostError('directory-failed', `TLS to ${shownServer(server)} cannot begin: ${why}.`, {
    retry: 'operator',
    hint: FILE_HINT,
    cause,
  });
}

async function startTls(
  session: Session,
  upgrade: (socket: Duplex) => Promise<Duplex>,
  signal: AbortSignal,
): Promise<void> {
  try {
    const result = await session.request({ type: 'extended', name: START_TLS }, { signal });
    if (result.code !== SUCCESS) {
      const message = `${session.server} does not begin TLS: ${resultName(result.code)} ${result.message}`.trimEnd();
      const hint = 'Give it a certificate, or use ldaps. dirpost does not go on without TLS where it is required.';
      throw new DirpostError('directory-failed', message, { retry: 'operator', hint });
    }
    await session.secure(upgrade);
  } catch (error) {
    session.close();
    throw isDirpostError(error, 'directory-failed') && error.hint === undefined ? withHint(error, wrongTls) : error;
  }
}

function withHint(cause: DirpostError, hint: string): DirpostError {
  const { code, message, retry, context } = cause;
  return new DirpostError(code, message, { retry, hint, context, cause });
}

/** The socket, once `event` came; destroyed where something else does. */
function settled<S extends Duplex>(
  socket: S,
  event: string,
  server: LdapServer,
  withinMs: number,
  signal: AbortSignal,
): Promise<S> {
  return new Promise((resolve, reject) => {
    const end = (error: DirpostError | null) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.removeListener('error', onError).removeListener('close', onClose).removeListener(event, onReady);
      if (error === null) return resolve(socket);
      // Errors that come after it was given up concern nobody.
      socket.on('error', () => {});
      socket.destroy();
      reject(error);
    };
    const onReady = () => end(null);
    const onError = (cause: Error) => end(unreachable(server, cause));
    const onClose = () => end(unreachable(server, new Error('the connection was closed')));
    const onAbort = () =>
      end(new DirpostError('interrupted', 'Interrupted.', { retry: 'later', cause: signal.reason }));
    const timer = setTimeout(() => end(unreachable(server, tooLate(withinMs))), withinMs);
    socket.once(event, onReady).once('error', onError).once('close', onClose);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

function tooLate(withinMs: number): Error {
  return Object.assign(new Error(`no answer within ${withinMs / 1_000} s`), { code: 'ETIMEDOUT' });
}

const noLine = 'Most often the line is down just now, or a firewall drops what goes there.';
const wrongName = 'Use the name that stands in the certificate, or renew the certificate.';
const wrongAuthority =
  "If it is a private one, name its PEM file in the directory's `ca`, or look whether it is the right file. If not, something reads along.";
const wrongTls =
  'Look at the port and at `tls`: ldaps is TLS from the first octet (636), starttls begins in the clear (389).';

/** By `code` of the error. */
const table: Record<string, [explanation: string, details: ErrorDetails]> = {
  ENOTFOUND: ['its name is not known', { hint: 'Look at the name of the server, and at DNS on this machine.' }],
  EAI_AGAIN: ['DNS does not answer', { hint: noLine }],
  ECONNREFUSED: ['nothing listens there', { hint: 'Is the LDAP server running, and the port the right one?' }],
  ECONNRESET: ['the connection was cut', { hint: wrongTls }],
  EHOSTUNREACH: ['there is no way to it', { hint: noLine }],
  ENETUNREACH: ['there is no way to it', { hint: noLine }],
  ETIMEDOUT: ['it does not answer', { hint: noLine }],
  ENOENT: ['its socket is not there', { hint: 'Is the LDAP server running, and does it listen on ldapi?' }],
  EACCES: ['this account may not open its socket', { retry: 'operator' }],
  ERR_TLS_CERT_ALTNAME_INVALID: ['its certificate is for another name', { retry: 'operator', hint: wrongName }],
  CERT_HAS_EXPIRED: ['its certificate has expired', { retry: 'operator' }],
  CERT_NOT_YET_VALID: ['its certificate is not valid yet', { retry: 'operator', hint: 'Look at the clock here.' }],
  ERR_SSL_WRONG_VERSION_NUMBER: ['it does not speak TLS there', { retry: 'operator', hint: wrongTls }],
  EPROTO: ['it does not speak TLS as this side does', { retry: 'operator', hint: wrongTls }],
};
for (const code of [
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
]) {
  const details: ErrorDetails = { retry: 'operator', hint: wrongAuthority };
  table[code] = ['its certificate is by an authority that is not known here', details];
}

function unreachable(server: LdapServer, cause: Error): DirpostError {
  // Of several addresses of one name all failed: the first says why.
  const first = cause instanceof AggregateError ? (cause.errors[0] as Error) : cause;
  const { code = '' } = first as NodeJS.ErrnoException;
  const [explanation, details] = table[code] ?? [first.message, {}];
  return new DirpostError('directory-failed', `${shownServer(server)} could not be reached: ${explanation}.`, {
    retry: 'later',
    ...details,
    context: { server: shownServer(server), reason: code },
    cause,
  });
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code, message, retry, hint = FILE_HINT, context } = fileError(error, `read ${path}`);
    throw new DirpostError(code, message, { retry, hint, context, cause: error });
  }
}
