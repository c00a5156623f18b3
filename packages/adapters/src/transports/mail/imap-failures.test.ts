import { isDirpostError } from '@dirpost/core';
import { expect, it } from 'vitest';
import { imapFailure, isLoginRefused, isPassing, retryAfterMsOf } from './imap-failures.ts';
import { profileOf } from './profiles.ts';

const server = {
  endpoint: { host: 'imap.one.test', port: 993, tls: 'implicit' as const },
  profile: profileOf('microsoft365'),
};
const failure = (fields: object, doing?: string) =>
  imapFailure(Object.assign(new Error('Command failed'), fields), server, doing);

it.each([
  [{ code: 'ECONNREFUSED' }, 'later', /nothing listens there/],
  [{ code: 'ENOTFOUND' }, 'later', /name is not known/],
  [{ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }, 'operator', /signed by itself/],
  [{ code: 'ERR_TLS_CERT_ALTNAME_INVALID' }, 'operator', /for another name/],
  [{ code: 'GREETING_TIMEOUT' }, 'operator', /does not greet/],
  [{ code: 'ETIMEOUT' }, 'later', /does not answer/],
  [{ tlsFailed: true }, 'operator', /does not do STARTTLS/],
  [{ tlsFailed: true, code: 'CERT_HAS_EXPIRED' }, 'operator', /has expired/],
  [
    { authenticationFailed: true, serverResponseCode: 'AUTHENTICATIONFAILED', response: 'nope' },
    'operator',
    /refuses the login.*"nope"/,
  ],
  [
    { authenticationFailed: true, serverResponseCode: 'UNAVAILABLE', response: 'LDAP is down' },
    'later',
    /no login just now/,
  ],
  [{ responseStatus: 'NO', mailboxMissing: true }, 'operator', /no such folder/],
  [{ responseStatus: 'NO', responseText: 'Mailbox is corrupt' }, 'later', /Mailbox is corrupt/],
] as const)('%j is told in words, with what helps', (fields, retry, words) => {
  const error = failure(fields);
  expect(isDirpostError(error, 'transport-failed')).toBe(true);
  expect(error.retry).toBe(retry);
  expect(error.message).toMatch(words);
  expect(error.message).toContain('imap.one.test:993');
});

it('a pause that the server asks for is told as a time', () => {
  const exchange = failure({
    responseStatus: 'BAD',
    responseText: 'Request is throttled. Suggested Backoff Time: 92415 milliseconds',
  });
  expect(retryAfterMsOf(exchange)).toBe(92_415);
  expect(retryAfterMsOf(failure({ code: 'ETHROTTLE', throttleReset: 5_000 }))).toBe(5_000);
  expect(retryAfterMsOf(failure({ code: 'ECONNRESET' }))).toBeUndefined();
});

it('only a cut connection is worth another try at once, and only a refused login a new token', () => {
  expect(isPassing(failure({ code: 'ECONNRESET' }))).toBe(true);
  expect(isPassing(failure({ code: 'ECONNREFUSED' }))).toBe(false);
  expect(isLoginRefused(failure({ authenticationFailed: true }))).toBe(true);
  expect(isLoginRefused(failure({ authenticationFailed: true, serverResponseCode: 'UNAVAILABLE' }))).toBe(false);
});

it('what a server repeats of a login is not shown', () => {
  const token = Buffer.from('user=a\x01auth=Bearer abcdefghijklmnopqrstuvwxyz\x01\x01').toString('base64');
  const error = failure({ authenticationFailed: true, response: `Bad command: AUTHENTICATE XOAUTH2 ${token}` });
  expect(JSON.stringify([error, error.message, error.cause])).not.toContain(token);
});
