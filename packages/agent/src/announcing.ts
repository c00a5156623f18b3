/**
 * T1 and T3 of announcements: telling the others of new keys and addresses, and hearing of theirs. What is to be told
 * stands beside the own keys; whoever has not said to know it is told with each exchange, by the ordinary outbox.
 *
 *   keys.json: serial 7 ──announcement 7, asks──▶ saved in peers/<name>.json ──announcement, heard 7──▶ peers/<name>.json
 *        └─ not heard: again, and a statement in the header of every message file proves the new keys (key-statement.ts)
 *
 * The newest one alone counts; one by the recovery key counts whatever was announced before, since that may have been a
 * thief's.
 */
import { X509Certificate } from 'node:crypto';
import { checkServerUrl, writeDurably } from '@dirpost/adapters';
import { type Announcement, DirpostError, loadOwn, loadServer, type PostofficeName, type StoreTx } from '@dirpost/core';
import {
  type Announced,
  announcement,
  type AnnouncedKeys,
  fingerprint,
  isHybrid,
  type OpenedMessage,
  publicKeys,
  readAnnouncement,
} from '@dirpost/message';
import type { Moved } from './following-http.ts';
import type { Joining } from './joining/joining.ts';
import { announceAnew, forgetOlderKeys, rollKeys, wouldBeLost } from './keys.ts';
import { noteGoneBack, noteSigner } from './older-keys.ts';
import type { Peer } from './peers.ts';
import { saveKnown } from './save-known.ts';
import { movedCertificateFile } from './transports.ts';
import type { Postoffice } from './postoffice.ts';
import { noteUnreadable } from './unreadable.ts';

/** How long keys are used beside those that take their place, where nobody says otherwise. */
export const OVERLAP_MS = 30 * 24 * 3_600_000;
/** Older keys of one peer that are kept beside the newest. */
const MAX_OLDER = 3;
/** Of serials, by the own clock: a clock that is further ahead would have the last word for as long. */
const MAX_AHEAD_MS = 24 * 3_600_000;
/** After so many exchanges without an answer the server may be one that was restored, and knows nothing of the present keys. */
const SILENT_AFTER = 3;

/** Puts an announcement into the outbox for everybody who has not said to know it, or for one of them; how many. */
export async function announceWhereDue(postoffice: Postoffice, only?: PostofficeName): Promise<number> {
  const { joining } = postoffice;
  const serial = joining?.keys.announced?.serial;
  // Who is joining is not believed yet, and the answer makes it so.
  if (joining === undefined || serial === undefined || joining.enrolling !== null) return 0;
  const due = unaware(postoffice, joining).filter((name) => only === undefined || name === only);
  if (due.length === 0) return 0;
  const said = await stateOf(postoffice, joining);
  return postoffice.store.transaction(async (tx) => {
    let told = 0;
    for (const name of due) {
      const waiting = await tx.outgoing({ to: name, kind: 'announcement', undelivered: true });
      if (waiting.some(({ number }) => number === serial)) continue;
      await put(tx, postoffice, name, { ...said, heard: joining.peers.get(name)?.serial ?? 0, asks: true });
      told++;
    }
    return told;
  });
}

/** Those who have to be told, and have not said yet that they know. */
export function unaware({ server, requestor }: Pick<Postoffice, 'server' | 'requestor'>, joining: Joining): string[] {
  const others =
    server === null ? joining.peers.all().filter(({ name }) => name === requestor.server) : joining.peers.all();
  return others.filter(({ name, suspended }) => suspended !== true && !joining.isKnownTo(name)).map(({ name }) => name);
}

type State = Omit<Announced, 'heard' | 'asks'>;

async function stateOf({ server }: Postoffice, { keys }: Joining): Promise<State> {
  const { serial = 0, overlapMs = 0, hybrid = false, addresses } = keys.announced ?? {};
  const told = server === null || addresses === undefined ? {} : { addresses: withCertificate(addresses) };
  return { serial, overlapMs, hybrid, ...(await publicKeys(keys)), ...told };
}

