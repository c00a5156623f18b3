/** Header fields of a mail (RFC 5322 §2.2) as a server returns them: unfolded, by their name in lower case. */

/** Of one mail; more are not looked at. */
const MAX_FIELDS = 500;

export class HeaderFields {
  readonly #values: ReadonlyMap<string, string[]>;

  /** Octets as they stand in a mail, to its first empty line. What is no field is left out. */
  constructor(block: Uint8Array | string) {
    const text = typeof block === 'string' ? block : Buffer.from(block).toString('utf8');
    const values = new Map<string, string[]>();
    let count = 0;
    for (const line of unfoldedLines(text)) {
      const found = /^([!-9;-~]+)[ \t]*:(.*)$/s.exec(line);
      if (found === null) continue;
      if (++count > MAX_FIELDS) break;
      const name = found[1]!.toLowerCase();
      values.set(name, [...(values.get(name) ?? []), found[2]!.trim()]);
    }
    this.#values = values;
  }

  get isEmpty(): boolean {
    return this.#values.size === 0;
  }

  /** The first of that name, in any case of letters; null: there is none. */
  get(name: string): string | null {
    return this.#values.get(name.toLowerCase())?.[0] ?? null;
  }

  all(name: string): readonly string[] {
    return this.#values.get(name.toLowerCase()) ?? [];
  }

  has(name: string): boolean {
    return this.#values.has(name.toLowerCase());
  }
}

function unfoldedLines(text: string): string[] {
  const lines: string[] = [];
  for (const line of text.replace(/^(?:\r?\n)+/, '').split(/\r?\n/)) {
    if (line === '') break;
    if (/^[ \t]/.test(line) && lines.length > 0) lines.push(`${lines.pop()!}${line}`);
    else lines.push(line);
  }
  return lines;
}

/** For people: one line of at most `maxLength` characters without control characters. */
export function oneLine(text: string, maxLength: number): string {
  const plain = text
    // oxlint-disable-next-line no-control-regex -- these are what is to go
    .replace(/[\s\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g, ' ')
    .trim();
  return plain.length <= maxLength ? plain : `${plain.slice(0, maxLength - 1)}…`;
}
