/**
 * Ways to a peer (T1): all transports, the one by which its newest message came first, then in the configured order. So
 * an answer goes where the other side is listening, and a line that fails is left without a resync and taken up again.
 */
import type { PostofficeName, Store, Transport } from '@dirpost/core';

const ROUTES = 'routes';

/** Peer → name of the transport by which its newest authenticated message came. */
type Arrivals = Record<PostofficeName, string>;

export class Routes {
  readonly #store: Store;
  readonly #waysTo: (peer: PostofficeName) => Transport[];
  /** Peer → name of the transport that took the last message file to it. */
  readonly #taken = new Map<PostofficeName, string>();
  #arrivals: Arrivals | null = null;

  /** `waysTo`: all transports to a peer, in the order of preference. */
  constructor(store: Store, waysTo: (peer: PostofficeName) => Transport[]) {
    this.#store = store;
    this.#waysTo = waysTo;
  }

  async to(peer: PostofficeName): Promise<Transport[]> {
    const ways = this.#waysTo(peer);
    if (ways.length < 2) return ways;
    const first = (await this.#loadArrivals())[peer];
    return ways.toSorted((a, b) => Number(b.name === first) - Number(a.name === first));
  }

  /** An authenticated message of `peer` came by that transport. */
  async arrived(peer: PostofficeName, transport: string): Promise<void> {
    if (this.#waysTo(peer).length < 2) return;
    const arrivals = await this.#loadArrivals();
    if (arrivals[peer] === transport) return;
    arrivals[peer] = transport;
    await this.#store.transaction((tx) => tx.putDocument(ROUTES, arrivals));
  }

  /** A message file went that way: the name of the transport that was used before, or that is preferred; null: no news. */
  taken(peer: PostofficeName, transport: string): string | null {
    const before = this.#taken.get(peer) ?? this.#waysTo(peer)[0]?.name ?? transport;
    this.#taken.set(peer, transport);
    return before === transport ? null : before;
  }

  async #loadArrivals(): Promise<Arrivals> {
    this.#arrivals ??= (await this.#store.read((tx) => tx.getDocument<Arrivals>(ROUTES))) ?? {};
    return this.#arrivals;
  }
}
