/**
 * What a server lets be written (RFC 4512 §4.1, §4.2): which attributes there are, and which a class must and may have. Read
 * once per write, so that what it would refuse is left out or told before.
 */
import { readEntry, type RootDse } from './root-dse.ts';
import type { Session } from './session.ts';

export interface ObjectClass {
  name: string;
  superiors: string[];
  must: string[];
  may: string[];
}

export interface Allowed {
  readonly must: ReadonlySet<string>;
  readonly may: ReadonlySet<string>;
}

export class Schema {
  /** Any name of an attribute type → its first name, all in lower case. */
  readonly #attributes = new Map<string, string>();
  readonly #single = new Set<string>();
  /** Whose values have to be asked for and given as `;binary`. */
  readonly #binary = new Set<string>();
  /** First name → its description, whose rest few ask for. */
  readonly #texts = new Map<string, string>();
  readonly #classes = new Map<string, ObjectClass>();
  readonly #allowed = new Map<string, Allowed>();

  /** `contentRules` (RFC 4512 §4.1.6): which auxiliary classes and attributes a class has besides; Active Directory. */
  constructor(attributeTypes: string[], objectClasses: string[], contentRules: string[] = []) {
    for (const text of attributeTypes) this.#addAttribute(text);
    for (const text of objectClasses) this.#addClass(text);
    for (const text of contentRules) this.#addRule(text);
  }

  hasClass(name: string): boolean {
    return this.#classes.has(name.toLowerCase());
  }

  hasAttribute(name: string): boolean {
    return this.#attributes.has(plain(name));
  }

  isSingleValued(name: string): boolean {
    return this.#single.has(this.#attributes.get(plain(name)) ?? '');
  }

  /** In dotted digits, also where a type has it from the one above it (RFC 4512 §2.5.1); null: it does not say. */
  syntaxOf(name: string): string | null {
    return this.#described(name, /\bSYNTAX\s+'?([\d.]+)/);
  }

  /** By which its values are equal; null: none is known. */
  equalityOf(name: string): string | null {
    return this.#described(name, /\bEQUALITY\s+([^\s()]+)/);
  }

  #described(name: string, wanted: RegExp): string | null {
    let of = this.#attributes.get(plain(name));
    // A schema with a ring is no reason to stay here.
    for (let above = 0; of !== undefined && above < 16; above++) {
      const text = withoutDescription(this.#texts.get(of) ?? '');
      const found = wanted.exec(text);
      if (found !== null) return found[1]!;
      const [superior] = oidsIn(text, 'SUP');
      of = superior === undefined ? undefined : this.#attributes.get(superior.toLowerCase());
    }
    return null;
  }

  /** Of these classes and those above them; first names, in lower case. Remembered: entries have the same few classes. */
  allowedBy(classes: string[]): Allowed {
    const key = classes.join(' ');
    let allowed = this.#allowed.get(key);
    if (allowed === undefined) this.#allowed.set(key, (allowed = this.#findAllowed(classes)));
    return allowed;
  }

