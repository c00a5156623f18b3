/**
 * The one error class. A code says what went wrong (stable, for programs), `retry` says what helps (the retry decision
 * is data), the message says to a person what happened to what, and `hint` what to do next.
 * Expected outcomes (a refused entry, a conflict, a repeat) are values, not errors.
 */
export type ErrorCode =
  // configuration and use
  | 'config-invalid'
  | 'wrong-use'
  | 'interrupted'
  | 'not-initialized'
  | 'already-initialized'
  | 'peer-unknown'
  | 'peer-invalid'
  // data folder
  | 'locked'
  | 'disk-full'
  | 'store-damaged'
  | 'store-newer'
  | 'store-failed'
  | 'file-missing'
  | 'file-denied'
  | 'file-failed'
  // message files
  | 'message-truncated'
  | 'message-foreign'
  | 'message-version'
  | 'message-critical'
  | 'message-header'
  | 'message-signature'
  | 'message-sender'
  | 'message-recipient'
  | 'message-decrypt'
  | 'message-mismatch'
  | 'message-payload'
  | 'message-too-large'
  // directories
  | 'ldif-syntax'
  | 'ldif-url'
  | 'dn-syntax'
  | 'filter-syntax'
  | 'mapping-invalid'
  | 'directory-incomplete'
  | 'directory-failed'
  // protocol
  | 'digest-mismatch'
  | 'stopped'
  | 'limit-exceeded'
  // transports
  | 'transport-failed';

/** `later`: the same call may succeed; `never`: it will not; `operator`: a person has to do something first. */
export type Retry = 'later' | 'never' | 'operator';

export interface ErrorDetails {
  retry?: Retry;
  hint?: string;
  context?: Record<string, unknown>;
  cause?: unknown;
}

export class DirpostError extends Error {
  override readonly name = 'DirpostError';
  readonly retry: Retry;
  readonly hint: string | undefined;
  readonly context: Record<string, unknown>;

  constructor(
    readonly code: ErrorCode,
    message: string,
    details: ErrorDetails = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.retry = details.retry ?? 'never';
    this.hint = details.hint;
    this.context = details.context ?? {};
  }
}

export function isDirpostError(error: unknown, code?: ErrorCode): error is DirpostError {
  return error instanceof DirpostError && (code === undefined || error.code === code);
}
