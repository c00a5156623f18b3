/**
 * `dirpost join`: a new requestor, from the line that `dirpost invite` printed at the server. Makes what `init` makes, knows
 * the server's keys from the line, and asks to be known there. In a folder whose joining is not finished it goes on.
 */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileError, readBounded } from '@dirpost/adapters';
import { DirpostError, isDirpostError } from '@dirpost/core';
import { fingerprint, publicKeys } from '@dirpost/message';
import { makeDataFolder, openAgent } from '../agent.ts';
import { type Configuration, loadConfiguration, parseConfiguration } from '../config/load.ts';
import { sampleConfiguration } from '../config/sample.ts';
import { dispatch } from '../dispatch.ts';
import type { CycleEvent } from '../events.ts';
import { beginEnrolment, describePublish } from '../joining/enrol.ts';
import { describeEnrolment, type EnrolmentRecord, loadEnrolment } from '../joining/enrolment-record.ts';
import { type Invitation, parseInvitation } from '../joining/invitation.ts';
import { CERTIFICATE_FILE, fetchCertificate } from '../joining/server-address.ts';
import { createKeys, haveKeys, loadKeys } from '../keys.ts';
import { loadPeers, savePeer } from '../peers.ts';
import type { Postoffice } from '../postoffice.ts';
import { sendOutgoing } from '../send.ts';
import { EXIT, type ExitCode, folderOf, type Invocation, withAgent } from './command.ts';
import { type MailOptions, mailOf } from './mail-options.ts';
import { time } from './screen.ts';
import { secondsOf } from './sync.ts';

const MAX_LINE_FILE_BYTES = 1024 * 1024;
const FIRST_POLL_MS = 50;
const LAST_POLL_MS = 1_000;

interface JoinOptions extends MailOptions {
  file?: string;
  name?: string;
  publish?: string;
  key?: string;
  subscribe?: string;
  container?: string;
  folder?: string;
  wait: string;
}

export async function join(call: Invocation, line: string | undefined, options: JoinOptions): Promise<ExitCode> {
  const waitMs = secondsOf(options.wait) * 1_000;
  const invitation = parseInvitation(await readLine(call, line, options.file));
  const { name, server } = invitation;
  if (options.name !== undefined && options.name !== name) {
    throw new DirpostError('wrong-use', `The invitation is for ${name}, not for ${options.name}.`, {
      hint: `A postoffice bears the name that it was invited by. Have one made for the other name: dirpost invite ${options.name}`,
    });
  }
  const configuration = await configurationFor(call, invitation, options);
  await requireUnjoined(configuration, invitation);
  const keys = (await haveKeys(configuration.dataFolder))
    ? await loadKeys(configuration.dataFolder)
    : await createKeys(configuration.dataFolder);
  const own = fingerprint(await publicKeys(keys));
  // Opened twice: with what is begun here the agent opens its transports for somebody who is not known yet.
  const agent = await openAgent(configuration);
  try {
    await beginEnrolment(agent.postoffice, invitation, configuration.transports.mail?.address);
  } finally {
    await agent.close();
  }
  await trustServer(configuration.dataFolder, invitation);
  return withAgent(call, {}, async ({ postoffice }) => {
    const { record, failed } = await enrol(call, postoffice, waitMs);
    const { state, answer } = record;
    const prints = { fingerprint: own, serverFingerprint: fingerprint(invitation.keys) };
    call.screen.data({ postoffice: name, server, state, ...prints, answer });
    return tellOutcome(call, invitation, record, own, failed);
  });
}

async function readLine(call: Invocation, line: string | undefined, file: string | undefined): Promise<string> {
  if ((line === undefined) === (file === undefined)) {
    throw new DirpostError(
      'wrong-use',
      'Give the invitation: run  dirpost join -  and paste it; or name the file that holds it: --file FILE',
    );
  }
  if (line !== undefined && line !== '-') return line;
  try {
    if (file !== undefined) return (await readBounded(resolve(call.cwd, file), MAX_LINE_FILE_BYTES)).toString('utf8');
    return await readTyped();
  } catch (error) {
    const failure = fileError(error, `read ${file ?? 'the standard input'}`);
    if (failure.code !== 'file-missing') throw failure;
    throw new DirpostError('file-missing', `There is no file ${resolve(call.cwd, file ?? '')}.`, {
      retry: 'operator',
      hint: 'Name the file that the invitation was saved in, as it is called here; or run  dirpost join -  and paste it.',
      context: failure.context,
      cause: failure,
    });
  }
}

