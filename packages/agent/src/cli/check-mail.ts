/**
 * `dirpost check`, of the mail transport: logs in for submission and at the mailbox, and tells what they offer; whether the
 * others can be addressed; whether secrets are for dirpost alone; and what an administrator of mail has to allow.
 */
import { type MailboxFacts, profileOf, secretFilesOf, type SubmissionFacts } from '@dirpost/adapters';
import { DirpostError } from '@dirpost/core';
import type { PrivateKeys } from '@dirpost/message';
import type { Configuration } from '../config/load.ts';
import type { MailConfiguration } from '../config/mail.ts';
import { counted } from '../events.ts';
import { mailAddressOf, openMail } from '../open-mail.ts';
import { Invitations } from '../joining/invitations.ts';
import { Peers } from '../peers.ts';
import type { Finding } from './findings.ts';
import { secretFindings } from './check-secrets.ts';
import { bytes } from './screen.ts';

const LOOK_WITHIN_MS = 60_000;
const MAX_CLOCK_DIFFERENCE_MS = 300_000;
const QUOTA_WARNING = 0.9;
/** Below it an exchange of a large office becomes very many mails. */
const SMALL_PART_BYTES = 262_144;
const what = 'mail';

export async function checkMail(
  configuration: Configuration,
  mail: MailConfiguration,
  keys: PrivateKeys | null,
  signal: AbortSignal,
): Promise<Finding[]> {
  const joining = await joiningOf(configuration);
  const found = [...(await secretFindings(what, secretFiles(mail))), ...checkAddresses(configuration, mail, joining)];
  // Without keys nothing works, as is told elsewhere.
  if (keys === null) return found;
  const problems: Finding[] = [];
  const onProblem = (problem: DirpostError) => problems.push(warning(problem.message, problem.hint));
  try {
    const transport = openMail(configuration, mail, { keys, joining, onProblem, onBounce: async () => {} });
    try {
      const looks = [
        async (until: AbortSignal) =>
          describeSubmission(mail, await transport.lookAtSubmission(until), () => transport.maxMessageBytes),
        async (until: AbortSignal) => describeMailbox(mail, await transport.lookAtMailbox(until)),
      ];
      for (const look of looks) found.push(...(await tried(look, signal)));
    } finally {
      await transport.close();
    }
  } catch (error) {
    found.push(faultOf(error, signal));
  }
  return withoutRepeats([...found, ...problems]);
}

/** What is wrong for submission and mailbox alike is told once, and so is a file that is missing. */
function withoutRepeats(findings: Finding[]): Finding[] {
  const told = new Set<string>();
  const isMissing = ({ text }: Finding) => text.endsWith(' is not there');
  const missing = findings.filter(isMissing).map(({ text }) => text.slice(0, text.lastIndexOf(' is not there')));
  return findings.filter(({ text }) => {
    const isNew = !told.has(text) && !missing.some((file) => text.startsWith(`Cannot read ${file}:`));
    told.add(text);
    return isNew;
  });
}

/** Each has a time of its own: one that hangs says nothing of the other. */
async function tried(look: (until: AbortSignal) => Promise<Finding[]>, signal: AbortSignal): Promise<Finding[]> {
  try {
    return await look(AbortSignal.any([signal, AbortSignal.timeout(LOOK_WITHIN_MS)]));
  } catch (error) {
    return [faultOf(error, signal)];
  }
}

function faultOf(error: unknown, signal: AbortSignal): Finding {
  if (signal.aborted) throw error;
  if (error instanceof DirpostError) return fault(error.message, error.hint);
  if (error instanceof DOMException && error.name === 'TimeoutError') {
    return fault(
      'the mail server does not answer',
      'Are host, port and tls right, and does a firewall let it through?',
    );
  }
  throw error;
}

async function joiningOf({ dataFolder }: Configuration) {
  return {
    peers: await Peers.load(dataFolder),
    invitations: await Invitations.load(dataFolder),
    applicants: new Map(),
  };
}

function describeSubmission(
  { submission, login, maxMessageBytes }: MailConfiguration,
  { tls, maxMailBytes, greeting }: SubmissionFacts,
  takenBytes: () => number,
): Finding[] {
  const who = login.submission === null ? 'takes mails without a login' : `takes mails of ${login.submission.user}`;
  const size = maxMailBytes === null ? 'no SIZE' : `SIZE ${bytes(maxMailBytes)}`;
  const text = `submission: ${submission.host}:${submission.port} ${who}; ${tls ?? 'no TLS'}, ${size}`;
  const found: Finding[] = [{ what, result: 'ok', text }];
  found.push(...describeClock(clockDifferenceMs(greeting, Date.now()), submission.host));
  const most = takenBytes();
  if (most < maxMessageBytes) {
    const told = `message files of at most ${bytes(most)} pass there, and not of ${bytes(maxMessageBytes)}; they are made so small by themselves`;
    found.push(
      most < SMALL_PART_BYTES
        ? warning(told, 'Let larger mails pass there (SIZE), or many parts have to travel.')
        : { what, result: 'ok', text: told },
    );
  }
  return found;
}

