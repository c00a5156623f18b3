/** `dirpost requestor`: who belongs to this directory server; to suspend one, to let it come back, to part from it. */
import {
  DirpostError,
  dropWaiting,
  findRequestor,
  forgetSent,
  isMailAddress,
  noteRemoved,
  type ServerContext,
  withdrawOwner,
} from '@dirpost/core';
import { counted } from '../events.ts';
import { describePublish, requireJoining } from '../joining/enrol.ts';
import { type RefusedSender, refusedSenders } from '../joining/refused-senders.ts';
import { roster, type RosterLine } from '../joining/roster.ts';
import { forgetSigner } from '../older-keys.ts';
import { loadPeers, savePeer } from '../peers.ts';
import type { Postoffice } from '../postoffice.ts';
import { forgetUnreadable } from '../unreadable.ts';
import { configurationOf, EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { time } from './screen.ts';

export async function requestorList(call: Invocation): Promise<ExitCode> {
  return withAgent(call, { readOnly: true, quiet: true }, async ({ postoffice }, configuration) => {
    const { server, store, clock } = postoffice;
    if (server === null) throw notServer(configuration.server);
    const joining = requireJoining(postoffice);
    const { lines, refused } = await store.read(async (tx) => ({
      lines: await roster(tx, server, joining, configuration, clock.now()),
      refused: await refusedSenders(tx),
    }));
    call.screen.data({ requestors: lines, refused });
    show(call, lines, refused);
    return EXIT.done;
  });
}

function show({ screen }: Invocation, lines: RosterLine[], refused: RefusedSender[]): void {
  if (lines.length === 0) screen.line('There are no requestors yet. Invite one with: dirpost invite NAME');
  screen.table(lines, [
    { title: 'name', value: (line) => line.name },
    { title: 'state', value: stateWords },
    { title: 'list', value: (line) => line.list ?? 'none' },
    { title: 'entries', value: (line) => line.entries, align: 'right' },
    { title: 'may publish', value: publishWords },
    { title: 'last heard', value: (line) => time(line.lastHeardMs) },
    { title: 'fingerprint', value: (line) => line.fingerprint },
    ...(lines.some(({ mail }) => mail !== null) ? [{ title: 'mail', value: (line: RosterLine) => line.mail }] : []),
  ]);
  if (refused.length === 0) return;
  screen.line();
  screen.line('Refused. The names are what the messages say of themselves.');
  screen.table(refused, [
    { title: 'name', value: (sender) => sender.name },
    { title: 'messages', value: (sender) => sender.count, align: 'right' },
    { title: 'last', value: (sender) => time(sender.lastMs) },
    { title: 'because', value: (sender) => sender.why, wraps: true },
  ]);
}

function stateWords({ state, invitation, entries }: RosterLine): string {
  if (state === 'gone') return entries > 0 ? 'gone, its entries are kept' : 'gone';
  if (invitation === null) return state;
  const word = { open: 'invited until', late: 'invitation ended', void: 'invitation void' }[invitation.state];
  const told = invitation.state === 'void' ? word : `${word} ${time(invitation.expiresMs)}`;
  return state === 'invited' ? told : `${state}; ${told}`;
}

function publishWords({ publish, publishFrom }: RosterLine): string {
  const where = publishFrom === 'dirpost.yaml' ? ' (dirpost.yaml)' : '';
  return `${describePublish(publish)}${where}`;
}

export async function requestorSuspend(call: Invocation, name: string): Promise<ExitCode> {
  const changed = await setSuspended(call, name, true);
  call.screen.data({ requestor: name, state: 'suspended', changed });
  if (!changed) call.screen.line(`${name} was suspended already.`);
  else {
    call.screen.line(
      `${name} is suspended: nothing of it is taken, and nothing is sent to it. Its entries stay where they are.`,
    );
    call.screen.line(`  to let it come back  dirpost requestor resume ${name}`);
    call.screen.line(`  to part from it      dirpost requestor remove ${name} --keep-entries | --withdraw-entries`);
  }
  return EXIT.done;
}

export async function requestorResume(call: Invocation, name: string): Promise<ExitCode> {
  const changed = await setSuspended(call, name, false);
  call.screen.data({ requestor: name, state: 'active', changed });
  const was = `${name} was not suspended.`;
  call.screen.line(changed ? `${name} may come back: its next exchange is taken, and brings what was missed.` : was);
  return EXIT.done;
}

/** The file of a peer is all that changes: a running agent sees it by itself. */
async function setSuspended(call: Invocation, name: string, suspended: boolean): Promise<boolean> {
  const { role, server, dataFolder } = await configurationOf(call);
  if (role !== 'server') throw notServer(server);
  const peer = (await loadPeers(dataFolder)).get(name);
  if (peer === undefined) throw nobody(name);
  if ((peer.suspended === true) === suspended) return false;
  const { suspended: _, ...rest } = peer;
  await savePeer(dataFolder, suspended ? { ...rest, suspended } : rest);
  return true;
}

/** A running agent sees it by itself, as above. */
export async function requestorMail(call: Invocation, name: string, address: string): Promise<ExitCode> {
  const { role, server, dataFolder, transports } = await configurationOf(call);
  if (role !== 'server') throw notServer(server);
  if (!isMailAddress(address))
    throw new DirpostError('wrong-use', `${JSON.stringify(address.slice(0, 80))} is not a mail address.`);
  const configured = transports.mail?.peers[name];
  if (configured !== undefined && configured !== address) {
    throw new DirpostError('wrong-use', `transports.mail.peers in dirpost.yaml says ${configured}, and counts more.`, {
      hint: 'Change it there, or take it out and run this again.',
    });
  }
  const peer = (await loadPeers(dataFolder)).get(name);
  if (peer === undefined) throw nobody(name);
  await savePeer(dataFolder, { ...peer, mail: address });
  call.screen.data({ requestor: name, mail: address, before: peer.mail ?? null });
  call.screen.line(
    `Mails for ${name} go to ${address} from now on${peer.mail === undefined ? '' : `, before: ${peer.mail}`}.`,
  );
  if (transports.mail === undefined) call.screen.line('There is no transports.mail in the configuration yet.');
  return EXIT.done;
}

interface RemoveOptions {
  keepEntries?: boolean;
  withdrawEntries?: boolean;
}

export async function requestorRemove(call: Invocation, name: string, options: RemoveOptions): Promise<ExitCode> {
  const { keepEntries = false, withdrawEntries = false } = options;
  if (keepEntries === withdrawEntries) {
    throw new DirpostError('wrong-use', `What shall happen to the entries of ${name}? Say one of the two.`, {
      hint: '--keep-entries leaves them on the lists; --withdraw-entries takes them from every branch.',
    });
  }
  return withAgent(call, {}, async ({ postoffice, transports }, configuration) => {
    const { server, store } = postoffice;
    if (server === null) throw notServer(configuration.server);
    const joining = requireJoining(postoffice);
    const record = await store.read((tx) => findRequestor(tx, name));
    const known = joining.peers.get(name) !== undefined || joining.invitations.get(name) !== undefined;
    if (name === server.name || (!known && record === undefined)) throw nobody(name);
    // The keys first: whatever it sends from here on is a stranger's.
    await joining.invitations.remove(name);
    await joining.peers.remove(name);
    const withdrawn = await part(postoffice, server, name, withdrawEntries ? 'all' : 'refused');
    await transports.forget(name);
    const kept = withdrawEntries ? 0 : (record?.live ?? 0) - withdrawn;
    call.screen.data({ requestor: name, kept, withdrawn });
    call.screen.line(`${name} is no requestor any more: its keys and invitations are gone.`);
    if (!withdrawEntries)
      call.screen.line(`${counted(kept, 'entry')} of it ${kept === 1 ? 'stays' : 'stay'} on the lists.`);
    else {
      call.screen.line(
        `${counted(withdrawn, 'entry')} of it ${withdrawn === 1 ? 'leaves' : 'leave'} the lists; each branch hears of it with its next update.`,
      );
      call.screen.line('Where that is more than a branch lets vanish at once, it waits there for its administrator.');
    }
    call.screen.line(`It can be invited again under the same name: dirpost invite ${name}`);
    return EXIT.done;
  });
}

/** What was noted of it goes; the stamp by which it can join again stays. How many entries are withdrawn. */
async function part(
  { store, routes, bounces }: Postoffice,
  server: ServerContext,
  name: string,
  which: 'all' | 'refused',
): Promise<number> {
  const withdrawn = await store.transaction(
    async (tx) => {
      await dropWaiting(tx, name);
      await forgetSent(tx, server, name);
      await forgetSigner(tx, name);
      await forgetUnreadable(tx, name);
      const gone = await withdrawOwner(tx, server, name, which);
      await noteRemoved(tx, name);
      return gone;
    },
    { large: true },
  );
  await routes.forget(name);
  await bounces?.forget(name);
  return withdrawn;
}

function nobody(name: string): DirpostError {
  return new DirpostError('wrong-use', `There is no requestor ${JSON.stringify(name.slice(0, 80))}.`, {
    hint: 'See who there is: dirpost requestor list',
  });
}

function notServer(server: string): DirpostError {
  return new DirpostError('wrong-use', 'Requestors are known at the directory server only.', {
    hint: `Run it where ${server} is.`,
  });
}
