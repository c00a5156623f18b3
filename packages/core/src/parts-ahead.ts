/**
 * Reading the parts of a message out of the store (T2, T3), one step ahead: decoding costs as much as storing does, and goes on
 * while the store is busy with the part before.
 */
import { heardLater } from './heard-later.ts';

/** `read` one after another, and each before it is needed. In order; `decode` is called for one when the one before was taken. */
export async function* decodedParts<T>(
  count: number,
  read: (part: number) => Promise<Uint8Array | undefined>,
  decode: (payload: Uint8Array) => T,
): AsyncGenerator<T> {
  let payload = await read(0);
  for (let part = 0; part < count; part++) {
    const decoded = decode(payload!);
    if (part + 1 < count) payload = await read(part + 1);
    yield decoded;
  }
}

/** Of what comes one after another, the next is asked for early: when whoever has one has to wait for something else. */
export class OneAhead<T> {
  readonly #from: AsyncIterator<T>;
  #coming: Promise<IteratorResult<T>> | null = null;

  constructor(from: AsyncIterable<T>) {
    this.#from = from[Symbol.asyncIterator]();
  }

  /** Now is time for the next one. Of a failure whoever takes it hears. */
  begin(): void {
    this.#coming ??= heardLater(this.#from.next());
  }

  /** Undefined at the end. */
  async next(): Promise<T | undefined> {
    this.begin();
    const { done, value } = await this.#coming!;
    this.#coming = null;
    return done === true ? undefined : value;
  }

  /** Nothing is under way any more when this resolves. */
  async end(): Promise<void> {
    await this.#coming?.catch(() => {});
    await this.#from.return?.();
  }
}
