/**
 * The part of the configuration about mail: how mails are submitted (SMTP) and collected (IMAP), by which login, and the
 * addresses of the others. What spans several settings is checked in mail-checks.ts; `resolveMail` fills in what the
 * profile and the other settings give.
 */
import type { LoginOptions, MailTransportOptions, Secret } from '@dirpost/adapters';
import { isMailAddress, type PostofficeName } from '@dirpost/core';
import { z } from 'zod';
import { duration, path, postofficeName, size } from './fields.ts';
import { hostOf, mailProfiles, scopeOf, tlsModes, tokenUrlOf } from './mail-defaults.ts';

const HOST_PATTERN =
  /^(?:(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})\.)*[A-Za-z0-9_-]{1,63}\.?|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?)$/;
const NO_CONTROLS = /^[^\p{Cc}]+$/u;
const ENVIRONMENT_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const DEFAULT_MAIL_BYTES = 5_000_000;
const LEAST_MAIL_BYTES = 65_536;

export const mailAddress = z
  .string()
  .refine(isMailAddress, 'must be a mail address such as dirpost@oslo.example.org, without a name or brackets');

export const host = z.string().regex(HOST_PATTERN, 'is not the name of a machine, such as mail.example.org');
const port = z.int('must be a port number').min(1, 'must be a port number').max(65_535, 'must be a port number');
const tls = z.enum(tlsModes);
const program = z
  .array(z.string().min(1, 'must be a word of a command'))
  .min(1, 'must name a program')
  .describe('A program and its arguments, such as [pass, show, dirpost]; no shell.');

/** A secret that stands in the file itself is refused, and never shown. `example`: how its file may be called. */
export const secretOf = (what: string, example = `mail-${what}`) =>
  z
    .preprocess(
      (given, context) => {
        if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given;
        context.addIssue({
          code: 'custom',
          message: `a ${what} does not stand in the configuration: write it into a file that only dirpost may read, and name that file: { file: ${example} }; or { env: NAME }, or { command: [program, argument] }`,
        });
        return z.NEVER;
      },
      z
        .strictObject({
          file: path.optional().describe('File with one line. Read for each login.'),
          env: z
            .string()
            .regex(ENVIRONMENT_NAME, 'must be the name of a variable')
            .optional()
            .describe('Variable of the environment.'),
          command: program.optional().describe('A program that prints it; no shell.'),
        })
        .superRefine((given, context) => exactlyOne(context, given, ['file', 'env', 'command']))
        .transform(({ file, env, command }): Secret => {
          if (file !== undefined) return { file };
          return env !== undefined ? { env } : { command: command ?? [] };
        }),
    )
    .optional();

/** Says of what there must be one, where there is none or several. */
export function exactlyOne<T extends object>(
  context: z.core.$RefinementCtx,
  given: T,
  names: (keyof T & string)[],
): void {
  if (names.filter((name) => given[name] !== undefined).length === 1) return;
  const words = `${names.slice(0, -1).join(', ')} and ${names.at(-1)!}`;
  context.addIssue({ code: 'custom', message: `must have exactly one of ${words}` });
}

const oauth = z
  .strictObject({
    tenant: z
      .string()
      .regex(/^[A-Za-z0-9.-]+$/, 'must be the id or a domain of the tenant')
      .optional()
      .describe('Microsoft 365: id or domain of the tenant; gives `tokenUrl`.'),
    tokenUrl: z
      .url({ protocol: /^https?$/, error: 'must be an address such as https://login.example.org/token' })
      .optional()
      .describe('Where tokens are given; https, but on this machine.'),
    clientId: z.string().regex(NO_CONTROLS, 'must be a text').describe('Of the application that was registered there.'),
    secret: secretOf('secret').describe('Its client secret.'),
    certificate: path.optional().describe('… or the PEM file of its certificate,'),
    key: path.optional().describe('and the PEM file of the private key.'),
    scope: z
      .string()
      .regex(NO_CONTROLS, 'must be a text')
      .optional()
      .describe('What is asked for. Default with `tenant`: `https://outlook.office365.com/.default`.'),
  })
  .superRefine((given, context) => {
    exactlyOne(context, given, ['tenant', 'tokenUrl']);
    exactlyOne(context, given, ['secret', 'certificate']);
    if ((given.certificate === undefined) !== (given.key === undefined)) {
      context.addIssue({ code: 'custom', message: 'certificate and key stand together' });
    }
  })
  .describe('OAuth 2 with client credentials, as Microsoft 365 wants it: the application logs in by itself.');

