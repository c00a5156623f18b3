/**
 * Which parts of a batch of mails hold a message file, and their octets: those named like one are fetched at once, the
 * first octets of the others tell. Nothing is decided here about what becomes of a mail.
 */
import type { Connection } from './connection.ts';
import { fetchLarge, fetchParts, MAX_COMMAND_BYTES, SMALL_BYTES } from './fetching.ts';
import { parseArmour } from './armour.ts';
import type { FileSight, Leaf, MailSummary } from './recognise.ts';
import { decodeTransfer } from './transfer-encoding.ts';

const MAGIC = Buffer.from('DIRPOST1');
const ARMOUR_START = /-----BEGIN[\s>]+DIRPOST[\s>]+MESSAGE-----/;
/** Encoded octets of a part that tell whether it may be a message file. */
const START_BYTES = 128;

export interface Candidate {
  mail: MailSummary;
  sight: FileSight;
  /** Parts that hold a message file, or seem to. */
  files: Leaf[];
  /** The server gave nothing of its parts: most often it was removed meanwhile. */
  isGone: boolean;
}

export type Content =
  | { is: 'file'; bytes: Uint8Array }
  | { is: 'too-large' }
  /** Its transfer encoding is broken. */
  | { is: 'damaged' }
  | { is: 'nothing' }
  /** The server did not give it: most often the mail was removed meanwhile. */
  | { is: 'gone' };

/** Looks at the first octets of parts that are not named like a message file. Fills `files`. */
export async function probe(connection: Connection, candidates: Candidate[]): Promise<void> {
  const unsure = new Map<Candidate, Leaf[]>();
  for (const candidate of candidates) {
    const { named, others } = candidate.sight;
    candidate.files = [...named];
    // Beside a file that is named like one the words for people need not be read.
    const leaves = named.length === 0 ? others : others.filter(({ type }) => !type.startsWith('text/'));
    if (leaves.length > 0) unsure.set(candidate, leaves);
  }
  for (const group of alike([...unsure.keys()], (candidate) => unsure.get(candidate)!)) {
    const byUid = new Map(group.map((candidate) => [candidate.mail.uid, candidate]));
    const parts = unsure.get(group[0]!)!.map(({ part }) => part);
    for (const candidate of group) candidate.isGone = true;
    for await (const fetched of fetchParts(connection, [...byUid.keys()], parts, START_BYTES)) {
      const candidate = byUid.get(fetched.uid);
      if (candidate === undefined) continue;
      // Of parts without octets a server may say nothing.
      if (fetched.parts.size === 0 && sizeOf(unsure.get(candidate)!) > 0) continue;
      candidate.isGone = false;
      for (const leaf of unsure.get(candidate)!) {
        const start = fetched.parts.get(leaf.part);
        if (start !== undefined && isOurStart(start, leaf.encoding)) candidate.files.push(leaf);
      }
    }
  }
  // The armour may stand behind a banner that a filter put there.
  for (const { sight, files } of candidates) {
    if (sight.seemsOurs && files.length === 0)
      files.push(...sight.others.filter(({ type }) => type.startsWith('text/')));
  }
}

/**
 * Each mail with the contents of its `files`, one part after another, so that one part is in memory at a time: small ones
 * of many mails by one command, large ones alone. Several mails come in any order.
 */
export async function* fetchFiles(
  connection: Connection,
  candidates: readonly Candidate[],
  maxMessageBytes: number,
): AsyncGenerator<{ candidate: Candidate; contents: AsyncIterable<Content> | Iterable<Content> }> {
  const large = candidates.filter((candidate) => !isSmall(candidate));
  for (const group of alike(candidates.filter(isSmall), ({ files }) => files)) {
    for (const batch of batched(group)) {
      const byUid = new Map(batch.map((candidate) => [candidate.mail.uid, candidate]));
      const parts = batch[0]!.files.map(({ part }) => part);
      for await (const fetched of fetchParts(connection, [...byUid.keys()], parts, SMALL_BYTES + 1)) {
        const candidate = byUid.get(fetched.uid);
        if (candidate === undefined || !byUid.delete(fetched.uid)) continue;
        const octets = candidate.files.map((leaf) => fetched.parts.get(leaf.part));
        // Its size was not what the server said.
        if (octets.some((encoded) => encoded === undefined || encoded.length > SMALL_BYTES)) large.push(candidate);
        else {
          const contents = candidate.files.map((leaf, i) => contentOf(octets[i]!, leaf, maxMessageBytes));
          yield { candidate, contents };
        }
      }
      for (const candidate of byUid.values()) yield { candidate, contents: [{ is: 'gone' }] };
    }
  }
  for (const candidate of large) yield { candidate, contents: fetchAlone(connection, candidate, maxMessageBytes) };
}

