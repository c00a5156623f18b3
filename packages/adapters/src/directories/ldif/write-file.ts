/** Replaces an LDIF file as a whole (T3); how that is made safe is in replace-file.ts. */
import { type DirectoryChange, isDirpostError, type Limits, normalizeDn, type WriteOutcome } from '@dirpost/core';
import { DnTable } from '../../dn-table.ts';
import { LdifEncoder } from '../../ldif/encoder.ts';
import { isAttributeName, RECORD_WORDS } from '../../ldif/names.ts';
import { replaceFile } from '../../replace-file.ts';

const FLUSH_BYTES = 1 << 18;
/** Names that mean something else in LDIF. */
const reserved: ReadonlySet<string> = new Set([...RECORD_WORDS, 'version']);

export function writeLdifFile(
  path: string,
  limits: Limits,
  changes: AsyncIterable<DirectoryChange>,
  signal: AbortSignal,
): AsyncGenerator<WriteOutcome> {
  return replaceFile(path, signal, async function* (append) {
    const encoder = new LdifEncoder();
    const seen = new DnTable();
    encoder.version();
    for await (const change of changes) {
      signal.throwIfAborted();
      const outcome = encode(change, encoder, seen, limits);
      if (encoder.length >= FLUSH_BYTES) {
        await append(encoder.bytes());
        encoder.reset();
      }
      yield outcome;
    }
    await append(encoder.bytes());
  });
}

function encode(change: DirectoryChange, encoder: LdifEncoder, seen: DnTable, limits: Limits): WriteOutcome {
  const { id } = change;
  // The file is written anew: what shall be gone is simply not in it.
  if (change.action === 'remove') return { id, result: 'written' };
  const refused = (code: string, reason: string): WriteOutcome => ({ id, result: 'refused', code, reason });
  const fault = unfit(change, limits);
  if (fault !== undefined) return refused('objectClassViolation', fault);
  try {
    const earlier = seen.add(normalizeDn(change.dn), 0);
    if (earlier !== undefined) return refused('entryAlreadyExists', `Another entry has the DN ${change.dn}.`);
  } catch (error) {
    if (!isDirpostError(error, 'dn-syntax')) throw error;
    return refused('invalidDNSyntax', error.message);
  }
  encoder.entry(change);
  return { id, result: 'written' };
}

/** Why it could not be read back. */
function unfit({ dn, attributes }: DirectoryChange, limits: Limits): string | undefined {
  if (attributes.size === 0) return `The entry ${dn} has no attributes.`;
  if (attributes.size > limits.maxAttributes)
    return `The entry ${dn} has more than ${limits.maxAttributes} attributes.`;
  let values = 0;
  let bytes = dn.length * 3;
  for (const [name, list] of attributes) {
    if (!isAttributeName(name) || reserved.has(name)) return `"${name}" cannot be an attribute in an LDIF file.`;
    if (list.length > limits.maxValues) return `${name} has more than ${limits.maxValues} values.`;
    values += list.length;
    for (const value of list) {
      if (value.length > limits.maxValueBytes)
        return `A value of ${name} is larger than ${limits.maxValueBytes} bytes.`;
      bytes += value.length;
    }
  }
  if (bytes > limits.maxEntryBytes) return `The entry ${dn} is larger than ${limits.maxEntryBytes} bytes.`;
  return values === 0 ? `The entry ${dn} has no values.` : undefined;
}
