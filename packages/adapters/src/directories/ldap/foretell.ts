/**
 * What the server would refuse of what is to be written, for preview: by its schema as it is now, and by what stands there. Refused
 * is said only where it is known; rights, and rules that are in no schema (a mail address that must be unique), are seen by the
 * write alone.
 *
 *   draft (write-entry.ts) ─▶ values ─▶ classes ─▶ demanded and allowed attributes ─▶ parent, and members in Active Directory
 */
import { isDirpostError, MEMBERS_MISSING, normalizeDn, parentDn, parseDn } from '@dirpost/core';
import { isThere, missingWords } from './group-members.ts';
import { isNeverWritten } from './never-written.ts';
import { pipelined } from './pipelined.ts';
import type { Modification, Operation } from './requests.ts';
import type { FoundEntry } from './responses.ts';
import { CONSTRAINT_VIOLATION, NO_SUCH_OBJECT, resultWord } from './results.ts';
import { readEntry, type RootDse } from './root-dse.ts';
import type { ValueRange } from './schema-ranges.ts';
import type { Schema } from './schema.ts';
import type { Session } from './session.ts';
import { DN_SYNTAX, wrongValue } from './value-syntax.ts';
import type { Draft } from './write-entry.ts';

export interface Refused {
  code: string;
  reason: string;
}

type Fault = 'class' | 'attribute' | 'not allowed' | 'single' | 'twice' | 'syntax' | 'naming';

const OPENLDAP: Record<Fault, string> = {
  class: 'invalidAttributeSyntax',
  attribute: 'undefinedAttributeType',
  'not allowed': 'objectClassViolation',
  single: 'constraintViolation',
  twice: 'attributeOrValueExists',
  syntax: 'invalidAttributeSyntax',
  naming: 'namingViolation',
};
/** Each has words of its own for the same. */
const CODES: Record<RootDse['kind'], Record<Fault, string>> = {
  openldap: OPENLDAP,
  generic: { ...OPENLDAP, class: 'objectClassViolation' },
  '389ds': {
    ...OPENLDAP,
    class: 'objectClassViolation',
    attribute: 'objectClassViolation',
    single: 'objectClassViolation',
  },
  ad: { ...OPENLDAP, class: 'noSuchAttribute', attribute: 'noSuchAttribute' },
};

export interface ForetellContext {
  session: Session;
  dse: Pick<RootDse, 'kind' | 'vendor'>;
  /** null: the server does not show it, and only of parents something is said. */
  schema: Schema | null;
  ranges: ReadonlyMap<string, ValueRange>;
  signal: AbortSignal;
}

/** As it would stand there, as far as it is known: attributes in lower case. */
type Wanted = Map<string, Uint8Array[]>;

export class Foreteller {
  readonly #context: ForetellContext;
  /** DNs that are written here, normalized: what was refused is taken out. */
  readonly #coming: Set<string>;
  /** DN, normalized → whether it will be there. */
  readonly #stands = new Map<string, boolean>();

  /** `dns`: of all that is to stand there when the write is over. */
  constructor(context: ForetellContext, dns: Iterable<string>) {
    this.#context = context;
    this.#coming = new Set(Array.from(dns, normalized));
  }

  /** In the order of the write. Throws DirpostError `directory-failed`. */
  async foretell(drafts: Draft[]): Promise<(Refused | null)[]> {
    const present = await pipelined(drafts, (draft) => this.#present(draft));
    await this.#learn(drafts.flatMap((draft) => [...parentsOf(draft), ...this.#referred(draft)]));
    return drafts.map((draft, i) => {
      const refused = draft.outcome === null ? this.#judge(draft, present[i]!) : null;
      this.#note(draft, refused);
      return refused;
    });
  }

  /** What of the entry the changes have to do with; null: it is new. */
  async #present({ operations, outcome }: Draft): Promise<FoundEntry | null> {
    const [first] = operations;
    const changed = operations.flatMap((one) => (one.type === 'modify' ? one.changes : []));
    if (outcome !== null || changed.length === 0 || !(first?.type === 'modify' || first?.type === 'rename'))
      return null;
    const { session, signal } = this.#context;
    const names = changed.map(({ attribute }) => attribute);
    return readEntry(session, first.dn, ['objectClass', ...names], { signal });
  }