/** Until the invitation is whole, so that nobody has to know how an input is ended; else until it ends. */
async function readTyped(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > MAX_LINE_FILE_BYTES || isWhole(text)) break;
  }
  return text;
}

function isWhole(text: string): boolean {
  try {
    parseInvitation(text);
    return true;
  } catch {
    return false;
  }
}

/** The one that is there (from a bundle, or from an earlier try), or a new one. */
async function configurationFor(
  call: Invocation,
  invitation: Invitation,
  options: JoinOptions,
): Promise<Configuration> {
  const { configFile } = call;
  const existing = await loadConfiguration(configFile).catch((error: unknown) => {
    if (isDirpostError(error, 'not-initialized')) return undefined;
    throw error;
  });
  if (existing === undefined) return newConfiguration(call, invitation, options);
  const { postoffice, role, server } = existing;
  if (postoffice === invitation.name && role === 'requestor' && server === invitation.server) {
    if (mailOf(options) !== undefined) throw alreadyWritten(configFile);
    return existing;
  }
  const what = role === 'server' ? `the directory server ${postoffice}` : `the requestor ${postoffice} of ${server}`;
  throw new DirpostError(
    'already-initialized',
    `${configFile} is that of ${what}; the invitation is for ${invitation.name} of ${invitation.server}.`,
    {
      retry: 'operator',
      hint: 'Join in an empty folder.',
    },
  );
}

function alreadyWritten(configFile: string): DirpostError {
  return new DirpostError('wrong-use', `${configFile} is there already: what it says of mail counts.`, {
    hint: 'Write the mailbox under transports.mail in it, and join without the options for mail.',
  });
}

function needsMailbox({ name, server, addresses }: Invitation): DirpostError {
  return new DirpostError(
    'wrong-use',
    `${server} is reached by mail, at ${addresses.mail!}; ${name} needs a mailbox, too.`,
    {
      hint: `With a password: --mail-address ADDRESS --mail-submission HOST:PORT --mail-user USER --mail-password-file FILE. For Microsoft 365, Google and whatever else: dirpost init ${name} --role requestor --server ${server}, write transports.mail into its configuration (docs/mail.md), then join again.`,
    },
  );
}

