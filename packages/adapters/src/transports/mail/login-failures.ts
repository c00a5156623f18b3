/**
 * Errors of logging in, before the mail server is asked: a secret that cannot be read, a token that is not given. None of
 * them holds a secret, what a program printed, or an answer that was not understood: such an answer may repeat a secret.
 * For the same reason only errors of the file system are handed on as `cause`.
 */
import { DirpostError, type Retry } from '@dirpost/core';

export interface LoginFailureDetails {
  /** Default: `operator`. */
  retry?: Retry;
  hint?: string;
  context?: Record<string, unknown>;
  cause?: unknown;
}

export function loginFailed(message: string, details: LoginFailureDetails = {}): DirpostError {
  return new DirpostError('transport-failed', message, { retry: 'operator', ...details });
}

/** What could not be used for it was written into the configuration like that. */
export function loginInvalid(message: string, hint: string): DirpostError {
  return new DirpostError('config-invalid', message, { retry: 'operator', hint });
}
