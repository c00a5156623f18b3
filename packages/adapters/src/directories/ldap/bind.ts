/**
 * Who we are to the server (RFC 4513): simple bind, SASL EXTERNAL, SCRAM, GSSAPI. A password is sent by simple bind only where
 * nobody reads along, and an empty one never: a server takes it for an anonymous bind that succeeds (RFC 4513 §5.1.2).
 */
import { DirpostError } from '@dirpost/core';
import { gssapi } from './gssapi.ts';
import type { LdapBind } from './options.ts';
import type { LdapResult } from './responses.ts';
import { INVALID_CREDENTIALS, mayPass, resultName, SUCCESS } from './results.ts';
import { scram } from './scram.ts';
import type { Session } from './session.ts';

export interface BindContext {
  /** Name of the server, for Kerberos. */
  host: string;
  /** TLS, ldapi or loopback: a password may be sent. */
  isPrivate: boolean;
  signal: AbortSignal;
}

/** Throws DirpostError `directory-failed`: `operator` where the server does not take what is configured. */
export async function bind(session: Session, how: LdapBind, context: BindContext): Promise<void> {
  const { signal } = context;
  const result = await attempt(session, how, context);
  if (signal.aborted) throw new DirpostError('interrupted', 'Interrupted.', { retry: 'later' });
  if (result !== null && result.code !== SUCCESS) throw refusedBind(session, how, result);
}

/** null: there was nothing to ask. */
async function attempt(session: Session, how: LdapBind, context: BindContext): Promise<LdapResult | null> {
  const { signal } = context;
  switch (how.method) {
    case 'anonymous':
      return null;
    case 'simple': {
      const password = await usablePassword(how.dn, how.password);
      if (!context.isPrivate) {
        throw new DirpostError(
          'config-invalid',
          `The password of ${how.dn} would go to ${session.server} in the clear.`,
          {
            retry: 'operator',
            hint: 'Use ldaps or starttls.',
          },
        );
      }
      return session.request({ type: 'simple-bind', dn: how.dn, password }, { signal });
    }
    case 'external':
      return session.request({ type: 'sasl-bind', mechanism: 'EXTERNAL', credentials: Buffer.alloc(0) }, { signal });
    case 'scram':
      return scram(session, how, signal);
    case 'gssapi':
      return gssapi(session, how, context);
  }
}

/** Throws DirpostError `config-invalid` where it is empty. */
export async function usablePassword(who: string, read: () => Promise<string>): Promise<string> {
  const password = await read();
  if (password !== '') return password;
  throw new DirpostError('config-invalid', `The password of ${who} is empty.`, {
    retry: 'operator',
    hint: 'Put the password into the file that the configuration names.',
  });
}

/** Of an error of `bind`: the server answered, and does not let this account in. */
export function isRefusedLogin({ retry, context }: DirpostError): boolean {
  return retry === 'operator' && typeof context['code'] === 'number';
}

export function whoBinds(how: LdapBind): string {
  switch (how.method) {
    case 'anonymous':
      return 'nobody (anonymous)';
    case 'simple':
      return how.dn;
    case 'external':
      return 'the certificate or account of this process (EXTERNAL)';
    case 'scram':
      return how.user;
    case 'gssapi':
      return how.principal;
  }
}

function refusedBind(session: Session, how: LdapBind, { code, message }: LdapResult): DirpostError {
  const words = message === '' ? '' : `: ${message.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ').slice(0, 300)}`;
  return new DirpostError(
    'directory-failed',
    `${session.server} does not let ${whoBinds(how)} in: ${resultName(code)}${words}.`,
    {
      retry: mayPass(code) ? 'later' : 'operator',
      hint:
        code === INVALID_CREDENTIALS
          ? 'Look at the name and the password; a locked or expired account is answered in the same way.'
          : 'See which kinds of login the server allows; many want TLS first.',
      context: { server: session.server, code },
    },
  );
}
