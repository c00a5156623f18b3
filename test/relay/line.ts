/**
 * The line between a branch and the server, for tests and the demo: a plain TCP relay on loopback that cuts connections
 * at an octet, in the head or in the middle of a body, on the way up or down; that can stall there, and be shut for as
 * long as a test likes. It outlives the server, which takes another port at every start.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

interface Place {
  direction: 'up' | 'down';
  /** What the first octets of the message look like. */
  head: RegExp;
  inBody: boolean;
}

/** What is cut: a message file on its way to the server or from it, or any request, or any answer (also before it). */
const places = {
  posted: { direction: 'up', head: /^PUT /, inBody: true },
  collected: { direction: 'down', head: /^HTTP\/1\.1 20[06] [^]*application\/octet-stream/i, inBody: true },
  asked: { direction: 'up', head: /^[A-Z]+ \//, inBody: false },
  answered: { direction: 'down', head: /^HTTP\/1\.1 /, inBody: false },
} satisfies Record<string, Place>;

export type CutPlace = keyof typeof places;
export const cutPlaces = Object.keys(places) as CutPlace[];

interface Breach {
  name: CutPlace;
  share: number;
  /** How many more messages are cut after it. */
  more: number;
  /** Told when it stalls; without it the line is cut. */
  stalled?: () => void;
}

export class Line {
  readonly cuts: Record<CutPlace, number> = { posted: 0, collected: 0, asked: 0, answered: 0 };
  connections = 0;
  /** Port of the server; null while nobody listens. */
  target: number | null = null;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #next: Breach | null = null;
  #isShut = false;

  constructor() {
    this.#server = createServer((near) => this.#relay(near));
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve()));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get cutCount(): number {
    return Object.values(this.cuts).reduce((sum, count) => sum + count, 0);
  }

  get isArmed(): boolean {
    return this.#next !== null;
  }

  /** The next message of that kind is cut, or so many. `share`: 0 ≤ share < 1, of the body, or of all of it. */
  cutNext(name: CutPlace, share: number, count = 1): void {
    this.#next = { name, share, more: count - 1 };
  }

  /** The next message of that kind stops there, on a line that stays open. Resolved: it has. */
  stallNext(name: CutPlace, share: number): Promise<void> {
    return new Promise((stalled) => {
      this.#next = { name, share, more: 0, stalled };
    });
  }

  disarm(): void {
    this.#next = null;
  }

  shut(): void {
    this.#isShut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  restore(): void {
    this.#isShut = false;
  }

  async close(): Promise<void> {
    this.shut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #relay(near: Socket): void {
    if (this.#isShut || this.target === null) {
      near.destroy();
      return;
    }
    this.connections++;
    const far = connect(this.target, '127.0.0.1');
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
    this.#forward('up', near, far);
    this.#forward('down', far, near);
  }

  #forward(direction: Place['direction'], from: Socket, to: Socket): void {
    /** Octets until the cut that this message will not survive; null: it is not to be cut. */
    let left: number | null = null;
    let breach: Breach | null = null;
    from.on('data', (octets: Buffer) => {
      if (to.destroyed) return;
      const next = this.#next;
      if (left === null && next !== null && places[next.name].direction === direction) {
        left = positionIn(octets, places[next.name], next.share);
        if (left !== null) {
          breach = next;
          this.#next = next.more === 0 ? null : { ...next, more: next.more - 1 };
        }
      }
      if (left === null || octets.length <= left) {
        if (left !== null) left -= octets.length;
        to.write(octets);
        return;
      }
      const passed = octets.subarray(0, left);
      if (breach!.stalled !== undefined) {
        from.pause();
        to.write(passed);
        breach!.stalled();
        return;
      }
      this.cuts[breach!.name]++;
      from.destroy();
      // What had passed arrives: a cut line has carried what came before.
      to.end(passed, () => to.destroy());
    });
  }
}

/** How many octets of it pass; null: it is no message of that kind. Each message begins a chunk: nothing is pipelined. */
function positionIn(octets: Buffer, { head, inBody }: Place, share: number): number | null {
  const text = octets.toString('latin1', 0, 4_096);
  if (!head.test(text)) return null;
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const body = Number(/\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end))?.[1] ?? 0);
  const start = end + 4;
  if (!inBody) return Math.floor((start + body) * share);
  return body < 2 ? null : start + 1 + Math.floor((body - 1) * share);
}
