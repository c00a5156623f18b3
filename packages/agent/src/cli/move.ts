/**
 * `dirpost move`: the server gets other addresses. It announces them, and requestors follow by themselves; afterwards the
 * old machine may answer at the old address for a while, to those who were away (`--answer`).
 */
import { X509Certificate } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { checkServerUrl, fileError, readBounded, writeDurably } from '@dirpost/adapters';
import { DirpostError, isMailAddress, type Transport } from '@dirpost/core';
import { type AnnouncedKeys, MAX_ADDRESS_BYTES, MAX_CERTIFICATE_BYTES } from '@dirpost/message';
import { openAgent } from '../agent.ts';
import { announceWhereDue, unaware } from '../announcing.ts';
import type { Configuration } from '../config/load.ts';
import { requireJoining } from '../joining/enrol.ts';
import { announceAnew, loadKeys } from '../keys.ts';
import { MOVED_AWAY_FILE } from '../moved-away.ts';
import { sendOutgoing } from '../send.ts';
import { configurationOf, EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';

/** PEM, with words around it, or a chain of which the first counts. */
const MAX_CERTIFICATE_FILE_BYTES = 256 * 1024;
const ANNOUNCE_EVERY_MS = 60_000;

interface MoveOptions {
  http?: string;
  certificate?: string;
  mail?: string;
  answer?: boolean;
  back?: boolean;
}

type Told = NonNullable<AnnouncedKeys['addresses']>;

export async function move(call: Invocation, options: MoveOptions): Promise<ExitCode> {
  const configuration = await configurationOf(call);
  if (configuration.role !== 'server') {
    throw new DirpostError('wrong-use', 'Only a directory server is called by others.', {
      hint: 'A requestor is moved with its data folder, or by `dirpost backup` and `dirpost restore`; nobody has to be told.',
    });
  }
  if (options.back === true) return back(call, configuration);
  if (options.answer === true) return answer(call, configuration);
  if (call.running === null) await announce(call, configuration, options);
  return show(call);
}

async function announce(call: Invocation, { dataFolder }: Configuration, options: MoveOptions): Promise<void> {
  const { http, mail, certificate } = options;
  if (http === undefined && mail === undefined) {
    if (certificate === undefined) return;
    throw new DirpostError('wrong-use', '--certificate belongs to an address: give --http, too.');
  }
  checkLength('--http', http);
  checkLength('--mail', mail);
  if (http !== undefined) checkServerUrl(http);
  if (mail !== undefined && !isMailAddress(mail)) {
    throw new DirpostError('wrong-use', `${JSON.stringify(mail.slice(0, 80))} is not a mail address.`);
  }
  const vouches = certificate === undefined ? undefined : await certificateIn(resolve(call.cwd, certificate));
  const before = (await loadKeys(dataFolder)).announced?.addresses ?? {};
  const addresses: Told = {
    ...before,
    ...(mail === undefined ? {} : { mail }),
    ...(http === undefined ? {} : { http, ...(vouches === undefined ? {} : { certificate: vouches }) }),
  };
  if (http !== undefined && vouches === undefined) delete addresses.certificate;
  if (JSON.stringify(addresses) !== JSON.stringify(before)) await announceAnew(dataFolder, { addresses }, Date.now());
}

/** Receivers take no longer one. */
function checkLength(option: string, address: string | undefined): void {
  if (address === undefined || Buffer.byteLength(address) <= MAX_ADDRESS_BYTES) return;
  throw new DirpostError('wrong-use', `The address of ${option} is longer than ${MAX_ADDRESS_BYTES} octets.`);
}

/** DER in base64 of a certificate that is its own authority; undefined for one that an authority vouches for. */
async function certificateIn(path: string): Promise<string | undefined> {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(await readBounded(path, MAX_CERTIFICATE_FILE_BYTES));
  } catch (error) {
    if (error instanceof DirpostError) throw error;
    throw new DirpostError('wrong-use', `${path} holds no certificate.`, { cause: error });
  }
  if (certificate.issuer !== certificate.subject) return undefined;
  if (certificate.raw.length > MAX_CERTIFICATE_BYTES) {
    throw new DirpostError(
      'wrong-use',
      `The certificate in ${path} has ${certificate.raw.length} octets; an announcement has room for ${MAX_CERTIFICATE_BYTES}.`,
      { hint: 'Make one with fewer names, or have one made by a public authority: then it need not be announced.' },
    );
  }
  return certificate.raw.toString('base64');
}

