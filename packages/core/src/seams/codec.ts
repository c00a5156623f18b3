/**
 * Payloads as bytes, so that core can put what is to be sent into the same store transaction as the data, without
 * knowing the encoding (`message` implements it; format.md, "Payload"). The same message gives the same bytes; at a server,
 * changes that came from their owner go on as he encoded them.
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
}