  /** Whether what is not written here stands there. */
  async #learn(dns: string[]): Promise<void> {
    const { session, signal } = this.#context;
    const open = new Map(dns.map((dn) => [normalized(dn), dn] as const));
    for (const known of open.keys()) if (this.#stands.has(known) || this.#coming.has(known)) open.delete(known);
    await pipelined([...open], async ([known, dn]) => {
      this.#stands.set(known, await isThere(session, dn, signal));
    });
  }

  #judge(draft: Draft, present: FoundEntry | null): Refused | null {
    for (const operation of draft.operations) {
      const refused =
        operation.type === 'add'
          ? this.#judgeAdd(draft, operation)
          : operation.type === 'modify' && present !== null
            ? this.#judgeModify(operation.changes, present)
            : null;
      if (refused !== null) return refused;
    }
    return this.#judgeParents(draft) ?? this.#judgeReferred(draft);
  }

  #judgeAdd({ change }: Draft, { dn, attributes }: Extract<Operation, { type: 'add' }>): Refused | null {
    const { schema, dse } = this.#context;
    if (schema === null) return null;
    const wanted: Wanted = new Map(attributes);
    for (const [name, values] of wanted) {
      const refused = this.#judgeValues(name, values);
      if (refused !== null) return refused;
    }
    const naming = parseDn(dn)[0]!.map(({ type }) => type.toLowerCase());
    // contact and group have it as the one attribute by which they may be named.
    if (dse.kind === 'ad' && change.kind !== 'container' && naming.some((type) => type !== 'cn')) {
      return this.#refused('naming', `entries there are named by cn, and not by ${naming.join('+')}`);
    }
    for (const type of naming) if (!wanted.has(type)) wanted.set(type, []);
    return this.#judgeClasses(wanted, new Set(wanted.keys()), true);
  }

  #judgeModify(changes: Modification[], present: FoundEntry): Refused | null {
    if (this.#context.schema === null) return null;
    const wanted: Wanted = new Map(present.attributes);
    for (const { kind, attribute, values } of changes) {
      const refused = kind === 'delete' ? null : this.#judgeValues(attribute, values);
      if (refused !== null) return refused;
      const before = kind === 'replace' ? [] : (wanted.get(attribute) ?? []);
      const gone = new Set(kind === 'delete' ? values.map(keyOf) : []);
      wanted.set(attribute, kind === 'delete' ? before.filter((one) => !gone.has(keyOf(one))) : [...before, ...values]);
    }
    const touched = new Set(changes.map(({ attribute }) => attribute));
    for (const name of touched) if (wanted.get(name)!.length === 0) wanted.delete(name);
    return this.#judgeClasses(wanted, touched, false);
  }

  #judgeValues(name: string, values: Uint8Array[]): Refused | null {
    const { schema, dse, ranges } = this.#context;
    if (name === 'objectclass') {
      const unknown = values.map((value) => Buffer.from(value).toString()).find((one) => !schema!.hasClass(one));
      return unknown === undefined ? null : this.#refused('class', `the schema has no object class ${unknown}`);
    }
    if (!schema!.hasAttribute(name)) return this.#refused('attribute', `the schema has no attribute ${name}`);
    const rules = {
      kind: dse.kind,
      range: ranges.get(schema!.firstNameOf(name)) ?? null,
      knowsAttribute: (one: string) => schema!.hasAttribute(one),
    };
    const syntax = schema!.syntaxOf(name);
    for (const value of values) {
      const wrong = wrongValue(syntax, value, rules);
      if (wrong === null) continue;
      // Active Directory looks at DNs first of all; and Microsoft's has another word for what is too long than Samba.
      if (dse.kind === 'ad' && syntax === DN_SYNTAX && value.length > 0)
        return { code: 'invalidDNSyntax', reason: `a value of ${name} ${wrong}` };
      const isLength = rules.range !== null && dse.kind === 'ad' && !/samba/i.test(dse.vendor) && value.length > 0;
      return this.#refused(isLength ? 'single' : 'syntax', `a value of ${name} ${wrong}`);
    }
    const isFolded = /^caseIgnore/i.test(schema!.equalityOf(name) ?? '');
    if (isFolded && new Set(values.map(foldedKeyOf)).size < values.length) {
      return this.#refused('twice', `${name} has a value twice`);
    }
    return null;
  }

  /** `touched`: only of these it is said that they are too many, or not allowed. */
  #judgeClasses(wanted: Wanted, touched: Set<string>, isNew: boolean): Refused | null {
    const schema = this.#context.schema!;
    const classes = (wanted.get('objectclass') ?? []).map((value) => Buffer.from(value).toString());
    for (const name of touched) {
      const several = schema.isSingleValued(name) && (wanted.get(name)?.length ?? 0) > 1;
      if (several) return this.#refused('single', `${name} has one value only, and would have several`);
    }
    // Who may not read the classes is told nothing of what they allow.
    if (classes.length === 0) return null;
    const allowed = schema.allowedBy(classes);
    const has = new Set(Array.from(wanted.keys(), (name) => schema.firstNameOf(name)));
    const asked = isNew ? allowed.must : new Set(Array.from(touched, (name) => schema.firstNameOf(name)));
    for (const name of allowed.must) {
      // What nobody may write the server makes.
      if (!asked.has(name) || has.has(name) || isNeverWritten(name)) continue;
      return this.#refused('not allowed', `its object classes demand ${name}, which it would not have`);
    }
    for (const name of touched) {
      if (name === 'objectclass' || !wanted.has(name) || schema.isAllowed(name, allowed)) continue;
      return this.#refused('not allowed', `its object classes do not allow ${name}`);
    }
    return null;
  }

  #judgeParents(draft: Draft): Refused | null {
    const missing = parentsOf(draft).find((dn) => !this.#isThere(dn));
    if (missing === undefined) return null;
    const reason = `${missing}, which it belongs below, is not there, or this account may not see it`;
    return { code: resultWord(NO_SUCH_OBJECT), reason };
  }

  /** Active Directory takes no DN of what is not there. */
  #judgeReferred(draft: Draft): Refused | null {
    const missing = this.#referred(draft).filter((dn) => !this.#isThere(dn));
    if (missing.length === 0) return null;
    const members = new Set(valuesOf(draft, 'member').map(normalized));
    if (missing.every((dn) => members.has(normalized(dn))))
      return { code: MEMBERS_MISSING, reason: missingWords(missing) };
    return { code: resultWord(CONSTRAINT_VIOLATION), reason: `it names ${missing[0]}, which is not there` };
  }

  /** DNs that it names. */
  #referred(draft: Draft): string[] {
    const { dse, schema } = this.#context;
    if (dse.kind !== 'ad' || schema === null || draft.outcome !== null) return [];
    return draft.operations.flatMap((operation) => {
      const given = givenIn(operation);
      return given.flatMap(([name, values]) =>
        schema.syntaxOf(name) === DN_SYNTAX ? values.map((value) => Buffer.from(value).toString()) : [],
      );
    });
  }

  #isThere(dn: string): boolean {
    const known = normalized(dn);
    return this.#stands.get(known) ?? this.#coming.has(known);
  }

  #note({ operations, outcome }: Draft, refused: Refused | null): void {
    // A group stands there without the members that are missing.
    const isMade = outcome === null && (refused === null || refused.code === MEMBERS_MISSING);
    for (const operation of operations) {
      if (operation.type === 'add') this.#stands.set(normalized(operation.dn), isMade);
      if (operation.type === 'delete' && isMade) this.#stands.set(normalized(operation.dn), false);
    }
  }

  #refused(fault: Fault, reason: string): Refused {
    return { code: CODES[this.#context.dse.kind][fault], reason };
  }
}