function withCertificate({
  certificate,
  ...rest
}: NonNullable<AnnouncedKeys['addresses']>): NonNullable<Announced['addresses']> {
  return certificate === undefined ? rest : { ...rest, certificate: Buffer.from(certificate, 'base64') };
}

async function put(tx: StoreTx, postoffice: Postoffice, to: PostofficeName, said: Announced): Promise<void> {
  const { server, requestor, random, clock } = postoffice;
  const { incarnation } = server === null ? await loadOwn(tx) : await loadServer(tx);
  const waiting = await tx.outgoing({ to, kind: 'announcement' });
  await tx.removeOutgoing(waiting.map(({ id }) => id));
  await tx.putOutgoing({
    id: Buffer.from(random(16)).toString('hex'),
    to,
    kind: 'announcement',
    // For whatever life of it is there.
    forIncarnation: null,
    incarnation,
    number: said.serial,
    part: 0,
    parts: 1,
    payload: requestor.codec.encode(announcement(incarnation, said), []),
    createdMs: clock.now(),
    deliveredMs: null,
    attempts: 0,
    nextAttemptMs: clock.now(),
    lastError: null,
  });
}

/** Throws DirpostError `message-mismatch` for keys that are not those of the signature, `message-payload`. */
export async function receiveAnnouncement(
  postoffice: Postoffice,
  { envelope: { from }, signedBy }: OpenedMessage,
  head: Announcement,
): Promise<void> {
  const { joining, store } = postoffice;
  const before = joining?.peers.get(from);
  if (joining === undefined || before === undefined) {
    throw new DirpostError(
      'message-recipient',
      `The announcement of ${from} is not for here: it is no other postoffice.`,
    );
  }
  const said = readAnnouncement(head);
  if (said.signing !== signedBy.signing) {
    throw new DirpostError('message-mismatch', `The announcement of ${from} is not signed by the key that it names.`);
  }
  checkAddress(said);
  const isRecovered = signedBy.recovered !== null;
  if (!isRecovered && said.serial > (before.serial ?? 0)) checkSerial(postoffice, from, said);
  const isOutdone = await outdo(postoffice, joining, said.heard);
  if (!isRecovered) await noteAge(postoffice, before, said);
  const after = peerAfter(postoffice, joining, before, said, signedBy.recovered);
  if (after.moved !== before.moved) await keepCertificate(joining.dataFolder, after.moved);
  if (after !== before && !(await saveKnown(joining.peers, before, after))) return;
  tellWhatIsNew(postoffice, before, after, isRecovered);
  // What waits sealed for keys that are gone is sealed anew.
  if (after.fingerprint !== before.fingerprint) await forgetSealed(postoffice);
  const isFollowed = said.hybrid && postoffice.server === null && (await followNetwork(postoffice, joining));
  const isNewHere = isOutdone || isFollowed;
  if (!said.asks) {
    // Else the next exchange tells it: an answer to each answer would go on for ever where it is not taken there.
    if (isNewHere) await announceWhereDue(postoffice, from);
    return;
  }
  const state = await stateOf(postoffice, joining);
  const asks = !joining.isKnownTo(from) && (isNewHere || after !== before);
  await store.transaction((tx) => put(tx, postoffice, from, { ...state, heard: after.serial ?? 0, asks }));
}

/** Of one that may go on with keys that it has replaced. */
async function noteAge(postoffice: Postoffice, before: Peer, { signing, serial }: Announced): Promise<void> {
  if (before.signing.indexOf(signing) > 0 && serial > (before.serial ?? 0)) await noteGoneBack(postoffice, before);
  else await noteSigner(postoffice, before, { signing, isNews: serial > (before.serial ?? 0) });
}

/**
 * Who signed with an older key may not know of the newer one, being restored: it is told what was heard of it. `isNews`: the
 * message was no repeat, and of no life that is over.
 */
