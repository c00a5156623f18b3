/**
 * Ways to a peer (T1): all transports, in the configured order, but what could not be asked the last time comes last, and
 * so does one by which the files to that peer came back (bounces.ts). A server answers by the one by which the newest message of that peer came: there the other side is listening. The
 * requestor chooses: if it, too, followed what came, both would stay on the second way for ever. So a line that fails is
 * left without a resync and taken up again.
 */
import type { PostofficeName, Store, Transport } from '@dirpost/core';

const ROUTES = 'routes';

/** Peer → name of the transport by which its newest authenticated message came. */
type Arrivals = Record<PostofficeName, string>;

export class Routes {
  readonly #store: Store;
  readonly #waysTo: (peer: PostofficeName) => Transport[];
  readonly #answers: boolean;
  readonly #avoids: (peer: PostofficeName, transport: string) => Promise<boolean>;
  /** Names of transports that could not be asked for arrivals the last time. */
  readonly #failing = new Set<string>();
  /** Peer → name of the transport that took the last message file to it. */
  readonly #taken = new Map<PostofficeName, string>();
  #arrivals: Arrivals | null = null;

  /**
   * `waysTo`: all transports to a peer, in the order of preference. `answers`: as the server does. `avoids`: whether
   * another transport to that peer is better, whichever it is.
   */
  constructor(
    store: Store,
    waysTo: (peer: PostofficeName) => Transport[],
    answers = true,
    avoids: (peer: PostofficeName, transport: string) => Promise<boolean> = async () => false,
  ) {
    this.#store = store;
    this.#waysTo = waysTo;
    this.#answers = answers;
    this.#avoids = avoids;
  }

  async to(peer: PostofficeName): Promise<Transport[]> {
    const ways = this.#waysTo(peer);
    if (ways.length < 2) return ways;
    const first = this.#answers ? (await this.#loadArrivals())[peer] : undefined;
    const ranks = new Map<Transport, number>();
    for (const way of ways) {
      const last = this.#failing.has(way.name) && way.name !== first;
      ranks.set(way, last || (await this.#avoids(peer, way.name)) ? 2 : way.name === first ? 0 : 1);
    }
    return ways.toSorted((a, b) => ranks.get(a)! - ranks.get(b)!);
  }

  /** Whether that transport could be asked just now for what has arrived. */
  asked(transport: string, works: boolean): void {
    if (works) this.#failing.delete(transport);
    else this.#failing.add(transport);
  }

  /** An authenticated message of `peer` came by that transport. */
  async arrived(peer: PostofficeName, transport: string): Promise<void> {
    if (!this.#answers || this.#waysTo(peer).length < 2) return;
    const arrivals = await this.#loadArrivals();
    if (arrivals[peer] === transport) return;
    arrivals[peer] = transport;
    await this.#store.transaction((tx) => tx.putDocument(ROUTES, arrivals));
  }

  /** Of one who is no peer any more. */
  async forget(peer: PostofficeName): Promise<void> {
    this.#taken.delete(peer);
    const { [peer]: known, ...others } = await this.#loadArrivals();
    if (known === undefined) return;
    this.#arrivals = others;
    const isLast = Object.keys(others).length === 0;
    await this.#store.transaction((tx) => (isLast ? tx.removeDocument(ROUTES) : tx.putDocument(ROUTES, others)));
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
