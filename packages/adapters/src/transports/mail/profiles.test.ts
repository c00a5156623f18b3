import { describe, expect, it } from 'vitest';
import { profileBackoff, profileOf } from './profiles.ts';

const MINUTE_MS = 60_000;
const [generic, microsoft365, google] = (['generic', 'microsoft365', 'google'] as const).map(profileOf);

describe('a server that says how long', () => {
  it.each([
    ['Request is throttled. Suggested Backoff Time: 299944 milliseconds', 299_944],
    ['BAD Request is throttled.\r\n Suggested Backoff Time: 89117 milliseconds\r\n', 89_117],
    ['451 4.7.1 Greylisting in action, please come back in 5 minutes', 5 * MINUTE_MS],
    ['450 4.2.0 <a@example.org>: Recipient address rejected: Greylisted for 300 seconds', 300_000],
    ['421 4.7.0 Too much. Try again in 90 s', 90_000],
    ['451 4.3.0 Please retry after 2 hours', 120 * MINUTE_MS],
  ])('is obeyed: %j', (text, expected) => {
    for (const profile of [generic!, microsoft365!, google!]) expect(profileBackoff(profile, text)).toBe(expected);
  });

  it.each([
    [0, 1_000],
    [86_400_001, 86_400_000],
    [999_999_999_999, 86_400_000],
  ])('is obeyed between a second and a day: %s ms', (asked, expected) => {
    const text = `NO Request is throttled. Suggested Backoff Time: ${asked} milliseconds`;
    expect(profileBackoff(microsoft365!, text)).toBe(expected);
  });
});

describe('a server that says "slow down"', () => {
  it.each([
    ['432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending', 1],
    ['432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded', 1],
    ['421 4.4.2 Message submission rate for this client has exceeded the configured limit', 2],
    ['NO Server Busy. Please retry later.', 5],
    ['NO Request is throttled.', 5],
    ['BAD User is authenticated but not connected.', 5],
    ['554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message', 60],
    ["550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients", 60],
    ['421 4.3.2 Service not available', 2],
  ])('as Exchange does is left alone: %j (%s min)', (text, minutes) => {
    expect(profileBackoff(microsoft365!, text)).toBe(minutes * MINUTE_MS);
  });

  it.each([
    ['NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)', 60],
    ['OVERQUOTA Mailbox', 60],
    ['Account exceeded command or bandwidth limits.', 60],
    ['NO [ALERT] Too many simultaneous connections. (Failure)', 5],
    ['421 4.7.0 Try again later, closing connection. abc - gsmtp', 5],
    ['421-4.7.0 Temporary System Problem.\r\n421 4.7.0 Try again later. abc - gsmtp', 5],
    ['454 4.7.0 Too many login attempts, please try again later. abc - gsmtp', 30],
    ['550 5.4.5 Daily user sending limit exceeded. abc - gsmtp', 60],
    ['450 4.2.1 The user you are trying to contact is receiving mail too quickly.', 10],
  ])('as Google does is left alone: %j (%s min)', (text, minutes) => {
    expect(profileBackoff(google!, text)).toBe(minutes * MINUTE_MS);
  });

  it.each([
    ['NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)', 2],
    ['421 too many concurrent connections from your host', 2],
    ['451 4.7.1 Greylisted, see http://greylist.example.org', 5],
    ['450 4.7.1 Error: too many messages from this client', 10],
    ['451 4.7.1 Ratelimit exceeded: rate limit', 10],
    ['NO [INUSE] Mailbox is locked', 1],
    ['INUSE Mailbox is locked', 1],
    ['450 4.3.2 try again later', 2],
    ['452 please try again later', 5],
  ])('as others do is left alone: %j (%s min)', (text, minutes) => {
    expect(profileBackoff(generic!, text)).toBe(minutes * MINUTE_MS);
  });

  it.each([
    '550 5.1.1 No such user',
    '550 5.7.1 Rate limit for senders like you: never. Do not try again later.',
    '552 5.3.4 Message size exceeds fixed maximum message size',
    '535 5.7.139 Authentication unsuccessful, try again in 5 minutes',
    'NO [AUTHENTICATIONFAILED] Invalid credentials',
    'NO [OVERQUOTA] Mailbox is full',
    '452 4.2.2 Mailbox full',
    '',
    `${'. '.repeat(2_000)}server busy`,
  ])('is not meant by %j', (text) => {
    expect(profileBackoff(generic!, text)).toBeNull();
  });
});

it('a profile fits its provider', () => {
  expect([generic!, microsoft365!, google!].map(({ name }) => name)).toEqual(['generic', 'microsoft365', 'google']);
  expect(microsoft365).toMatchObject({ mailsPerMinute: 30, connections: 3, sentIsAutomatic: true });
  expect(google).toMatchObject({ connections: 3, folders: { deleteIn: '\\Trash' } });
  expect(generic).toMatchObject({ mailsPerMinute: null, submission: null, mailbox: null, sentIsAutomatic: false });
});

it('what an administrator must allow is said in whole sentences', () => {
  for (const { requirements } of [generic!, microsoft365!, google!]) {
    expect(requirements.length).toBeGreaterThan(1);
    for (const one of requirements) expect(one).toMatch(/^[A-Z].*\.$/);
  }
  const microsoft = microsoft365!.requirements.join(' ');
  for (const word of [
    'SMTP.SendAsApp',
    'IMAP.AccessAsApp',
    'New-ServicePrincipal',
    'Add-MailboxPermission',
    'XOAUTH2',
  ]) {
    expect(microsoft).toContain(word);
  }
  expect(google!.requirements.join(' ')).toContain('https://mail.google.com/');
});
