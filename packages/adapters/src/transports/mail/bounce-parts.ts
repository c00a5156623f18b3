/** Fetches of a notification only what is read of it: its status part, the returned header fields, some words. */
import type { BounceTexts } from './bounce.ts';
import type { Connection } from './connection.ts';
import { fetchParts } from './fetching.ts';
import type { BounceSight, Leaf, MailSummary } from './recognise.ts';
import { decodeTransfer } from './transfer-encoding.ts';

/** Of each part, encoded octets. */
const MAX_PART_BYTES = 64 * 1024;

/** null: the server gives nothing of it; most often it is gone. */
export async function readBounceParts(
  connection: Connection,
  { uid, fields }: MailSummary,
  { status, returned, text }: BounceSight,
): Promise<BounceTexts | null> {
  const leaves = [status, returned, text].filter((leaf) => leaf !== null);
  if (leaves.length === 0) return { fields, status: null, returned: null, text: '' };
  const parts = [...new Set(leaves.map(({ part }) => part))];
  for await (const fetched of fetchParts(connection, [uid], parts, MAX_PART_BYTES)) {
    if (fetched.parts.size === 0) return null;
    const read = (leaf: Leaf | null) => (leaf === null ? null : textOf(fetched.parts.get(leaf.part), leaf));
    return { fields, status: read(status), returned: read(returned), text: read(text) ?? '' };
  }
  return null;
}

function textOf(encoded: Buffer | undefined, { part, encoding, type }: Leaf): string | null {
  if (encoded === undefined) return null;
  // Header fields have no transfer encoding of their own; that of the mail around them is for its body.
  const decoded = part.endsWith('.HEADER') ? encoded : decodeTransfer(encoded, encoding, true);
  const text = (decoded ?? encoded).toString('utf8');
  return type === 'text/html' ? plain(text) : text;
}

function plain(html: string): string {
  return html
    .replace(/<(?:br|\/p|\/div|\/tr|\/h\d)\b[^<>]{0,200}>/gi, '\n')
    .replace(/<[^<>]{0,2000}>/g, ' ')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&nbsp;', ' ')
    .replaceAll('&amp;', '&');
}
