/**
 * `dirpost invite`: one line that lets one new postoffice join, once; or a bundle for each branch of a CSV file. What the new
 * requestor may publish is set here.
 */
import { stat, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileError } from '@dirpost/adapters';
import {
  checkPostofficeName,
  compileList,
  DirpostError,
  listFor,
  type PostofficeName,
  type PublishRule,
} from '@dirpost/core';
import { fingerprint, publicKeys } from '@dirpost/message';
import type { Configuration } from '../config/load.ts';
import { parseDuration } from '../config/units.ts';
import { describePublish } from '../joining/enrol.ts';
import { formatInvitation } from '../joining/invitation.ts';
import { Invitations } from '../joining/invitations.ts';
import { publishRuleOf } from '../joining/publish-words.ts';
import { type Reachable, reachable } from '../joining/server-address.ts';
import { loadKeys } from '../keys.ts';
import { loadPeers } from '../peers.ts';
import { configurationOf, EXIT, type ExitCode, folderOf, type Invocation } from './command.ts';
import { time } from './screen.ts';

interface InviteOptions {
  valid: string;
  kinds?: string;
  mailDomain?: string[];
  maxEntries?: string;
  out?: string;
  from?: string;
  bundles: string;
}

export async function invite(call: Invocation, name: string | undefined, options: InviteOptions): Promise<ExitCode> {
  const configuration = await configurationOf(call);
  if (configuration.role !== 'server') {
    throw new DirpostError('wrong-use', 'Only the directory server invites.', {
      hint: `Run it where ${configuration.server} is.`,
    });
  }
  if ((name === undefined) === (options.from === undefined)) {
    throw new DirpostError('wrong-use', 'Name the postoffice to invite, or a CSV file with many: --from branches.csv');
  }
  const office = await openInviting(configuration, options.valid);
  if (options.from !== undefined) return inviteMany(call, office, options, resolve(call.cwd, options.from));
  const rule = publishRuleOf(options);
  return inviteOne(call, office, name!, rule, options.out);
}

interface Inviting {
  configuration: Configuration;
  invitations: Invitations;
  validMs: number;
  reach: Reachable;
  keys: Awaited<ReturnType<typeof publicKeys>>;
  recoveryKey: string | null;
  suspended: Set<PostofficeName>;
}

async function openInviting(configuration: Configuration, valid: string): Promise<Inviting> {
  const { dataFolder } = configuration;
  const validMs = parseDuration(valid);
  if (validMs === undefined || validMs === 0) {
    throw new DirpostError('wrong-use', `--valid ${JSON.stringify(valid)} is not a time such as 72h or 7d.`);
  }
  const keys = await loadKeys(dataFolder);
  const peers = await loadPeers(dataFolder);
  return {
    configuration,
    invitations: await Invitations.load(dataFolder),
    validMs,
    reach: await reachable(configuration),
    keys: await publicKeys(keys),
    recoveryKey: keys.recovery ?? null,
    suspended: new Set([...peers.values()].filter((peer) => peer.suspended === true).map((peer) => peer.name)),
  };
}

interface Made {
  name: PostofficeName;
  /** The secret line. */
  line: string;
  expiresMs: number;
  replaced: boolean;
  list: string | null;
  publish: PublishRule;
}

async function make(office: Inviting, name: string, publish: PublishRule): Promise<Made> {
  const { configuration, keys, recoveryKey, reach } = office;
  const { postoffice: server } = configuration;
  if (checkPostofficeName(name) === server) {
    throw new DirpostError('wrong-use', `${server} is this server itself; its own requestor needs no invitation.`);
  }
  if (office.suspended.has(name)) {
    throw new DirpostError('wrong-use', `${name} is suspended: an invitation would not let it in.`, {
      hint: `First: dirpost requestor resume ${name}`,
    });
  }
  const wanted = { name, publish, nowMs: Date.now(), validMs: office.validMs };
  const { given, secret, replaced } = await office.invitations.make(wanted);
  const { id, expiresMs } = given;
  const { addresses } = reach;
  const line = formatInvitation({ id, secret, expiresMs, server, name, keys, recoveryKey, addresses });
  const list = listFor(configuration.lists.map(compileList), name)?.definition.name ?? null;
  const rule = configuration.requestors[name]?.publish ?? publish;
  return { name, line, expiresMs, replaced, list, publish: rule };
}