async function newConfiguration(
  call: Invocation,
  invitation: Invitation,
  options: JoinOptions,
): Promise<Configuration> {
  const folder = folderOf(call);
  const { http, pin, folder: hinted, mail: serverMail } = invitation.addresses;
  const mail = mailOf(options);
  const { publish, key, subscribe, container } = options;
  const exchange = options.folder ?? hinted;
  if (mail !== undefined && serverMail === undefined) {
    throw new DirpostError('wrong-use', `${invitation.server} has no mail address: the invitation names none.`, {
      hint: 'Join without --mail-address; or have mail set up there, and another invitation made.',
    });
  }
  if (http === undefined && exchange === undefined && mail === undefined && serverMail !== undefined)
    throw needsMailbox(invitation);
  if (http === undefined && exchange === undefined && mail === undefined) {
    throw new DirpostError('wrong-use', `The invitation does not say how ${invitation.server} is reached.`, {
      hint: 'Name the folder or the stick that carries the message files: --folder PATH',
    });
  }
  const certificate =
    http !== undefined && pin !== undefined ? await fetchCertificate(http, pin, call.signal) : undefined;
  const text = sampleConfiguration({
    postoffice: invitation.name,
    role: 'requestor',
    server: invitation.server,
    ...(publish && { directory: publish }),
    ...(key && { key }),
    ...(subscribe && { subscribe }),
    ...(container && { container }),
    ...(exchange && { folder: exchange }),
    ...(http && { http }),
    ...(mail && { mail }),
    ...(certificate && { ca: CERTIFICATE_FILE }),
  });
  const configuration = parseConfiguration(text, folder);
  await makeDataFolder(folder);
  try {
    if (certificate !== undefined) await writeFile(resolve(folder, CERTIFICATE_FILE), certificate, { mode: 0o600 });
    await writeFile(call.configFile, text, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    throw fileError(error, `write ${call.configFile}`);
  }
  return configuration;
}

/** A postoffice that is known to its server keeps its keys and its life; one whose joining is not finished goes on. */
async function requireUnjoined(configuration: Configuration, { name, server }: Invitation): Promise<void> {
  const { dataFolder } = configuration;
  if (!(await haveKeys(dataFolder)) || !(await loadPeers(dataFolder)).has(server)) return;
  if (await isUnfinished(configuration)) return;
  throw new DirpostError('already-initialized', `This folder is the postoffice ${name} already, and knows ${server}.`, {
    retry: 'operator',
    hint: `To see whether they are in step: dirpost status. To begin anew as ${name} move this folder away, and join in an empty one; the people come back from the directories.`,
  });
}

async function isUnfinished(configuration: Configuration): Promise<boolean> {
  const agent = await openAgent(configuration, { readOnly: true });
  try {
    const record = await agent.postoffice.store.read(loadEnrolment);
    return record?.state === 'waiting' || record?.state === 'refused';
  } finally {
    await agent.close();
  }
}

async function trustServer(dataFolder: string, { server, keys, recoveryKey, addresses }: Invitation): Promise<void> {
  await savePeer(dataFolder, {
    name: server,
    role: 'server',
    signing: [keys.signing],
    recipients: [keys.recipient],
    fingerprint: fingerprint(keys),
    madeAtMs: Date.now(),
    ...(recoveryKey === null ? {} : { recoveryKey }),
    ...(addresses.mail === undefined ? {} : { mail: addresses.mail }),
  });
}

/** Sends the enrolment and polls, more and more slowly, until it is answered or the time is over. */
async function enrol(
  { signal, screen }: Invocation,
  postoffice: Postoffice,
  waitMs: number,
): Promise<{ record: EnrolmentRecord; failed: number }> {
  const startedMs = Date.now();
  // Until it is known there it may not collect; that is said only if it stays so.
  let unsaid: CycleEvent | undefined;
  const tell = (event: CycleEvent): void => {
    if (event.level === 'warning' && event.details?.['transport'] !== undefined) unsaid = event;
    else postoffice.tell(event);
  };
  const { failed } = await sendOutgoing(postoffice, signal, true);
  for (let pollMs = FIRST_POLL_MS, polls = 1; ; pollMs = Math.min(pollMs * 2, LAST_POLL_MS), polls++) {
    await dispatch({ ...postoffice, tell }, { signal });
    const record = (await postoffice.store.read(loadEnrolment))!;
    const isWaiting = record.state === 'waiting';
    if (!isWaiting || failed > 0 || Date.now() - startedMs >= waitMs) {
      if (isWaiting && failed === 0 && unsaid !== undefined) postoffice.tell(unsaid);
      return { record, failed };
    }
    screen.progress({ what: `waiting for the answer of ${postoffice.requestor.server}; polls`, done: polls });
    await sleep(pollMs, undefined, { signal });
  }
}

function tellOutcome(
  { screen, configFile }: Invocation,
  { name, server, keys, expiresMs }: Invitation,
  record: EnrolmentRecord,
  own: string,
  failed: number,
): ExitCode {
  screen.line();
  screen.facts([
    ['configuration', configFile],
    [name, own],
    [server, fingerprint(keys)],
  ]);
  screen.line();
  const { answer } = record;
  if (record.state === 'refused') {
    screen.line(describeEnrolment(record)!);
    return EXIT.failed;
  }
  if (record.state === 'joined' && answer !== null) {
    screen.line(`${name} has joined ${server}.`);
    screen.facts([
      ['address list', answer.list ?? `none yet: the administrator of ${server} has to name it under receivers of one`],
      ['may publish', describePublish(answer.publish)],
    ]);
    screen.line();
    screen.line('Next: look through the configuration, then');
    screen.line('  dirpost check     finds what is missing');
    screen.line('  dirpost sync      sends the people of this office, and brings the others');
    screen.line('  dirpost run       is the agent, which does so by itself from then on');
    return EXIT.done;
  }
  if (failed > 0) {
    screen.line(`The enrolment could not be sent to ${server} yet, for the reason above. Mend it, then: dirpost sync`);
  } else {
    screen.line(
      `The enrolment is on its way. ${server} answers when it dispatches; with a stick, when it has been there.`,
    );
    screen.line('Nothing else has to be done here: the next  dirpost sync  takes the answer and goes on by itself.');
    screen.line(
      'If none comes for long, the line may have been replaced by a newer one, or used by somebody else: ask for another.',
    );
  }
  screen.line(`The invitation ends at ${time(expiresMs)}; what counts is the clock of ${server} when it gets it.`);
  return failed > 0 ? EXIT.failed : EXIT.done;
}
