/**
 * T2 of joining, at the server: an enrolment comes in, by an invitation that was given to that name.
 *
 *   wrong proof ─▶ counted, never answered; after ten the invitation is void
 *   right proof ─▶ used before with the same keys: the same answer again · with other keys: "used"
 *               ─▶ too late, by the clock of this server alone: "late"
 *               ─▶ the keys are known from now on, and the answer says where the new postoffice stands
 *
 * The keys are durable before the answer is composed, so a crash between the two leaves a repeat, which is answered.
 */
import {
  applyDefinitions,
  dropWaiting,
  type Enrolment,
  findRequestor,
  loadServer,
  saveServer,
  type ServerContext,
  type StoreTx,
  welcome,
} from '@dirpost/core';
import {
  enrolmentAnswer,
  type EnrolmentAnswer,
  type EnrolmentRequest,
  type EnrolmentResult,
  fingerprint,
  isProof,
  type OpenedMessage,
  readEnrolmentRequest,
} from '@dirpost/message';
import type { Peer } from '../peers.ts';
import type { Postoffice } from '../postoffice.ts';
import { requireJoining } from './enrol.ts';
import { type GivenInvitation, MAX_WRONG_PROOFS, stateOf } from './invitations.ts';
import type { Joining } from './joining.ts';
import { countRefused, forgetRefused, refuseSender } from './refused-senders.ts';

type Inviter = Postoffice & { joining?: Joining };

interface Applying {
  postoffice: Inviter;
  server: ServerContext;
  joining: Joining;
  given: GivenInvitation;
  request: EnrolmentRequest;
  /** Of the new postoffice. */
  incarnation: string;
}

/** Throws DirpostError `message-sender` for what is never answered, `message-payload` for what is malformed. */
export async function acceptEnrolment(
  postoffice: Inviter,
  server: ServerContext,
  opened: OpenedMessage,
  head: Enrolment,
): Promise<void> {
  const { from } = opened.envelope;
  const joining = requireJoining(postoffice);
  const mark = opened.enrolment;
  const given = joining.invitations.get(from);
  // The one who is let in by his keys, and the one who is let in by an invitation, must be the same.
  if (mark === undefined || given?.id !== mark.invitation) {
    return refuseSender(postoffice, from, `${from} sent an enrolment without an invitation.`);
  }
  const request = readEnrolmentRequest(head);
  const { signing, recipient } = request;
  const proven = { invitation: given.id, server: server.name, name: from, signing, recipient };
  const isRight = signing === mark.signing && isProof(request.proof, Buffer.from(given.proofKey, 'hex'), proven);
  if (!isRight) return refuseWrongProof(postoffice, joining, given);
  const applying = { postoffice, server, joining, given, request, incarnation: head.incarnation };
  const nowMs = postoffice.clock.now();
  if (given.used !== null && !isSame(given.used, request)) return refuse(applying, 'used');
  if (given.used !== null && !isSame(keysOf(joining.peers.get(from)), request)) return refuse(applying, 'used');
  if (given.used !== null) {
    if (!(await hasEntered(applying, given.used.atMs))) await noteMail(applying);
    return answerJoined(applying, true);
  }
  if (stateOf(given, nowMs) === 'late') return refuse(applying, 'late');
  await admit(applying, nowMs);
  return answerJoined(applying, false);
}

async function refuseWrongProof(postoffice: Inviter, joining: Joining, given: GivenInvitation): Promise<void> {
  const { name } = given;
  // One that is used, or void, has nothing left to guess.
  const wrong = given.used === null ? await joining.invitations.countWrongProof(given) : given.wrongProofs;
  if (wrong === MAX_WRONG_PROOFS) {
    const text = `somebody tried ${wrong} times to join as ${name} without the secret of its invitation, which is void now; invite ${name} again`;
    postoffice.tell({ time: 'T2', level: 'warning', text, details: { name } });
  }
  await refuseSender(
    postoffice,
    name,
    `An enrolment as ${name} does not prove that it has the secret of the invitation.`,
  );
}

function keysOf(peer: Peer | undefined): { signing: string; recipient: string } | null {
  return peer === undefined ? null : { signing: peer.signing[0]!, recipient: peer.recipients[0]! };
}

function isSame(
  known: { signing: string; recipient: string } | null,
  { signing, recipient }: EnrolmentRequest,
): boolean {
  return known?.signing === signing && known.recipient === recipient;
}

/** It was heard since: so it asks no more, and what says so is an old enrolment that somebody has put there again. */
async function hasEntered({ postoffice, given }: Applying, sinceMs: number): Promise<boolean> {
  const record = await postoffice.store.read((tx) => findRequestor(tx, given.name));
  return record !== undefined && record.lastHeardMs >= sinceMs;
}

/** Who asks again may have got another mailbox meanwhile: there he waits for the answer. */
async function noteMail({ joining, request, given }: Applying): Promise<void> {
  // A command may have written beside.
  await joining.peers.reload();
  const known = joining.peers.get(given.name);
  const { mail } = request;
  if (known !== undefined && mail !== undefined && known.mail !== mail) await joining.peers.save({ ...known, mail });
}