async function inviteOne(
  call: Invocation,
  office: Inviting,
  name: string,
  rule: PublishRule,
  out: string | undefined,
): Promise<ExitCode> {
  const file = out === undefined ? undefined : resolve(call.cwd, out);
  if (file !== undefined) await refuseExisting(file);
  const made = await make(office, name, rule);
  const { screen } = call;
  const { addresses } = office.reach;
  if (file !== undefined) await writeSecret(file, made.line);
  const { line, ...facts } = made;
  const print = fingerprint(office.keys);
  screen.data({
    ...facts,
    ...(out === undefined ? { invitation: line } : { file: out }),
    addresses,
    fingerprint: print,
  });
  if (made.replaced) screen.line(`The earlier invitation of ${name} is void from now on.`);
  screen.line(`${name} is invited to join ${office.configuration.postoffice}.`);
  screen.facts([
    ['good until', `${time(made.expiresMs)}, by the clock of this server; once`],
    ['it will follow', made.list ?? 'no address list: name it under receivers of one in dirpost.yaml'],
    ['it may publish', describePublish(made.publish)],
    [
      'reached by',
      [addresses.http, addresses.mail, addresses.folder].filter((way) => way !== undefined).join(' and ') ||
        'nothing yet: see transports in dirpost.yaml',
    ],
    ['fingerprint', print],
  ]);
  screen.line();
  if (out === undefined) {
    screen.line('The invitation. It is a secret: whoever has this line can join in its place. It is not shown again.');
    screen.line();
    screen.line(line);
    screen.line();
    screen.line(`At ${name}, in an empty folder, run this and paste the line:`);
    screen.line('  dirpost join -');
  } else {
    screen.line(`The invitation is in ${out}. It is a secret: whoever has that file can join in its place.`);
    screen.line(`At ${name}, in an empty folder:`);
    screen.line('  dirpost join --file FILE');
  }
  if (addresses.mail !== undefined && addresses.http === undefined) {
    screen.line(
      'It needs a mailbox of its own, named by --mail-address and the other options of join; see docs/mail.md.',
    );
  }
  return EXIT.done;
}

/** Before an invitation is made that nobody could read. */
async function refuseExisting(path: string): Promise<void> {
  if (await stat(path).catch(() => undefined)) {
    throw new DirpostError('wrong-use', `${path} is there already; an invitation replaces no file.`, {
      hint: 'Name another file with --out. Nobody was invited.',
    });
  }
}

async function writeSecret(path: string, line: string): Promise<void> {
  try {
    await writeFile(path, `${line}\n`, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    throw fileError(error, `write ${path}`);
  }
}

async function inviteMany(call: Invocation, office: Inviting, options: InviteOptions, file: string): Promise<ExitCode> {
  const { screen } = call;
  const { readBranches, writeBundle } = await import('../joining/branches.ts');
  const bundles = resolve(folderOf(call), options.bundles);
  const hasMail = office.reach.mail !== undefined;
  const branches = await readBranches(file, publishRuleOf(options), hasMail);
  const made: Omit<Made, 'line'>[] = [];
  for (const branch of branches) {
    call.signal.throwIfAborted();
    const { line, ...facts } = await make(office, branch.name, branch.publish);
    await writeBundle(bundles, branch, line, office.configuration.postoffice, office.reach);
    made.push(facts);
  }
  screen.data({ bundles, invited: made });
  screen.table(made, [
    { title: 'name', value: (one) => one.name },
    { title: 'list', value: (one) => one.list ?? 'none' },
    { title: 'may publish', value: (one) => describePublish(one.publish) },
    { title: 'good until', value: (one) => time(one.expiresMs) },
  ]);
  screen.line();
  screen.line(
    `${made.length} bundles are in ${bundles}, a folder for each branch. Each holds a secret, good for one joining.`,
  );
  screen.line('Carry each folder to its branch, and run there, in that folder:  dirpost join --file invitation');
  return EXIT.done;
}
