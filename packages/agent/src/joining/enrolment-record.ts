/** What a requestor remembers of its own joining: one document in its store. */
import type { StoreTx } from '@dirpost/core';
import type { EnrolmentAnswer } from '@dirpost/message';

export interface EnrolmentRecord {
  /** `waiting`: no exchange is sent until the server has answered. */
  state: 'waiting' | 'joined' | 'refused';
  server: string;
  /** Id of the invitation: 32 hexadecimal digits. */
  invitation: string;
  /** The enrolment as it is sent again and again, in base64: it holds the proof, not the secret. Empty once answered. */
  payload: string;
  messageId: string;
  begunMs: number;
  /** How often it was put to be sent, and when last. */
  attempts: number;
  lastMs: number;
  answer: EnrolmentAnswer | null;
  answeredMs: number | null;
}

const ENROLMENT = 'enrolment';

/** Undefined for a postoffice that did not join by an invitation. */
export async function loadEnrolment(tx: StoreTx): Promise<EnrolmentRecord | undefined> {
  return tx.getDocument<EnrolmentRecord>(ENROLMENT);
}

export async function saveEnrolment(tx: StoreTx, record: EnrolmentRecord): Promise<void> {
  await tx.putDocument(ENROLMENT, record);
}

/** A sentence for screens where joining is not finished; null where it is, or was not needed. */
export function describeEnrolment(record: EnrolmentRecord | undefined): string | null {
  if (record === undefined || record.state === 'joined') return null;
  const { server, answer } = record;
  if (record.state === 'waiting') {
    return `Joining: ${server} has not answered the invitation yet, and no exchange is sent before. It is asked again by itself.`;
  }
  const why = answer === null ? '' : `: ${whyRefused(answer)}`;
  return `Not joined: ${server} refused the invitation${why}. Have another made there, and run here: dirpost join`;
}

export function whyRefused({ result, nowMs, expiresMs }: EnrolmentAnswer): string {
  if (result === 'used') return 'somebody else has used it, with other keys';
  const at = (ms: number) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
  return `it came too late: it ended at ${at(expiresMs)} UTC, and the clock of the server showed ${at(nowMs)}`;
}
