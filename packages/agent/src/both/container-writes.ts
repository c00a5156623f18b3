/**
 * T3 into a directory of both ways: values that were set by hand and stay are not written over, and what is written of watched
 * attributes is remembered, so that the next look (read-back.ts) can tell who changed something.
 *
 *   changes ─▶ with what stays ─▶ the directory ─▶ outcomes ─▶ remembered
 */
import type { Shaping } from '@dirpost/adapters';
import {
  type Directory,
  type DirectoryChange,
  standsWritten,
  type Store,
  type Watched,
  type WriteOutcome,
} from '@dirpost/core';
import type { BothTarget } from '../postoffice.ts';
import { closeConflicts } from './conflicts.ts';
import { notNaming } from './container-values.ts';
import { fromBase64, valuesText } from './values.ts';

/** Changes that are looked up together. */
const BATCH = 200;

type Written = Pick<Watched, 'id' | 'written'> & { agreed: string[] };

/** The directory, but what stays is not written over, and what is written is remembered. */
export function leavingWhatStays(directory: Directory, both: BothTarget, store: Store): Directory {
  const writes = new ContainerWrites(directory, both, store);
  return new Proxy(directory, {
    get(target, property) {
      if (property === 'write') return writes.write.bind(writes);
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

export class ContainerWrites {
  readonly name: string;
  #written: Written[] = [];
  #removed: Uint8Array[] = [];

  constructor(
    private readonly directory: Directory,
    private readonly both: BothTarget,
    private readonly store: Store,
  ) {
    this.name = directory.name;
  }

  /** For a preview: the changes as they would be written. */
  async withWhatStays(changes: DirectoryChange[], signal: AbortSignal): Promise<DirectoryChange[]> {
    return changes.length === 0 ? [] : this.#withKept(changes, await this.both.shaping(signal), []);
  }

  async *write(changes: AsyncIterable<DirectoryChange>, signal: AbortSignal): AsyncGenerator<WriteOutcome> {
    const asked: (Written | null)[] = [];
    const prepared = this.#prepared(changes, asked, signal);
    let done = 0;
    try {
      for await (const outcome of this.directory.write(prepared, signal)) {
        const what = asked[done++] ?? null;
        if (standsWritten(outcome) && what !== null) this.#written.push(what);
        if (outcome.result === 'written' && outcome.place === undefined) this.#removed.push(outcome.id);
        if (this.#written.length + this.#removed.length >= BATCH) await this.#remember();
        yield outcome;
      }
    } finally {
      await this.#remember();
    }
  }

  async *#prepared(
    changes: AsyncIterable<DirectoryChange>,
    asked: (Written | null)[],
    signal: AbortSignal,
  ): AsyncGenerator<DirectoryChange> {
    let batch: DirectoryChange[] = [];
    let shaping: Shaping | null = null;
    const prepare = async (): Promise<DirectoryChange[]> => {
      shaping ??= await this.both.shaping(signal);
      const given = batch;
      batch = [];
      return this.#withKept(given, shaping, asked);
    };
    for await (const change of changes) {
      batch.push(change);
      // What others lie below is there before them.
      if (batch.length >= BATCH || change.kind === 'container') yield* await prepare();
    }
    if (batch.length > 0) yield* await prepare();
  }

  async #withKept(changes: DirectoryChange[], shaping: Shaping, asked: (Written | null)[]): Promise<DirectoryChange[]> {
    const watched = await this.store.read((tx) =>
      tx.watchedById(
        this.name,
        changes.map(({ id }) => id),
      ),
    );
    return changes.map((change, i) => {
      if (change.action === 'remove' || change.kind === 'container') {
        asked.push(null);
        return change;
      }
      const attributes = notNaming(change.dn, this.both.ways.watched);
      const { prepared, agreed } = withValues(change, watched[i]?.kept ?? {}, attributes, shaping);
      const shaped = shaping(prepared);
      const written = attributes.map((name) => [name, valuesText(shaped.get(name) ?? [])]);
      asked.push({ id: change.id, written: Object.fromEntries(written) as Written['written'], agreed });
      return prepared;
    });
  }

  async #remember(): Promise<void> {
    const [written, removed] = [this.#written, this.#removed];
    [this.#written, this.#removed] = [[], []];
    if (written.length + removed.length === 0) return;
    const { name } = this;
    await this.store.transaction(async (tx) => {
      const known = await tx.watchedById(
        name,
        written.map(({ id }) => id),
      );
      const rows = written.map(({ id, written: texts, agreed }, i): Watched => {
        const kept = Object.entries(known[i]?.kept ?? {}).filter(([attribute]) => !agreed.includes(attribute));
        return { id, written: texts, kept: Object.fromEntries(kept) };
      });
      await tx.putWatched(name, rows);
      await tx.removeWatched(name, removed);
      const over = written.flatMap(({ id, agreed }) =>
        agreed.map((attribute) => ({ entry: Buffer.from(id).toString('hex'), attribute })),
      );
      await closeConflicts(tx, name, over);
    });
  }
}

/** `agreed`: attributes of which the network has come to say what stays. */
function withValues(
  change: DirectoryChange,
  kept: Watched['kept'],
  attributes: string[],
  shaping: Shaping,
): { prepared: DirectoryChange; agreed: string[] } {
  const stays = Object.entries(kept).filter(([name]) => attributes.includes(name));
  if (stays.length === 0) return { prepared: change, agreed: [] };
  const wanted = shaping(change);
  const own = new Map(change.attributes);
  const agreed: string[] = [];
  for (const [name, texts] of stays) {
    const values = fromBase64(texts);
    if (valuesText(values) === valuesText(wanted.get(name) ?? [])) agreed.push(name);
    else own.set(name, values);
  }
  return { prepared: { ...change, attributes: own }, agreed };
}