  #findAllowed(classes: string[]): Allowed {
    const must = new Set<string>();
    const may = new Set<string>();
    const seen = new Set<string>();
    const waiting = classes.map((name) => name.toLowerCase());
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      const found = this.#classes.get(name);
      if (found === undefined || seen.has(name)) continue;
      seen.add(name);
      for (const one of found.must) must.add(this.firstNameOf(one));
      for (const one of found.may) may.add(this.firstNameOf(one));
      waiting.push(...found.superiors.map((superior) => superior.toLowerCase()));
    }
    // It is allowed everything.
    if (seen.has('extensibleobject')) for (const name of this.#attributes.values()) may.add(name);
    return { must, may };
  }

  isAllowed(name: string, { must, may }: Allowed): boolean {
    const first = this.#attributes.get(plain(name));
    return first !== undefined && (must.has(first) || may.has(first));
  }

  /** In lower case; of an attribute that is not known the name itself. */
  firstNameOf(name: string): string {
    return this.#attributes.get(plain(name)) ?? plain(name);
  }

  /** As firstNameOf, with the options: so the server names it, whatever name it was given by. */
  descriptionOf(name: string): string {
    const semicolon = name.indexOf(';');
    const first = this.firstNameOf(name);
    const description = semicolon < 0 ? first : first + name.slice(semicolon).toLowerCase();
    // RFC 4523 §2.1: by no other name they are taken.
    return this.#binary.has(first) && !/;binary(?:;|$)/.test(description) ? `${description};binary` : description;
  }

  #addAttribute(text: string): void {
    const names = [...namesIn(text), oidIn(text)].map((name) => name.toLowerCase());
    for (const name of names) this.#attributes.set(name, names[0]!);
    this.#texts.set(names[0]!, text);
    if (/\bSINGLE-VALUE\b/.test(withoutQuoted(text))) this.#single.add(names[0]!);
    if (CERTIFICATES.test(withoutDescription(text))) this.#binary.add(names[0]!);
  }

  #addRule(text: string): void {
    const described = this.#classes.get(oidIn(text).toLowerCase());
    if (described === undefined) return;
    described.superiors.push(...oidsIn(text, 'AUX'));
    described.must.push(...oidsIn(text, 'MUST'));
    described.may.push(...oidsIn(text, 'MAY'));
  }

  #addClass(text: string): void {
    const names = namesIn(text);
    const [name = oidIn(text)] = names;
    const described: ObjectClass = {
      name,
      superiors: oidsIn(text, 'SUP'),
      must: oidsIn(text, 'MUST'),
      may: oidsIn(text, 'MAY'),
    };
    for (const one of [...names, oidIn(text)]) this.#classes.set(one.toLowerCase(), described);
  }
}

/** RFC 4523 §2.1 to §2.3: a certificate, a list of them, a pair. Active Directory has octets in their places. */
const CERTIFICATES = /\bSYNTAX\s+'?1\.3\.6\.1\.4\.1\.1466\.115\.121\.1\.(?:8|9|10)\b/;

/** null: the server does not show it, and what it refuses is seen when it is written. */
export async function readSchema(session: Session, { schema }: RootDse, signal: AbortSignal): Promise<Schema | null> {
  if (schema === null) return null;
  const attributes = ['attributeTypes', 'objectClasses', 'dITContentRules'];
  const entry = await readEntry(session, schema, attributes, { signal, filter: '(objectClass=subschema)' });
  const texts = (name: string) => (entry?.attributes.get(name) ?? []).map((value) => value.toString());
  const [types, classes] = [texts('attributetypes'), texts('objectclasses')];
  return types.length === 0 || classes.length === 0 ? null : new Schema(types, classes, texts('ditcontentrules'));
}

function plain(name: string): string {
  const lower = name.toLowerCase();
  const semicolon = lower.indexOf(';');
  return semicolon < 0 ? lower : lower.slice(0, semicolon);
}

function oidIn(text: string): string {
  return /^\(\s*([^\s()']+)/.exec(text)?.[1] ?? '';
}

/** `NAME 'cn'` or `NAME ( 'cn' 'commonName' )`. */
function namesIn(text: string): string[] {
  const found = /\bNAME\s+(?:'([^']*)'|\(([^)]*)\))/.exec(text);
  if (found === null) return [];
  return found[1] === undefined ? [...found[2]!.matchAll(/'([^']*)'/g)].map(([, name]) => name!) : [found[1]];
}

/** Descriptions may hold anything. */
function withoutQuoted(text: string): string {
  return text.replaceAll(/'[^']*'/g, "''");
}

/** Samba quotes a syntax too. */
function withoutDescription(text: string): string {
  return text.replace(/\bDESC\s+'[^']*'/, '');
}

/** `MUST cn` or `MUST ( sn $ cn )`. */
function oidsIn(text: string, word: string): string[] {
  const found = new RegExp(`\\b${word}\\s+(?:\\(([^)]*)\\)|([^\\s()]+))`).exec(withoutQuoted(text));
  if (found === null) return [];
  return (found[1] ?? found[2]!).split('$').map((name) => name.trim());
}
