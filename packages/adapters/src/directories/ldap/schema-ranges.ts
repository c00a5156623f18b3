/** How long values may be in Active Directory (MS-ADTS 3.1.1.3.1.1.3, extendedAttributeInfo); other servers set no limit by their schema. */
import { readEntry, type RootDse } from './root-dse.ts';
import type { Session } from './session.ts';

/** Both included. Of numbers the value, else the length. */
export interface ValueRange {
  lower: number;
  upper: number;
}

/** By the name of the attribute, in lower case. Throws DirpostError `directory-failed`. */
export async function readRanges(
  session: Session,
  { schema, kind }: RootDse,
  signal: AbortSignal,
): Promise<Map<string, ValueRange>> {
  const ranges = new Map<string, ValueRange>();
  if (schema === null || kind !== 'ad') return ranges;
  const entry = await readEntry(session, schema, ['extendedAttributeInfo'], {
    signal,
    filter: '(objectClass=subschema)',
  });
  for (const value of entry?.attributes.get('extendedattributeinfo') ?? []) {
    const text = value.toString();
    const name = /\bNAME\s+'([^']*)'/.exec(text)?.[1];
    const range = {
      lower: numberAfter('RANGE-LOWER', text, -Infinity),
      upper: numberAfter('RANGE-UPPER', text, Infinity),
    };
    if (name !== undefined && (range.lower > -Infinity || range.upper < Infinity))
      ranges.set(name.toLowerCase(), range);
  }
  return ranges;
}

function numberAfter(word: string, text: string, otherwise: number): number {
  const found = new RegExp(`\\b${word}\\s+'(-?\\d+)'`).exec(text);
  return found === null ? otherwise : Number(found[1]);
}
