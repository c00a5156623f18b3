/**
 * How the mail transport proves to a mail server who it is: a password, or an access token for XOAUTH2 or OAUTHBEARER
 * (RFC 7628). A token is kept until shortly before its end; a password is read each time. One login may serve submission
 * and mailbox at once.
 */
import { checkTokenLogin, newToken, type TokenDeps, type TokenLogin } from './oauth.ts';
import type { LoginOptions } from './options.ts';
import { readSecret } from './secret.ts';
import { type CommandLimits, defaultCommandLimits } from './secret-command.ts';
import type { Token } from './token-request.ts';

/** A token is not used any more this long before its end: it has to reach the mail server, whose clock may differ. */
const MARGIN_MS = 60_000;
/** Where nobody says how long a token is good for. */
const UNTOLD_LIFETIME_MS = 300_000;
const ANSWER_MS = 30_000;

/** Exactly one of `password` and `token` is there. Both throw DirpostError `transport-failed`, never with a secret in it. */
export interface Login {
  /** As the mail server knows it, most often the mail address. */
  user: string;
  password?(): Promise<string>;
  /**
   * `renew`: the mail server refused the one before, so that a new one is asked for whatever its time. Calls at the same
   * time share one request.
   */
  token?(renew: boolean): Promise<string>;
}

export interface LoginDeps {
  /** Unix time in milliseconds. */
  nowMs?: () => number;
  /** PEM file of a private authority, trusted besides the public ones when a token is asked for. */
  ca?: string | undefined;
  /** For the whole of one token request. */
  answerMs?: number;
  /** Of programs that print a secret or a token. */
  command?: Partial<CommandLimits>;
}

/** Reads nothing yet. Throws DirpostError `config-invalid`. */
export function openLogin(options: LoginOptions, deps: LoginDeps = {}): Login {
  const { nowMs = Date.now, ca, answerMs = ANSWER_MS } = deps;
  const command = { ...defaultCommandLimits, ...deps.command };
  const { user } = options;
  if (options.method === 'password') {
    return { user, password: () => readSecret(options.password, `the password of ${user}`, command) };
  }
  checkTokenLogin(options);
  const keeper = new TokenKeeper(options, { nowMs, ca, answerMs, command });
  return { user, token: (renew) => keeper.token(renew) };
}

class TokenKeeper {
  readonly #login: TokenLogin;
  readonly #deps: TokenDeps;
  #kept: { value: string; sinceMs: number; untilMs: number } | undefined;
  #asked: Promise<string> | undefined;

  constructor(login: TokenLogin, deps: TokenDeps) {
    this.#login = login;
    this.#deps = deps;
  }

  async token(renew: boolean): Promise<string> {
    // One that is under way is newer than any that a mail server can have refused.
    if (this.#asked !== undefined) return await this.#asked;
    const now = this.#deps.nowMs();
    // A clock that went back tells nothing about the age of the token.
    if (!renew && this.#kept !== undefined && now >= this.#kept.sinceMs && now < this.#kept.untilMs) {
      return this.#kept.value;
    }
    this.#kept = undefined;
    this.#asked = this.#ask().finally(() => {
      this.#asked = undefined;
    });
    return await this.#asked;
  }

  async #ask(): Promise<string> {
    // Before the request: the time that it takes belongs to the life of the token.
    const sinceMs = this.#deps.nowMs();
    const { value, lifetimeMs }: Token = await newToken(this.#login, this.#deps);
    this.#kept = { value, sinceMs, untilMs: sinceMs + (lifetimeMs ?? UNTOLD_LIFETIME_MS) - MARGIN_MS };
    return value;
  }
}