export async function answerOlderKey(
  postoffice: Postoffice,
  { envelope: { from }, signedBy: { signing } }: OpenedMessage,
  isNews: boolean,
): Promise<void> {
  const { joining, store } = postoffice;
  const peer = joining?.peers.get(from);
  if (joining === undefined || peer === undefined) return;
  if (!(await noteSigner(postoffice, peer, { signing, isNews }))) return;
  const state = await stateOf(postoffice, joining);
  await store.transaction((tx) => put(tx, postoffice, from, { ...state, heard: peer.serial ?? 0, asks: true }));
}

/** Throws DirpostError `message-payload`. */
function checkSerial({ clock }: Postoffice, from: PostofficeName, { serial }: Announced): void {
  if (serial <= clock.now() + MAX_AHEAD_MS) return;
  const problem = `The announcement of ${from} is of ${new Date(Math.min(serial, 8.64e15)).toISOString()}, which is more than a day ahead.`;
  throw new DirpostError('message-payload', problem, {
    hint: `Are the clocks right, here and at ${from}? If they are, somebody else may have its keys.`,
  });
}

/** Restored from before its newest announcement, this postoffice announces what it has above that; whether it was so. */
async function outdo({ clock }: Postoffice, joining: Joining, heard: number): Promise<boolean> {
  if (heard <= (joining.keys.announced?.serial ?? 0) || heard > clock.now() + MAX_AHEAD_MS) return false;
  await announceAnew(joining.dataFolder, {}, clock.now(), heard);
  await joining.reloadKeys();
  return true;
}

/**
 * What the recovery key says counts from the first message on that proves it, whatever it is. Where its sender is reached, and
 * for which key it is sealed, tells its announcement: until then nothing counts that was announced before.
 */
export async function noteRecovered(
  postoffice: Postoffice,
  { envelope: { from }, signedBy: { signing, recovered } }: OpenedMessage,
): Promise<void> {
  const { joining } = postoffice;
  const before = joining?.peers.get(from);
  if (joining === undefined || before === undefined || recovered === null) return;
  const { olderUntilMs: _until, serial: _serial, heard: _heard, moved: _moved, ...rest } = before;
  const recipient = before.recipients[0]!;
  const print = fingerprint({ signing, recipient });
  const after = {
    ...rest,
    signing: [signing],
    recipients: [recipient],
    fingerprint: print,
    recoveredSerial: recovered,
  };
  if (await saveKnown(joining.peers, before, after)) tellWhatIsNew(postoffice, before, after, true);
}

/**
 * A requestor whose exchanges are not answered believes no more that its server knows it, nor that it is known: one of both may
 * be restored from before. Statements go with its messages again, and an announcement that asks.
 */
export async function doubtSilence(postoffice: Postoffice): Promise<void> {
  const { joining, server, requestor, store } = postoffice;
  const peer = joining?.peers.get(requestor.server);
  if (joining === undefined || peer === undefined || server !== null || joining.enrolling !== null) return;
  if ((await store.read(loadOwn)).unanswered < SILENT_AFTER) return;
  await joining.doubt(peer.name);
  if (joining.keys.announced !== undefined) return;
  const state = await stateOf(postoffice, joining);
  await store.transaction((tx) => put(tx, postoffice, peer.name, { ...state, heard: peer.serial ?? 0, asks: true }));
}

/**
 * At the server: `from` has proven who it is, and sealed for keys that are not here any more. It was away for longer than they are
 * kept, or one of both is restored from before. What it was believed to know is told again: not more often than hourly, for
 * it may not take it, and answer by another that cannot be read.
 */
export async function answerUnreadable(postoffice: Postoffice, from: PostofficeName): Promise<void> {
  const { joining, server } = postoffice;
  if (joining === undefined || server === null || joining.peers.get(from) === undefined) return;
  if (!(await noteUnreadable(postoffice, from))) return;
  await joining.doubt(from);
  await announceWhereDue(postoffice, from);
}

