/**
 * Login with the password of the directory: the service account finds the entry of a user, and a connection of its own binds
 * as that entry (RFC 4513 §5.1.3). What is wrong with a login is a value; only a directory that does not answer is an error.
 *
 *   user ─▶ entry ─▶ too many failures? ─▶ bind ─▶ accepted, or refused and counted
 *      └─▶ none, or several: bind as nobody that there is, which the server refuses in the same way and time
 *
 * A directory locks an account after so many wrong passwords. Here fewer are let through, so that nobody locks out others
 * by trying passwords here.
 */
import { randomBytes } from 'node:crypto';
import { DirpostError, normalizeDn } from '@dirpost/core';
import { LoginFailures, type LoginLimit } from './login-failures.ts';
import type { LdapOptions } from './options.ts';
import type { LdapResult } from './responses.ts';
import { INVALID_CREDENTIALS, mayPass, resultName, resultWord, SUCCESS } from './results.ts';
import { findEntries } from './root-dse.ts';
import type { LdapServers } from './servers.ts';

export type Login =
  | { result: 'accepted'; dn: string }
  /** `wrong`: user or password, whichever. `not-allowed`: that user is locked or expired, by `code`; not for his eyes. */
  | { result: 'refused'; why: 'wrong' | 'empty' | 'too-long' }
  | { result: 'refused'; why: 'not-allowed'; code: string }
  /** Too many failures; the server was not asked for the password. */
  | { result: 'refused'; why: 'too-many'; retryAfterMs: number };

export interface LoginOptions extends LoginLimit {
  /** By which users call themselves: `uid`, `mail`, `samaccountname`. The first that is there counts. */
  attributes: string[];
}

export const defaultLogins: LoginOptions = { attributes: ['uid'], failures: 4, windowMs: 30 * 60_000 };

const MAX_USER_OCTETS = 256;
const MAX_PASSWORD_OCTETS = 1_024;

export class Authenticator {
  readonly #options: Pick<LdapOptions, 'name' | 'bases'>;
  readonly #logins: LoginOptions;
  readonly #servers: LdapServers;
  readonly #failures: LoginFailures;

  /** `nowMs`: a clock that never goes back. */
  constructor(
    options: Pick<LdapOptions, 'name' | 'bases'>,
    logins: LoginOptions,
    servers: LdapServers,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#options = options;
    this.#logins = logins;
    this.#servers = servers;
    this.#failures = new LoginFailures(logins, nowMs);
  }

  /** Throws DirpostError `directory-failed`; `config-invalid` where the password would travel in the clear. */
  async authenticate(user: string, password: string, signal: AbortSignal): Promise<Login> {
    // RFC 4513 §5.1.2: with an empty password the server lets everybody in, as nobody.
    if (user.trim() === '' || password === '') return { result: 'refused', why: 'empty' };
    if (Buffer.byteLength(user) > MAX_USER_OCTETS || Buffer.byteLength(password) > MAX_PASSWORD_OCTETS) {
      return { result: 'refused', why: 'too-long' };
    }
    const dn = await this.#find(user, signal);
    const key = dn === null ? null : normalizeDn(dn);
    const attempt = this.#failures.begin(key, user);
    if (attempt.retryAfterMs > 0) return { result: 'refused', why: 'too-many', retryAfterMs: attempt.retryAfterMs };
    let result: LdapResult;
    try {
      result = await this.#bind(dn ?? this.#nobody(), password, signal);
    } catch (error) {
      // The server did not say that the password is wrong. Who goes away in the middle has tried all the same.
      if (!signal.aborted) attempt.takeBack();
      throw error;
    }
    if (dn === null) return { result: 'refused', why: 'wrong' };
    if (result.code !== SUCCESS) return refused(result);
    attempt.succeeded();
    return { result: 'accepted', dn };
  }

  /** null: there is no such user, or it is not clear which one is meant. */
  async #find(user: string, signal: AbortSignal): Promise<string | null> {
    const value = Array.from(Buffer.from(user), (octet) => `\\${octet.toString(16).padStart(2, '0')}`).join('');
    const session = await this.#servers.open(signal);
    try {
      for (const attribute of this.#logins.attributes) {
        const dns = new Map<string, string>();
        for (const { dn: base, scope, filter } of this.#options.bases) {
          const request = { base, scope, filter: `(&${filter}(${attribute}=${value}))`, attributes: ['1.1'] };
          for (const { dn } of await findEntries(session, request, { signal })) dns.set(normalizeDn(dn), dn);
        }
        const [first, ...others] = dns.values();
        if (first !== undefined) return others.length === 0 ? first : null;
      }
      return null;
    } finally {
      session.close();
    }
  }

  async #bind(dn: string, password: string, signal: AbortSignal): Promise<LdapResult> {
    const { session, isPrivate } = await this.#servers.connect(signal);
    try {
      if (!isPrivate) {
        const message = `Passwords of users would go to ${session.server} in the clear.`;
        throw new DirpostError('config-invalid', message, { retry: 'operator', hint: 'Use ldaps or starttls.' });
      }
      const result = await session.request({ type: 'simple-bind', dn, password }, { signal });
      if (!mayPass(result.code)) return result;
      const words = `${session.server} could not look at a password just now: ${resultName(result.code)}.`;
      throw new DirpostError('directory-failed', words, { retry: 'later', context: { code: result.code } });
    } finally {
      session.close();
    }
  }

  /** A DN beside those of users, which nobody has. */
  #nobody(): string {
    return `cn=${randomBytes(12).toString('hex')},${this.#options.bases[0]!.dn}`;
  }
}

function refused({ code }: LdapResult): Login {
  if (code === INVALID_CREDENTIALS) return { result: 'refused', why: 'wrong' };
  return { result: 'refused', why: 'not-allowed', code: resultWord(code) };
}
