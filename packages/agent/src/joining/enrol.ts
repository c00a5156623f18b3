/**
 * T1 and T3 of joining, at the requestor. The enrolment goes out by the ordinary outbox and is repeated until the server has
 * answered; before that no exchange is composed, since the server would take it for a stranger's.
 *
 *   begin ─▶ waiting ──answer "joined"──▶ joined: the cycle begins, in a new incarnation where the server knows an earlier life
 *               │└──no answer: again, each time after twice as long──┘
 *               └──answer "late", "used"──▶ refused: until another invitation is given
 */
import { DirpostError, type Enrolment, enter, loadOwn, type Outgoing, type StoreTx } from '@dirpost/core';
import {
  enrolmentRequest,
  type EnrolmentAnswer,
  proofKeyOf,
  proofOf,
  publicKeys,
  readEnrolmentAnswer,
} from '@dirpost/message';
import type { Postoffice } from '../postoffice.ts';
import { describeEnrolment, type EnrolmentRecord, loadEnrolment, saveEnrolment } from './enrolment-record.ts';
import type { Invitation } from './invitation.ts';
import type { Joining } from './joining.ts';

type Joiner = Postoffice & { joining?: Joining };

/**
 * Composes the enrolment; it is sent with the next send. A second one takes the place of the first. `mail`: the own mail
 * address, where there is one.
 */
export async function beginEnrolment(postoffice: Joiner, invitation: Invitation, mail?: string): Promise<void> {
  const { store, requestor, random, clock } = postoffice;
  const joining = requireJoining(postoffice);
  const { signing, recipient } = await publicKeys(joining.keys);
  const { id, server, name } = invitation;
  const proof = proofOf(proofKeyOf(invitation.secret), { invitation: id, server, name, signing, recipient });
  await store.transaction(async (tx) => {
    const { incarnation } = await loadOwn(tx);
    const told = mail === undefined ? {} : { mail };
    const request = { signing, recipient, version: requestor.version, proof, ...told };
    const payload = requestor.codec.encode(enrolmentRequest(incarnation, request), []);
    const record: EnrolmentRecord = {
      state: 'waiting',
      server,
      invitation: id,
      payload: Buffer.from(payload).toString('base64'),
      messageId: Buffer.from(random(16)).toString('hex'),
      begunMs: clock.now(),
      attempts: 0,
      lastMs: 0,
      answer: null,
      answeredMs: null,
    };
    await putAgain(tx, postoffice, record);
  });
  joining.enrolling = id;
}

/** For T1: whether joining is not finished, so that no exchange is to be composed. Repeats the enrolment, and says so. */
export async function repeatEnrolment(postoffice: Postoffice): Promise<boolean> {
  const record = await postoffice.store.read(loadEnrolment);
  if (record === undefined || record.state === 'joined') return false;
  const level = record.state === 'refused' ? 'error' : 'warning';
  postoffice.tell({ time: 'T1', level, text: describeEnrolment(record)! });
  if (record.state === 'waiting') {
    await postoffice.store.transaction((tx) => putAgain(tx, postoffice, record));
  }
  return true;
}

/** When the server is to be asked again; null: never by itself. Undefined: joining is finished, exchanges have their own times. */
export async function enrolmentDueMs({ store, clock, retry }: Postoffice): Promise<number | null | undefined> {
  const record = await store.read(loadEnrolment);
  if (record === undefined || record.state === 'joined') return undefined;
  if (record.state === 'refused') return null;
  // The clock went back meanwhile.
  if (record.lastMs > clock.now()) return clock.now();
  const doublings = Math.min(Math.max(record.attempts - 1, 0), 30);
  return record.lastMs + Math.min(retry.exchangeAfterMs * 2 ** doublings, retry.exchangeAtMostMs);
}

async function putAgain(tx: StoreTx, postoffice: Postoffice, record: EnrolmentRecord): Promise<void> {
  const { requestor, clock } = postoffice;
  const waiting = await tx.outgoing({ to: record.server, kind: 'enrolment' });
  await tx.removeOutgoing(waiting.map(({ id }) => id));
  const { incarnation } = await loadOwn(tx);
  const message: Outgoing = {
    id: record.messageId,
    to: requestor.server,
    kind: 'enrolment',
    forIncarnation: null,
    incarnation,
    number: 0,
    part: 0,
    parts: 1,
    payload: Buffer.from(record.payload, 'base64'),
    createdMs: clock.now(),
    deliveredMs: null,
    attempts: 0,
    nextAttemptMs: clock.now(),
    lastError: null,
  };
  await tx.putOutgoing(message);
  await saveEnrolment(tx, { ...record, attempts: record.attempts + 1, lastMs: clock.now() });
}

/** T3: the server's answer. One to another invitation, or one more, says nothing new. */
export async function receiveAnswer(postoffice: Joiner, from: string, head: Enrolment): Promise<void> {
  const { store, requestor, clock } = postoffice;
  const answer = readEnrolmentAnswer(head);
  const taken = await store.transaction(async (tx) => {
    const record = await loadEnrolment(tx);
    if (record?.state !== 'waiting' || record.invitation !== answer.invitation) return null;
    const waiting = await tx.outgoing({ to: requestor.server, kind: 'enrolment' });
    await tx.removeOutgoing(waiting.map(({ id }) => id));
    const state = answer.result === 'joined' ? 'joined' : 'refused';
    const answered: EnrolmentRecord = { ...record, state, payload: '', answer, answeredMs: clock.now() };
    await saveEnrolment(tx, answered);
    const renewed = state === 'joined' && (await enter(tx, requestor, answer));
    return { answered, renewed };
  });
  if (taken === null)
    return postoffice.tell({ time: 'T3', level: 'info', text: `enrolment: ${from} has said it before` });
  if (postoffice.joining !== undefined) postoffice.joining.enrolling = null;
  if (answer.result === 'joined') {
    const list = answer.list === null ? 'no address list yet' : `the list ${answer.list}`;
    const earlier = taken.renewed ? '; an earlier life of it is known there, so everything is submitted anew' : '';
    postoffice.tell({
      time: 'T3',
      level: 'info',
      text: `joined: ${from} knows this postoffice now; it follows ${list}${earlier}`,
    });
  } else {
    postoffice.tell({ time: 'T3', level: 'error', text: describeEnrolment(taken.answered)! });
  }
}

/** For people: "persons and groups, mail in oslo.example.org, at most 200 entries". */
export function describePublish({ kinds, mailDomains, maxEntries }: EnrolmentAnswer['publish']): string {
  const mail = mailDomains === undefined ? 'mail in any domain that no other has' : `mail in ${mailDomains.join(', ')}`;
  const most = maxEntries === undefined ? [] : [`at most ${maxEntries} entries`];
  return [kinds === undefined ? 'all kinds' : `only ${kinds.join(', ')}`, mail, ...most].join('; ');
}

export function requireJoining({ joining }: Joiner): Joining {
  if (joining !== undefined) return joining;
  throw new DirpostError('wrong-use', 'This postoffice was opened without its peers and invitations.');
}