/** As it would have to be in the configuration: with TLS, but on this machine. Throws DirpostError `message-payload`. */
function checkAddress({ addresses }: Announced): void {
  if (addresses?.http === undefined) return;
  try {
    checkServerUrl(addresses.http);
  } catch (cause) {
    if (!(cause instanceof DirpostError)) throw cause;
    throw new DirpostError('message-payload', `The announcement names an address that is none: ${cause.message}`, {
      cause,
    });
  }
}

function peerAfter(
  { clock, server }: Postoffice,
  { keys, configured }: Joining,
  before: Peer,
  said: Announced,
  recovered: number | null,
): Peer {
  const ownSerial = keys.announced?.serial ?? 0;
  // A word on what was never announced says nothing. One who was restored knows less than before.
  const heard = said.heard <= ownSerial ? said.heard : (before.heard ?? 0);
  const isHeard = heard !== (before.heard ?? 0);
  const place = before.signing.indexOf(said.signing);
  // Statements lead from the newest key to this one: it is newer, whatever serial a restored sender gave it.
  const isOld = place > 0 || (place === 0 && said.serial <= (before.serial ?? 0));
  // It was recovered, and this tells the first time for which key to seal: that before may be a thief's.
  const isFirst = before.recoveredSerial !== undefined && before.serial === undefined;
  if (recovered === null && isOld) return isHeard ? { ...before, heard } : before;
  const { olderUntilMs, moved, heard: _, ...rest } = before;
  const isSame = before.signing[0] === said.signing;
  const keeps = recovered === null && !isFirst && (isSame || said.overlapMs > 0);
  const older = keeps ? (isSame ? 1 : 0) : Infinity;
  const signing = [said.signing, ...before.signing.slice(older, older + MAX_OLDER)];
  const recipients = [said.recipient, ...before.recipients.slice(older, older + MAX_OLDER)];
  const untilMs = isSame ? olderUntilMs : clock.now() + said.overlapMs;
  const nowAt = server === null ? movedTo(said, recovered === null ? moved : undefined, configured) : undefined;
  return {
    ...rest,
    signing,
    recipients,
    fingerprint: fingerprint({ signing: said.signing, recipient: said.recipient }),
    ...(signing.length > 1 && untilMs !== undefined ? { olderUntilMs: untilMs } : {}),
    serial: said.serial,
    ...(heard > 0 ? { heard } : {}),
    ...(recovered === null ? {} : { recoveredSerial: recovered }),
    ...(nowAt === undefined ? {} : { moved: nowAt }),
  };
}

/** It tells where it is reached now as a whole, or nothing of it. `before`: undefined where that may be a thief's word. */
function movedTo(
  { addresses }: Announced,
  before: Moved | undefined,
  configured: Joining['configured'],
): Moved | undefined {
  if (addresses === undefined) return before;
  const { certificate, ...rest } = addresses;
  const vouches = certificate === undefined ? undefined : Buffer.from(certificate).toString('base64');
  const isSame = before?.http === rest.http && before?.mail === rest.mail && before?.certificate === vouches;
  if (isSame) return before;
  const worked = before?.works === true ? placeOf(before) : before?.before;
  return {
    ...rest,
    ...(vouches === undefined ? {} : { certificate: vouches }),
    ...(configured.http === undefined ? {} : { insteadOf: configured.http }),
    ...(configured.mail === undefined ? {} : { insteadOfMail: configured.mail }),
    ...(worked === undefined ? {} : { before: worked }),
  };
}

function placeOf({ http, certificate }: Moved): Moved['before'] {
  if (http === undefined) return undefined;
  return { http, ...(certificate === undefined ? {} : { certificate }) };
}

/** Where http reads it. Throws DirpostError `message-payload` for what is no certificate. */
async function keepCertificate(dataFolder: string, moved: Moved | undefined): Promise<void> {
  if (moved?.certificate === undefined) return;
  let pem: string;
  try {
    pem = new X509Certificate(Buffer.from(moved.certificate, 'base64')).toString();
  } catch (cause) {
    throw new DirpostError('message-payload', 'The announcement holds a certificate that is none.', { cause });
  }
  await writeDurably(dataFolder, movedCertificateFile(moved.certificate), Buffer.from(pem), { mode: 0o600 });
}