/** A new invitation is the administrator's word that other keys may take the place of the old ones. */
async function admit({ postoffice, server, joining, given, request }: Applying, nowMs: number): Promise<void> {
  const { name } = given;
  const { signing, recipient } = request;
  const known = joining.peers.get(name);
  const print = fingerprint({ signing, recipient });
  const rules = JSON.stringify([...server.rules]);
  const mail = request.mail ?? known?.mail;
  await joining.peers.save({
    name,
    role: 'requestor',
    signing: [signing],
    recipients: [recipient],
    fingerprint: print,
    madeAtMs: nowMs,
    publish: given.publish,
    joinedAtMs: nowMs,
    ...(mail === undefined ? {} : { mail }),
  });
  await joining.invitations.use(given, request, nowMs);
  await postoffice.store.transaction(
    async (tx) => {
      await forgetRefused(tx, name);
      if (known !== undefined && known.fingerprint !== print) await dropWaiting(tx, name);
      // Others may no longer publish mail in domains that are this one's now.
      if (rules !== JSON.stringify([...server.rules])) await defineAnew(tx, server);
    },
    { large: true },
  );
  const details = { name, fingerprint: print, before: known?.fingerprint ?? null };
  if (known === undefined || known.fingerprint === print) {
    return postoffice.tell({ time: 'T2', level: 'info', text: `${name} has joined: fingerprint ${print}`, details });
  }
  const text = `${name} has joined anew, with other keys: fingerprint ${print}, before ${known.fingerprint}`;
  postoffice.tell({ time: 'T2', level: 'warning', text, details });
}

async function defineAnew(tx: StoreTx, server: ServerContext): Promise<void> {
  const record = await loadServer(tx);
  await applyDefinitions(tx, server, record);
  await saveServer(tx, record);
}

async function answerJoined(applying: Applying, again: boolean): Promise<void> {
  const { postoffice, server, given } = applying;
  const { name } = given;
  const { store, random, clock } = postoffice;
  await store.transaction(async (tx) => {
    const answer = await compose(tx, applying, 'joined');
    const waiting = await tx.outgoing({ to: name, kind: 'enrolment' });
    await tx.removeOutgoing(waiting.map(({ id }) => id));
    await tx.putOutgoing({
      id: Buffer.from(random(16)).toString('hex'),
      to: name,
      kind: 'enrolment',
      forIncarnation: applying.incarnation,
      incarnation: answer.heard,
      number: 0,
      part: 0,
      parts: 1,
      payload: server.codec.encode(enrolmentAnswer(answer.heard, answer), []),
      createdMs: clock.now(),
      deliveredMs: null,
      attempts: 0,
      nextAttemptMs: clock.now(),
      lastError: null,
    });
  });
  if (again) postoffice.tell({ time: 'T2', level: 'info', text: `enrolment of ${name}: a repeat; answered again` });
}

async function compose(
  tx: StoreTx,
  { postoffice, server, given }: Applying,
  result: EnrolmentResult,
): Promise<EnrolmentAnswer> {
  const { stamp, heard, list } = await welcome(tx, server, given.name);
  const times = { nowMs: postoffice.clock.now(), expiresMs: given.expiresMs };
  const publish = server.rules.get(given.name) ?? {};
  const invitation = given.id;
  // Who was refused learns nothing about the one who bears the name.
  if (result !== 'joined') return { invitation, result, stamp: '', heard, list: null, publish: {}, ...times };
  return { invitation, result, stamp, heard, list, publish, ...times };
}

/**
 * Sealed for the keys that proved to have the secret, and sent at once: there is no outbox for those who are not known. A
 * transport that fails is no harm, the enrolment is repeated.
 */
async function refuse(applying: Applying, result: 'late' | 'used'): Promise<void> {
  const { postoffice, server, joining, given, request, incarnation } = applying;
  const { name } = given;
  const { signing, recipient } = request;
  const why = result === 'late' ? 'its invitation has ended' : 'its invitation was used before, by others';
  const print = fingerprint({ signing, recipient });
  const text = `${name} wanted to join (fingerprint ${print}); refused: ${why}`;
  postoffice.tell({ time: 'T2', level: 'warning', text, details: { name, fingerprint: print } });
  await postoffice.store.transaction((tx) => countRefused(tx, name, why, postoffice.clock.now()));
  const told = request.mail === undefined ? {} : { mail: request.mail };
  joining.noteApplicant(name, { signing: [signing], recipients: [recipient], ...told });
  const answer = await postoffice.store.read((tx) => compose(tx, applying, result));
  const payload = server.codec.encode(enrolmentAnswer(answer.heard, answer), []);
  const id = Buffer.from(postoffice.random(16)).toString('hex');
  const createdMs = postoffice.clock.now();
  const envelope = { id, from: postoffice.name, to: name, forIncarnation: incarnation, createdMs };
  const bytes = await postoffice.sealer.seal(envelope, payload, [recipient]);
  await deliver(postoffice, joining, { id, to: name, bytes });
}

async function deliver(
  postoffice: Inviter,
  joining: Joining,
  file: { id: string; to: string; bytes: Uint8Array },
): Promise<void> {
  // A mailbox is only for the keys that bear the name: there the refusal would wait for ever, and fill it up; and by mail it
  // would go to the one who bears the name.
  const isTaken = joining.peers.get(file.to) !== undefined;
  const transports = (await postoffice.routes.to(file.to)).filter(({ name }) => !(isTaken && name !== 'folder'));
  if (transports.length === 0 && isTaken) {
    const text = `the refusal is not sent: over http and mail only the ${file.to} that is known here is reached`;
    return postoffice.tell({ time: 'T2', level: 'info', text });
  }
  let problem = 'no transport is configured';
  for (const transport of transports) {
    try {
      return await transport.deliver({ ...file, from: postoffice.name }, AbortSignal.timeout(30_000));
    } catch (error) {
      problem = `${transport.name}: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  const text = `the refusal could not be sent to ${file.to}: ${problem}; it is sent when the enrolment is repeated`;
  postoffice.tell({ time: 'T2', level: 'warning', text });
}
