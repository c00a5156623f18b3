/** Why the server does not do what it was asked, as a value: the answer on the wire, and what the agent counts. */

/**
 * `unknown-sender`: not a postoffice that may post here, or the request was not signed by its key; the checker does not
 * tell which. `bad-signature`: of a message file. `wrong-sender`: a message file of somebody else.
 */
export type RefusalReason =
  | 'unknown-sender'
  | 'bad-signature'
  | 'wrong-sender'
  | 'not-a-message'
  | 'replayed'
  | 'too-large'
  | 'too-many'
  | 'bad-request'
  // Not counted: the course of things.
  | 'nonce'
  | 'offset'
  | 'busy'
  | 'not-collected'
  | 'other-incarnation'
  | 'closing'
  | 'not-here';

const EXPECTED: ReadonlySet<RefusalReason> = new Set([
  'nonce',
  'offset',
  'busy',
  'not-collected',
  'other-incarnation',
  'closing',
  'not-here',
]);

export interface Refusal {
  status: number;
  why: RefusalReason;
  retryAfterS?: number;
  uploadOffset?: number;
  /** Nothing more of this connection is read. */
  ends?: boolean;
}

/** Whether somebody did what he must not. */
export function isOffence({ why }: Refusal): boolean {
  return !EXPECTED.has(why);
}

export const unknownSender: Refusal = { status: 403, why: 'unknown-sender', ends: true };
export const badRequest: Refusal = { status: 400, why: 'bad-request', ends: true };
export const tooLarge: Refusal = { status: 413, why: 'too-large', ends: true };