function tellWhatIsNew({ tell }: Postoffice, before: Peer, after: Peer, isRecovered: boolean): void {
  const { name } = after;
  if (after.fingerprint !== before.fingerprint) {
    const prints = `fingerprint ${after.fingerprint}, before ${before.fingerprint}`;
    const by = isRecovered
      ? 'has other keys, by its recovery key; those before are refused from now on'
      : 'has rolled its keys over, and signed for it with those before';
    const details = { name, fingerprint: after.fingerprint, before: before.fingerprint, recovered: isRecovered };
    tell({ time: 'T3', level: isRecovered ? 'warning' : 'info', text: `${name} ${by}: ${prints}`, details });
  }
  if (JSON.stringify(after.moved) !== JSON.stringify(before.moved)) {
    const told = [after.moved?.http, after.moved?.mail].filter((one) => one !== undefined).join(', ');
    const to = told === '' ? 'where the configuration says' : told;
    tell({ time: 'T3', level: 'info', text: `${name} is reached at ${to} from now on`, details: { name, to } });
  }
  if ((after.heard ?? 0) > (before.heard ?? 0)) {
    const text = `${name} knows the present keys and addresses of this postoffice`;
    tell({ time: 'T3', level: 'info', text, details: { name, serial: after.heard } });
  }
}

async function forgetSealed({ spool }: Postoffice): Promise<void> {
  for (const { name } of await spool.list('outgoing')) await spool.remove('outgoing', name);
}

/** The switch of the network: this requestor takes a key of that sort, as in any roll-over; whether it did now. */
async function followNetwork(postoffice: Postoffice, joining: Joining): Promise<boolean> {
  if (isHybrid(joining.keys.identities[0]!)) return false;
  await rollHere(postoffice, joining, true);
  const text = 'the network uses post-quantum keys: this postoffice has rolled its keys over to such ones';
  postoffice.tell({ time: 'T3', level: 'info', text });
  return true;
}

async function rollHere({ name, clock }: Postoffice, joining: Joining, hybrid: boolean): Promise<void> {
  await rollKeys(joining.dataFolder, { name, overlapMs: OVERLAP_MS, nowMs: clock.now(), hybrid });
  await joining.reloadKeys();
}

/** At the server: `postQuantum` in its configuration was switched. */
export async function switchNetwork(postoffice: Postoffice, hybrid: boolean): Promise<void> {
  const { joining, clock } = postoffice;
  if (joining === undefined) return;
  const { keys, dataFolder } = joining;
  if (hybrid && !isHybrid(keys.identities[0]!)) {
    const lost = wouldBeLost(keys, joining.peers.all());
    if (lost.length > 0) {
      const text = `post-quantum keys have to wait: ${lost.join(', ')} could not follow. Bring them up to date (dirpost keys), and start the agent again; or, without them: dirpost keys roll --post-quantum --force`;
      postoffice.tell({ time: 'T3', level: 'warning', text });
      return;
    }
    await rollHere(postoffice, joining, true);
  }
  if ((keys.announced?.hybrid ?? false) === hybrid) return;
  await announceAnew(dataFolder, { hybrid }, clock.now());
  await joining.reloadKeys();
}

/** Destroys keys whose overlap is over: not those by which alone the server knows this requestor. */
export async function destroyOlderKeys(postoffice: Postoffice): Promise<void> {
  const { joining, server, requestor, clock, tell } = postoffice;
  const older = joining?.keys.older;
  if (joining === undefined || older === undefined || older.untilMs > clock.now()) return;
  if (server === null && !joining.isKnownTo(requestor.server)) return;
  await forgetOlderKeys(joining.dataFolder);
  await joining.reloadKeys();
  tell({ time: 'T3', level: 'info', text: 'the keys before the last roll-over are destroyed' });
}