async function* fetchAlone(
  connection: Connection,
  { mail, files }: Candidate,
  maxMessageBytes: number,
): AsyncGenerator<Content> {
  for (const leaf of files) {
    const maxBytes = encodedBytes(maxMessageBytes, leaf.encoding);
    const encoded = leaf.size > maxBytes ? 'too-large' : await fetchLarge(connection, mail.uid, leaf.part, maxBytes);
    if (encoded === 'too-large') yield await tooLarge(connection, mail, leaf);
    else yield encoded === null ? { is: 'gone' } : contentOf(encoded, leaf, maxMessageBytes);
  }
}

/** Only what is really one of ours is complained about. */
async function tooLarge(connection: Connection, mail: MailSummary, leaf: Leaf): Promise<Content> {
  for await (const { parts } of fetchParts(connection, [mail.uid], [leaf.part], START_BYTES)) {
    const start = parts.get(leaf.part);
    if (start !== undefined && isOurStart(start, leaf.encoding)) return { is: 'too-large' };
  }
  return { is: 'nothing' };
}

export function contentOf(encoded: Uint8Array, { encoding }: Leaf, maxMessageBytes: number): Content {
  const decoded = decodeTransfer(encoded, encoding);
  if (decoded === null) return isOurStart(encoded, encoding) ? { is: 'damaged' } : { is: 'nothing' };
  const bytes = isMessageFile(decoded) ? decoded : parseArmour(decoded);
  if (bytes === null) return ARMOUR_START.test(startOf(decoded)) ? { is: 'damaged' } : { is: 'nothing' };
  if (!isMessageFile(bytes)) return { is: 'nothing' };
  return bytes.length > maxMessageBytes ? { is: 'too-large' } : { is: 'file', bytes };
}

function isOurStart(encoded: Uint8Array, encoding: string): boolean {
  const start = decodeTransfer(encoded.subarray(0, START_BYTES), encoding, true);
  return start !== null && (isMessageFile(start) || ARMOUR_START.test(startOf(start)));
}

function isMessageFile(bytes: Uint8Array): boolean {
  return MAGIC.equals(bytes.subarray(0, MAGIC.length));
}

function startOf(bytes: Buffer): string {
  return bytes.toString('latin1', 0, START_BYTES);
}

/** A file of that size in base64, also armoured, with generous line ends; quoted-printable may need three for one. */
function encodedBytes(maxMessageBytes: number, encoding: string): number {
  return maxMessageBytes * (encoding.toLowerCase() === 'quoted-printable' ? 3.2 : 2) + 64 * 1024;
}

function isSmall({ files }: Candidate): boolean {
  return files.length > 0 && sizeOf(files) <= SMALL_BYTES;
}

function sizeOf(leaves: readonly Leaf[]): number {
  return leaves.reduce((sum, { size }) => sum + size, 0);
}

/** Mails whose parts have the same numbers can be asked for by one command. */
function alike(candidates: readonly Candidate[], leavesOf: (candidate: Candidate) => Leaf[]): Candidate[][] {
  const groups = new Map<string, Candidate[]>();
  for (const candidate of candidates) {
    const parts = leavesOf(candidate)
      .map(({ part }) => part)
      .join(' ');
    const group = groups.get(parts);
    if (group === undefined) groups.set(parts, [candidate]);
    else group.push(candidate);
  }
  return [...groups.values()];
}

function* batched(candidates: readonly Candidate[]): Generator<Candidate[]> {
  let batch: Candidate[] = [];
  let bytes = 0;
  for (const candidate of candidates) {
    const size = sizeOf(candidate.files);
    if (batch.length > 0 && bytes + size > MAX_COMMAND_BYTES) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(candidate);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
