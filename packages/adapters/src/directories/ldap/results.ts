/** LDAP result codes (RFC 4511 §4.1.9 and appendix A), their names, and which of them may pass by themselves. */

const names: Record<number, string> = {
  0: 'success',
  1: 'operationsError',
  2: 'protocolError',
  3: 'timeLimitExceeded',
  4: 'sizeLimitExceeded',
  5: 'compareFalse',
  6: 'compareTrue',
  7: 'authMethodNotSupported',
  8: 'strongerAuthRequired',
  10: 'referral',
  11: 'adminLimitExceeded',
  12: 'unavailableCriticalExtension',
  13: 'confidentialityRequired',
  14: 'saslBindInProgress',
  16: 'noSuchAttribute',
  17: 'undefinedAttributeType',
  18: 'inappropriateMatching',
  19: 'constraintViolation',
  20: 'attributeOrValueExists',
  21: 'invalidAttributeSyntax',
  32: 'noSuchObject',
  33: 'aliasProblem',
  34: 'invalidDNSyntax',
  36: 'aliasDereferencingProblem',
  48: 'inappropriateAuthentication',
  49: 'invalidCredentials',
  50: 'insufficientAccessRights',
  51: 'busy',
  52: 'unavailable',
  53: 'unwillingToPerform',
  54: 'loopDetect',
  64: 'namingViolation',
  65: 'objectClassViolation',
  66: 'notAllowedOnNonLeaf',
  67: 'notAllowedOnRDN',
  68: 'entryAlreadyExists',
  69: 'objectClassModsProhibited',
  71: 'affectsMultipleDSAs',
  80: 'other',
  // RFC 3909, RFC 4370, RFC 4533, RFC 4528, RFC 5805
  118: 'canceled',
  119: 'noSuchOperation',
  120: 'tooLate',
  121: 'cannotCancel',
  122: 'assertionFailed',
  123: 'authorizationDenied',
  4096: 'e-syncRefreshRequired',
  4112: 'assertionFailed',
  16654: 'noOperation',
};

export const SUCCESS = 0;
export const TIME_LIMIT_EXCEEDED = 3;
export const SIZE_LIMIT_EXCEEDED = 4;
export const REFERRAL = 10;
export const ADMIN_LIMIT_EXCEEDED = 11;
export const SASL_BIND_IN_PROGRESS = 14;
export const CONSTRAINT_VIOLATION = 19;
export const NO_SUCH_OBJECT = 32;
export const INVALID_DN_SYNTAX = 34;
export const INVALID_CREDENTIALS = 49;
export const INSUFFICIENT_ACCESS_RIGHTS = 50;
export const BUSY = 51;
export const UNAVAILABLE = 52;
export const UNWILLING_TO_PERFORM = 53;
export const ENTRY_ALREADY_EXISTS = 68;
/** OpenLDAP: it would have been done, but for the control that says not to. */
export const NO_OPERATION = 16654;
/** RFC 4533 §3: the cookie is too old, or of another server. */
export const SYNC_REFRESH_REQUIRED = 4096;

/** `entryAlreadyExists (68)`; an unknown code keeps its number. */
export function resultName(code: number): string {
  return `${names[code] ?? 'unknown result'} (${code})`;
}

/** The word alone, for machines and for what goes up to the owner of an entry. */
export function resultWord(code: number): string {
  return names[code] ?? `ldap-${code}`;
}

/** The same request may succeed later although nobody mends anything. */
export function mayPass(code: number): boolean {
  return code === BUSY || code === UNAVAILABLE || code === TIME_LIMIT_EXCEEDED || code === 1;
}