const serviceAccount = z
  .strictObject({
    keyFile: path.describe('The JSON key of the service account, as Google gives it.'),
    scope: z
      .string()
      .regex(NO_CONTROLS, 'must be a text')
      .default('https://mail.google.com/')
      .describe('What is asked for.'),
  })
  .describe('Google: a service account that acts for the user.');

const login = z
  .strictObject({
    user: z.string().regex(NO_CONTROLS, 'must be a text').optional().describe('Default: the mail address.'),
    password: secretOf('password').describe('Password, or password of an application.'),
    oauth: oauth.optional(),
    serviceAccount: serviceAccount.optional(),
    tokenCommand: program.optional().describe('A program that prints an access token (OAuth 2); no shell.'),
  })
  .superRefine((given, context) => exactlyOne(context, given, ['password', 'oauth', 'serviceAccount', 'tokenCommand']));

const submission = z
  .strictObject({
    host: host.optional().describe('Default: that of the profile, or of `mailbox`.'),
    port: port.optional().describe('Default: 465; with `tls: starttls` 587, with `tls: none` 25.'),
    tls: tls
      .optional()
      .describe(
        '`implicit`: from the first octet. `starttls`: required, never skipped. `none`: on this machine only. Default: by the port.',
      ),
    login: login.optional().describe('Where it is another than for the mailbox.'),
    withoutLogin: z.boolean().default(false).describe('The mail server takes mails of this machine without a login.'),
  })
  .prefault({})
  .describe('SMTP submission: where mails are given to.');

const mailbox = z
  .strictObject({
    host: host.optional().describe('Default: that of the profile, or of `submission`.'),
    port: port.optional().describe('Default: 993; with `tls: starttls` or `none` 143.'),
    tls: tls.optional().describe('As above. Default: by the port.'),
    login: login.optional().describe('Where it is another than for submission.'),
    folder: z.string().regex(NO_CONTROLS, 'must be a folder').default('INBOX').describe('Where message files arrive.'),
    processed: z
      .string()
      .regex(NO_CONTROLS, 'must be a folder')
      .default('dirpost-processed')
      .describe('Where a mail goes whose message file was taken. Made if it is missing.'),
    junk: z
      .union([z.string().regex(NO_CONTROLS), z.literal(false)], 'must be a folder, or false')
      .optional()
      .describe(
        'Folder of junk: read too, and a message file in it is told. false: not read. Default: the one that the server names.',
      ),
    foreign: z
      .string()
      .regex(NO_CONTROLS, 'must be a folder')
      .optional()
      .describe('Mail that is not for dirpost goes there. Default: it stays where it is, untouched.'),
    keepProcessed: duration
      .prefault('14d')
      .describe('Mails in `processed`, and own ones in the folder of sent mail, are deleted after this time.'),
  })
  .prefault({})
  .describe('IMAP: where mails are collected. Several postoffices may share one.');

const attachment = z
  .strictObject({
    name: z
      .string()
      .regex(/^[\w.{}-]{1,100}$/, 'must be a file name of letters, digits, dots, hyphens and {id}')
      .optional()
      .describe('Its file name; `{id}` is the id of the message. Default: `{id}.dpm`, armoured `{id}.txt`.'),
    type: z
      .string()
      .regex(/^[\w.+-]{1,80}\/[\w.+-]{1,80}$/, 'must be a media type such as application/octet-stream')
      .optional()
      .describe('Its media type. Default: `application/octet-stream`, armoured `text/plain`.'),
    armoured: z.boolean().default(false).describe('As text, for filters that let only text pass; a third larger.'),
  })
  .prefault({})
  .describe('How a message file is attached. It is known by its content: the others need not have the same.');

