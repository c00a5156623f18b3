/**
 * The header field by which a mail of ours is known again, whatever a server does to Message-ID, subject and attachment:
 *
 *   Dirpost-Message: id=<32 hexadecimal digits>; to=oslo; no=42; tag=<32 hexadecimal digits>
 *
 * A bounce returns it. The tag is made with a secret of the sender, so that nobody else can say of a mail that it came back.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { isPostofficeName, type PostofficeName } from '@dirpost/core';

export const MARK_HEADER = 'Dirpost-Message';

const TAG_DOMAIN = 'dirpost mail 1\0';
const TAG_BYTES = 16;

export interface Mark {
  /** Of the message file: 32 hexadecimal digits. */
  id: string;
  to: PostofficeName;
  number: number;
}

export function formatMark(mark: Mark, secret: Uint8Array): string {
  return `id=${mark.id}; to=${mark.to}; no=${mark.number}; tag=${tagOf(mark, secret).toString('hex')}`;
}

/** null: it is not in that form. `isAuthentic`: the tag was made with this secret, so the mail was sent from here. */
export function readMark(value: string, secret: Uint8Array): (Mark & { isAuthentic: boolean }) | null {
  // White space: a mail server may have folded the field (RFC 5322 §2.2.3).
  const found = /^\s*id=([0-9a-f]{32});\s*to=([a-z0-9-]{1,63});\s*no=(\d{1,15});\s*tag=([0-9a-f]{32})\s*$/.exec(value);
  if (found === null || !isPostofficeName(found[2]!)) return null;
  const mark = { id: found[1]!, to: found[2]!, number: Number(found[3]) };
  const isAuthentic = timingSafeEqual(Buffer.from(found[4]!, 'hex'), tagOf(mark, secret));
  return { ...mark, isAuthentic };
}

function tagOf({ id, to, number }: Mark, secret: Uint8Array): Buffer {
  return createHmac('sha256', secret).update(`${TAG_DOMAIN}${id}\0${to}\0${number}`).digest().subarray(0, TAG_BYTES);
}
