/**
 * Reading a head field by field (head.ts): each method takes the next field, checks it, and throws DirpostError
 * `message-payload` or `message-critical` where it is not what it should be.
 */
import { type Digest, DirpostError, type Incarnation, type Limits, type Stamp } from '@dirpost/core';
import { unpackIncarnation } from './header.ts';

export const DIGEST_BYTES = 16;

/** The names of the critical rule: what must be understood and is not. */
export function tooNew(what: string): DirpostError {
  return new DirpostError('message-critical', `The message holds ${what} that must be understood and is not.`, {
    hint: 'Upgrade this postoffice.',
  });
}

export function malformed(what: string): DirpostError {
  return new DirpostError('message-payload', `The head of the payload lacks ${what}, or holds it in a wrong form.`);
}

export function asCount(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed('a number');
  return value;
}

export function asText(value: unknown, maxBytes = 255): string {
  if (typeof value !== 'string' || Buffer.byteLength(value) > maxBytes) throw malformed('a text');
  return value;
}

/** An array whose fields are taken one after another. */
export class Fields {
  taken = 0;
  readonly #values: unknown[];

  constructor(
    values: unknown,
    readonly limits: Limits,
  ) {
    if (!Array.isArray(values)) throw malformed('a list');
    this.#values = values;
  }

  /** Of a field that older versions do not write, and a later one may leave empty. */
  get isListNext(): boolean {
    return Array.isArray(this.#values[this.taken]);
  }

  #next(): unknown {
    if (this.taken >= this.#values.length) throw malformed('a field');
    return this.#values[this.taken++];
  }

  count(): number {
    return asCount(this.#next());
  }

  countOrNull(): number | null {
    return this.#isNull() ? null : this.count();
  }

  text(maxBytes = 255): string {
    return asText(this.#next(), maxBytes);
  }

  flag(): boolean {
    const value = this.#next();
    if (typeof value !== 'boolean') throw malformed('yes or no');
    return value;
  }

  oneOf<T>(names: readonly T[]): T {
    const name = names[this.count()];
    if (name === undefined) throw tooNew('a mode');
    return name;
  }

  bytes(length?: number): Uint8Array {
    const value = this.#next();
    if (!(value instanceof Uint8Array) || (length !== undefined && value.length !== length)) throw malformed('octets');
    // A copy: what is kept of a head must not keep the whole payload in memory.
    return Buffer.from(value);
  }

  bytesOrNull(length?: number): Uint8Array | null {
    return this.#isNull() ? null : this.bytes(length);
  }

  digest(): Digest {
    return Buffer.from(this.bytes(DIGEST_BYTES)).toString('hex');
  }

  incarnation(): Incarnation {
    const incarnation = unpackIncarnation(this.#next());
    if (incarnation === undefined) throw malformed('an incarnation');
    return incarnation;
  }

  stamp(): Stamp {
    return this.stampOrNull() ?? '';
  }

  stampOrNull(): Stamp | null {
    if (this.#isNull()) return null;
    const parts = this.inner();
    const hash = Buffer.from(parts.bytes(DIGEST_BYTES)).toString('hex');
    return `${parts.incarnation()}#${hash}`;
  }

  inner(): Fields {
    return new Fields(this.#next(), this.limits);
  }

  orNull<T>(read: (fields: Fields) => T): T | null {
    return this.#isNull() ? null : read(this.inner());
  }

  list<T>(read: (fields: Fields) => T): T[] {
    return this.values((value) => read(new Fields(value, this.limits)));
  }

  values<T>(read: (value: unknown) => T): T[] {
    const values = this.#next();
    if (!Array.isArray(values)) throw malformed('a list');
    return values.map((value) => read(value));
  }

  map(): Record<string, unknown> {
    const value = this.#next();
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
      throw malformed('a map');
    }
    return value as Record<string, unknown>;
  }

  #isNull(): boolean {
    if (this.#values[this.taken] !== null) return false;
    this.taken++;
    return true;
  }
}