async function show(call: Invocation): Promise<ExitCode> {
  return withAgent(call, {}, async ({ postoffice }) => {
    const joining = requireJoining(postoffice);
    await joining.reloadKeys();
    await announceWhereDue(postoffice);
    const sent = await sendOutgoing(postoffice, call.signal, true);
    const { addresses } = joining.keys.announced ?? {};
    const { certificate, ...told } = addresses ?? {};
    const waiting = addresses === undefined ? [] : unaware(postoffice, joining);
    const { screen } = call;
    screen.data({
      postoffice: postoffice.name,
      announced: addresses === undefined ? null : told,
      unaware: waiting,
      sent,
    });
    if (addresses === undefined) {
      screen.line('No other address was announced. Announce one with: dirpost move --http URL, or --mail ADDRESS');
      return EXIT.done;
    }
    screen.line(
      `${postoffice.name} is reached at ${[told.http, told.mail].filter(Boolean).join(', ')}: announced${certificate === undefined ? '' : ', with its certificate'}.`,
    );
    if (waiting.length > 0)
      screen.line(`Not known yet to: ${waiting.join(', ')}. They are told with each message file.`);
    else screen.line('Every requestor knows it.');
    screen.line(
      'When they do: stop the agent, dirpost backup here, dirpost restore there; then here: dirpost move --answer',
    );
    return EXIT.done;
  });
}

/**
 * On the old machine, after the new one has taken over: nothing is processed any more. Until it is stopped, whoever calls at
 * the old address finds the announcement there.
 */
async function answer(call: Invocation, configuration: Configuration): Promise<ExitCode> {
  if (call.running !== null) throw new DirpostError('wrong-use', 'An agent is running here. Stop it first.');
  const { dataFolder } = configuration;
  if ((await loadKeys(dataFolder)).announced?.addresses === undefined) {
    throw new DirpostError('wrong-use', 'No other address was announced.', {
      hint: 'First: dirpost move --http URL, or --mail ADDRESS; then move the server.',
    });
  }
  const { screen, signal } = call;
  const agent = await openAgent(configuration, { tell: ({ text }) => screen.line(text), isAnswering: true });
  try {
    await writeDurably(dataFolder, MOVED_AWAY_FILE, Buffer.from(`since ${new Date().toISOString()}\n`), {
      mode: 0o600,
    });
    const address = await agent.transports.listen();
    screen.line(
      `${configuration.postoffice} has moved away from here. ready; answering on ${address ?? 'no http address'}`,
    );
    const http = agent.transports.outside.find(({ name }) => name === 'http');
    void http?.watch?.(() => void leaveAll(http, signal), signal);
    while (!signal.aborted) {
      await sendOutgoing(agent.postoffice, signal, true);
      await waitFor(ANNOUNCE_EVERY_MS, signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await agent.close();
  }
  return EXIT.done;
}

/** Whoever posts here hears at once that it is not taken, and keeps it for the new address. */
async function leaveAll(http: Transport, signal: AbortSignal): Promise<void> {
  try {
    await http.collect(async () => false, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), done()), { once: true });
  });
}

/** The administrator's word that the server lives here after all. */
async function back({ screen }: Invocation, { dataFolder, postoffice }: Configuration): Promise<ExitCode> {
  const path = join(dataFolder, MOVED_AWAY_FILE);
  try {
    await rm(path, { force: true });
  } catch (error) {
    throw fileError(error, `remove ${path}`);
  }
  screen.data({ postoffice, movedAway: false });
  screen.line(
    `${postoffice} may work here again. See that it runs nowhere else. Its addresses: dirpost move --http URL`,
  );
  return EXIT.done;
}
