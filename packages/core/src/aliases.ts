/**
 * T0: entries that came back under other keys. A directory that was reloaded gives its entries new keys (entryUUID, objectGUID);
 * who is recognised (recognise.ts) keeps his entry id, and from then on his new key stands for it: an alias. Every read goes
 * through here, from a key's own id to the id of the entry.
 *
 *   key ─▶ the id that derives from it ─┬─ alias ─▶ the id of the entry that has this key now
 *                                       └─ none  ─▶ that id
 *
 * An entry has one alias at the most, so that two keys never stand for one entry. If the old key comes back, the entry with
 * it is the old one again, and who had the alias is somebody else: a new entry, under the id of its own key. So a directory
 * that is reloaded once more, this time with the old keys, is at once as it was.
 *
 * A directory that got another name in the configuration reads the same keys: those that another directory has remembered stand for the
 * same entries here, so that these are known as published already, and are taken over where they are kept (removed-directory.ts).
 */
import type { Store, StoreTx } from './seams/store.ts';

export interface Resolved {
  /** From the id that derives from a key to the id of the entry. */
  idOf(key: Uint8Array): Uint8Array;
  /** Entries whose old keys came back now: what stood for them in this read until then was somebody else. */
  returned: Uint8Array[];
}

const asItIs = (key: Uint8Array): Uint8Array => key;

export class Aliases {
  /** The own one, and the others that have aliases; empty: nobody has any. */
  #directories: string[] = [];
  /** Entries whose old keys came back in this read. In hexadecimal digits. */
  readonly #returned = new Map<string, Uint8Array>();

  constructor(
    private readonly store: Store,
    private readonly directory: string,
  ) {}

  async begin(tx: StoreTx): Promise<void> {
    const having = await tx.aliasDirectories();
    const others = having.filter((name) => name !== this.directory);
    this.#directories = having.length === 0 ? [] : [this.directory, ...others];
  }

  /** `read` and `named`: ids that derive from keys, of entries that were read, and of those that are only named. */
  async resolve(read: () => Uint8Array[], named: () => Uint8Array[]): Promise<Resolved> {
    if (this.#directories.length === 0) return { idOf: asItIs, returned: [] };
    const came = read();
    const keys = [...came, ...named()];
    const { aliases, others, holders } = await this.store.read(async (tx) => {
      const [own, ...rest] = await Promise.all(this.#directories.map((name) => tx.aliasesByKey(name, keys)));
      return { aliases: own!, others: rest.flat(), holders: await tx.aliasesById(this.directory, came) };
    });
    const returned: Uint8Array[] = [];
    for (const [i, holder] of holders.entries()) {
      if (holder === undefined || aliases[i] !== undefined || this.#returned.has(hex(holder.id))) continue;
      this.#returned.set(hex(holder.id), holder.id);
      returned.push(holder.id);
    }
    const ids = new Map<string, Uint8Array>();
    // What the own one remembers counts before what others do.
    for (const alias of [...others, ...aliases]) {
      if (alias !== undefined && !this.#returned.has(hex(alias.id))) ids.set(hex(alias.key), alias.id);
    }
    return { idOf: (key) => ids.get(hex(key)) ?? key, returned };
  }

  /** In the transaction that publishes: entries of another directory are of this one from now on. */
  async takeOver(tx: StoreTx, from: string, ids: Uint8Array[]): Promise<void> {
    if (from === this.directory) return;
    const taken = (await tx.aliasesById(from, ids)).filter((alias) => alias !== undefined);
    await tx.removeAliases(
      from,
      taken.map(({ id }) => id),
    );
    await tx.putAliases(this.directory, taken);
  }

  /** In the transaction that publishes. */
  async forgetReturned(tx: StoreTx): Promise<void> {
    if (this.#returned.size > 0) await tx.removeAliases(this.directory, [...this.#returned.values()]);
  }
}

function hex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}