function describeMailbox({ mailbox, login }: MailConfiguration, facts: MailboxFacts): Finding[] {
  const { tls, capabilities, folders, hasProcessed, hasIdle, hasMove, waiting } = facts;
  const able = [hasIdle && 'IDLE', hasMove && 'MOVE', has(capabilities, 'UIDPLUS') && 'UIDPLUS'].filter(Boolean);
  const offers = able.length === 0 ? 'none of IDLE, MOVE, UIDPLUS' : able.join(', ');
  const found: Finding[] = [
    {
      what,
      result: 'ok',
      text: `mailbox: ${mailbox.host}:${mailbox.port} lets ${login.mailbox.user} in; ${tls ?? 'no TLS'}, ${offers}`,
    },
    {
      what,
      result: 'ok',
      text: `folders: ${folders.inbox} (${counted(waiting, 'mail')}), ${folders.processed} (${hasProcessed ? 'is there' : 'made when it is first needed'}), junk: ${folders.junk ?? 'none'}`,
    },
  ];
  if (!hasIdle) {
    found.push(
      warning(
        'the mailbox has no IDLE: it is asked for new mail every schedule.poll',
        'Nothing, if that is soon enough.',
      ),
    );
  }
  if (!hasMove && !has(capabilities, 'UIDPLUS')) {
    found.push(
      warning(
        'the mailbox has neither MOVE nor UIDPLUS: what others marked as deleted there goes, too, when a mail is moved',
        'Let nobody else work in this mailbox.',
      ),
    );
  }
  return [...found, ...describeQuota(facts)];
}

function describeClock(differenceMs: number | null, whose: string): Finding[] {
  if (differenceMs === null || Math.abs(differenceMs) <= MAX_CLOCK_DIFFERENCE_MS) return [];
  const minutes = Math.round(Math.abs(differenceMs) / 60_000);
  const text = `the clock of ${whose} is ${minutes} minutes ${differenceMs > 0 ? 'ahead of' : 'behind'} the one of this machine`;
  return [warning(text, 'Set the clock that is wrong; tokens and invitations depend on it.')];
}

/** Many servers greet with the date (RFC 5322 §3.3): the difference to the own clock, milliseconds; null: this one does not. */
export function clockDifferenceMs(greeting: string, nowMs: number): number | null {
  const found =
    /\b\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d{2}:\d{2}:\d{2} [+-]\d{4}\b/.exec(greeting);
  const thereMs = found === null ? Number.NaN : Date.parse(found[0]);
  return Number.isNaN(thereMs) ? null : thereMs - nowMs;
}

function describeQuota({ quota }: MailboxFacts): Finding[] {
  if (quota === null || quota.limit === 0) return [];
  const text = `quota: ${bytes(quota.used)} of ${bytes(quota.limit)} are used`;
  if (quota.used < quota.limit * QUOTA_WARNING) return [{ what, result: 'ok', text }];
  return [
    warning(text, 'Make room there: a full mailbox refuses message files. keepProcessed says how long old ones stay.'),
  ];
}

function has(capabilities: string[], name: string): boolean {
  return capabilities.some((one) => one.toUpperCase() === name);
}

function checkAddresses(
  { role, server, transports }: Configuration,
  mail: MailConfiguration,
  joining: Parameters<typeof mailAddressOf>[1],
): Finding[] {
  const names = role === 'requestor' ? [server] : joining.peers.all().map(({ name }) => name);
  const lacking = names.filter((name) => mailAddressOf(mail, joining, name) === null);
  if (lacking.length === 0) return [];
  const known = `no mail address is known of ${lacking.slice(0, 10).join(', ')}${lacking.length > 10 ? ' …' : ''}`;
  const isOnly = transports.http === undefined && transports.folder === undefined;
  if (!isOnly) return [{ what, result: 'ok', text: `${known}; other transports lead there` }];
  return [
    fault(
      known,
      `Name it under transports.mail.peers, such as { ${lacking[0]!}: dirpost@${lacking[0]!}.example.org }.`,
    ),
  ];
}

function secretFiles({ login }: MailConfiguration): string[] {
  return [login.submission, login.mailbox].flatMap((one) => (one === null ? [] : secretFilesOf(one)));
}

/** What somebody has to allow, a sentence or a command each. */
export async function mailRules(configuration: Configuration, mail: MailConfiguration): Promise<string[]> {
  const joining = await joiningOf(configuration);
  const names =
    configuration.role === 'requestor' ? [configuration.server] : joining.peers.all().map(({ name }) => name);
  const others = names.flatMap((name) => mailAddressOf(mail, joining, name) ?? []);
  const senders = [...new Set(others)].sort();
  const extension = /\.[\w-]+$/.exec(mail.attachment.name)?.[0] ?? mail.attachment.name;
  const rules = [
    ...profileOf(mail.profile).requirements,
    `Automatic mail (Auto-Submitted: auto-generated) passes, in both directions.`,
    `Attachments ${extension} of type ${mail.attachment.type} pass the mail filters here and there; where they cannot, another name, type or the armoured form is configured (transports.mail.attachment).`,
  ];
  if (senders.length === 0) return rules;
  const shown = senders.slice(0, 20);
  if (mail.profile === 'microsoft365') {
    rules.push(
      `Exchange Online: New-TransportRule -Name dirpost -Priority 0 -StopRuleProcessing $true -SetSCL -1 -SentTo ${mail.address} -FromAddressContainsWords ${shown.map((address) => `'${address}'`).join(',')}`,
    );
  }
  if (mail.profile === 'generic') {
    rules.push(
      `rspamd, local.d/multimap.conf: DIRPOST { type = "from"; filter = "email:addr"; map = "/etc/rspamd/local.d/dirpost.map"; score = -10; }  and in that map, a line each: ${shown.join(' ')}`,
    );
  }
  return rules;
}

function warning(text: string, mend: string | undefined): Finding {
  return { what, result: 'warning', text, ...(mend === undefined ? {} : { mend }) };
}

function fault(text: string, mend: string | undefined): Finding {
  return { what, result: 'fault', text, ...(mend === undefined ? {} : { mend }) };
}