export const mail = z
  .strictObject({
    profile: z
      .enum(mailProfiles)
      .default('generic')
      .describe('What sort of mail server it is: hosts, ports and limits.'),
    address: mailAddress.describe('Own mail address: From and envelope sender, so that bounces come here.'),
    login: login.optional().describe('How to log in, for submission and mailbox.'),
    submission,
    mailbox,
    ca: path.optional().describe('PEM file of the authority that signed their certificates, if it is a private one.'),
    peers: z
      .record(postofficeName, mailAddress)
      .default({})
      .describe('Mail addresses by postoffice. Those that joining told are known; what stands here counts more.'),
    attachment,
    maxMessageBytes: size
      .refine((bytes) => bytes >= LEAST_MAIL_BYTES, 'must be at least 64 KiB')
      .prefault(DEFAULT_MAIL_BYTES)
      .describe('Largest message file; the mail is 37 % larger. What the mail servers say makes it smaller.'),
  })
  .describe('Mail: SMTP out, IMAP in. See mail.md.');

type MailValues = z.output<typeof mail>;
type LoginValues = z.output<typeof login>;

/** Complete, paths absolute. */
export type MailConfiguration = Pick<
  MailTransportOptions,
  'address' | 'profile' | 'submission' | 'mailbox' | 'login' | 'ca' | 'attachment' | 'maxMessageBytes'
> & { peers: Record<PostofficeName, string> };

/** `at` makes a path absolute. The values have passed mail-checks.ts. */
export function resolveMail(given: MailValues, at: (path: string) => string): MailConfiguration {
  const { profile, address, peers, attachment: attached, maxMessageBytes, ca } = given;
  const { folder: inbox, processed, junk, foreign, keepProcessed } = given.mailbox;
  const loginOf = (values: LoginValues | undefined) => values && resolveLogin(values, given, at);
  const shared = loginOf(given.login);
  const mailboxLogin = loginOf(given.mailbox.login) ?? shared;
  if (mailboxLogin === undefined) throw new TypeError('mail-checks.ts lets no mailbox without a login pass');
  const submissionLogin = given.submission.withoutLogin ? null : (loginOf(given.submission.login) ?? shared ?? null);
  return {
    profile,
    address,
    peers,
    maxMessageBytes,
    submission: hostOf('submission', given),
    mailbox: {
      ...hostOf('mailbox', given),
      inbox,
      processed,
      junk: junk ?? null,
      foreign: foreign ?? null,
      keepProcessedMs: keepProcessed,
    },
    login: { submission: submissionLogin, mailbox: mailboxLogin },
    ...(ca === undefined ? {} : { ca: at(ca) }),
    attachment: {
      name: attached.name ?? (attached.armoured ? '{id}.txt' : '{id}.dpm'),
      type: attached.type ?? (attached.armoured ? 'text/plain' : 'application/octet-stream'),
      form: attached.armoured ? 'armoured' : 'binary',
    },
  };
}

function resolveLogin(
  given: LoginValues,
  { profile, address }: MailValues,
  at: (path: string) => string,
): LoginOptions {
  const { user = address, password, oauth: client, serviceAccount: account, tokenCommand } = given;
  const secret = (from: Secret): Secret =>
    'file' in from ? { file: at(from.file) } : 'command' in from ? { command: commandAt(from.command, at) } : from;
  if (password !== undefined) return { method: 'password', user, password: secret(password) };
  if (account !== undefined)
    return { method: 'service-account', user, keyFile: at(account.keyFile), scope: account.scope };
  if (client === undefined) return { method: 'token-command', user, command: commandAt(tokenCommand ?? [], at) };
  const { tenant, tokenUrl, clientId, certificate, key } = client;
  return {
    method: 'client-credentials',
    user,
    tokenUrl: tokenUrl ?? tokenUrlOf(tenant ?? ''),
    clientId,
    scope: scopeOf(profile, client) ?? '',
    proof:
      certificate !== undefined && key !== undefined
        ? { certificate: at(certificate), key: at(key) }
        : { secret: secret(client.secret ?? { command: [] }) },
  };
}

/** A name alone is looked for in PATH. */
export function commandAt([name = '', ...args]: string[], at: (path: string) => string): string[] {
  return [/[/\\]/.test(name) ? at(name) : name, ...args];
}