function parentsOf({ operations, outcome }: Draft): string[] {
  if (outcome !== null) return [];
  return operations.flatMap((operation) => {
    if (operation.type === 'add') return parentDn(operation.dn) ?? [];
    return operation.type === 'rename' ? (operation.superior ?? []) : [];
  });
}

function valuesOf({ operations }: Draft, attribute: string): string[] {
  const given = operations.flatMap(givenIn).filter(([name]) => name === attribute);
  return given.flatMap(([, values]) => values.map((value) => Buffer.from(value).toString()));
}

/** Values that it would have. */
function givenIn(operation: Operation): [string, Uint8Array[]][] {
  if (operation.type === 'add') return [...operation.attributes];
  if (operation.type !== 'modify') return [];
  return operation.changes.flatMap(({ kind, attribute, values }): [string, Uint8Array[]][] =>
    kind === 'delete' ? [] : [[attribute, values]],
  );
}

function keyOf(value: Uint8Array): string {
  return Buffer.from(value).toString('latin1');
}

/** RFC 4518 §2.2, §2.6.1, as far as any server goes. */
function foldedKeyOf(value: Uint8Array): string {
  return Buffer.from(value).toString().toLowerCase().trim().replaceAll(/ +/g, ' ');
}

function normalized(dn: string): string {
  try {
    return normalizeDn(dn);
  } catch (error) {
    if (!isDirpostError(error, 'dn-syntax')) throw error;
    return dn;
  }
}
