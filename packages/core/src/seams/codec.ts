/**
 * Payloads as bytes, so that core can put what is to be sent into the same store transaction as the data, without
 * knowing the encoding (`message` implements it; format.md, "Payload"). The same message gives the same bytes; at a server,
 * changes that were accepted from their owner may go on as he encoded them.
 */
import type { Change, MessageHead } from '../change.ts';

export interface Codec {
  /** Head and changes, compressed. The order of changes is not kept: they come back ascending by number. */
  encode(head: MessageHead, changes: Change[]): Uint8Array;
  /** The same changes under another head, without encoding them again: the number of parts is known only at the end. */
  replaceHead(payload: Uint8Array, head: MessageHead): Uint8Array;
  /** Everything but the changes; cheap. Throws DirpostError `message-payload`, `message-critical` or `limit-exceeded`. */
  head(payload: Uint8Array): MessageHead;
  /** The changes; every whole entry is checked to be canonical, within limits and with a matching id. Throws as `head` does. */
  changes(payload: Uint8Array): Change[];
  /** Absent where nothing else can be done meanwhile. */
  beside?: BesideEncoder;
  /** At a server that passes on what owners encoded; elsewhere changes are read by `changes`. */
  readSubmission?(): SubmissionReader;
}

/** Encodes several parts at once, while other work goes on. It touches neither files nor lines, so that a transaction may wait for it. */
export interface BesideEncoder {
  /** So many at once, beside what is encoded by `encode` of the codec. */
  readonly parts: number;
  /** The same octets as Codec.encode gives. Throws as that, and `interrupted` where the means are lost half-way. */
  encode(head: MessageHead, changes: Change[]): Promise<Uint8Array>;
}

/** The parts of one submission. */
export interface SubmissionReader {
  /** As Codec.changes. */
  changes(payload: Uint8Array): Change[];
  /** They are their owner's: only now may what he encoded go on to others. Not called where they were refused. */
  accepted(): void;
}
