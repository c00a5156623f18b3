import { describe, expect, it } from 'vitest';
import { profileOf } from './profiles.ts';
import { type Attempt, smtpFailure } from './smtp-failures.ts';

const attempt: Attempt = {
  server: 'mx.example:587',
  profile: profileOf('microsoft365'),
  step: 'send',
  user: 'oslo',
  recipient: 'dirpost@hq.example',
  secrets: ['aHVudGVyMg==', 'hunter2'],
};
const refused = (response: string, more: Partial<Attempt> = {}) =>
  smtpFailure(Object.assign(new Error('x'), { response, command: 'RCPT TO' }), { ...attempt, ...more });

describe('failures of SMTP', () => {
  it.each([
    ['550 5.1.1 unknown', 'operator', {}],
    ['550 no', 'operator', { status: null, reply: 550 }],
    ['503 5.5.1 bad sequence', 'operator', {}],
    ['552 5.3.4 too large', 'never', { isTooLarge: true }],
    ['523 too large', 'never', { isTooLarge: true }],
    ['554 5.2.3 too large', 'never', { isTooLarge: true }],
    ['552 5.2.2 quota', 'later', { isTooLarge: false }],
    ['451 4.7.1 Greylisting in action, please come back later', 'later', { isSlowDown: false, retryAfterS: 300 }],
    ['450 4.2.1 receiving mail too quickly', 'later', { isSlowDown: false }],
    ['432 4.3.2 Concurrent connections limit exceeded', 'later', { isSlowDown: true }],
    ['452 4.3.1 Insufficient system resources', 'later', { isSlowDown: true }],
    ['451 4.3.2 Server busy. Please try again later.', 'later', { isSlowDown: true }],
    ['421 4.7.0 try again in 5 minutes', 'later', { isSlowDown: true, retryAfterS: 300 }],
    ['554 5.2.0 SubmissionQuotaExceededException; sender', 'later', { isSlowDown: true, retryAfterS: 3_600 }],
  ] as const)('%s', (response, retry, context) => {
    expect(refused(response)).toMatchObject({ code: 'transport-failed', retry, context });
  });

  it('of several lines one is made, and its codes said once', () => {
    expect(refused('550-5.1.1 The account\n550-5.1.1 does not exist.\n550 5.1.1 Sorry').message).toBe(
      'The mail server mx.example:587 did not take the mail to dirpost@hq.example: "550 5.1.1 The account does not exist. Sorry".',
    );
  });

  it('a secret that the server repeats is blanked out, and the error of the driver is not handed on', () => {
    const error = refused('502 5.5.2 unknown: AUTH PLAIN aHVudGVyMg== hunter2 AUTH LOGIN c2VjcmV0', { step: 'login' });
    expect(error.message).toContain('"502 5.5.2 unknown: AUTH PLAIN ... ... AUTH LOGIN ..."');
    expect(error.cause).toBeUndefined();
  });

  it('a login that is refused for now locks nobody out', () => {
    expect(refused('454 4.7.0 Temporary authentication failure', { step: 'login' })).toMatchObject({ retry: 'later' });
    const final = refused('535 5.7.139 Authentication unsuccessful', { step: 'login' });
    expect(final).toMatchObject({ retry: 'operator', context: { isLoginRefused: true } });
    expect(final.hint).toContain('SmtpClientAuthenticationDisabled');
  });

  it('what is not known is told in its own words', () => {
    expect(smtpFailure(new Error('strange'), attempt).message).toBe(
      'The mail to dirpost@hq.example did not reach the mail server mx.example:587: strange.',
    );
  });
});
