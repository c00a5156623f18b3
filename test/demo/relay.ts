/** The line between the branches and the server in the demo: a TCP relay on loopback that can be cut and shut. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class Relay {
  /** Port of the server; null: nobody listens. It changes with every start of the server. */
  target: number | null = null;
  connections = 0;
  /** Connections that were cut within what they carried. */
  cuts = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cutsDue = 0;
  #isShut = false;

  constructor() {
    this.#server = createServer((near) => this.#join(near));
  }

  async open(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The next message files that branches send are cut in the middle. */
  cutNext(count: number): void {
    this.#cutsDue = count;
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
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(near: Socket): void {
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
    far.pipe(near);
    near.on('data', (octets: Buffer) => {
      if (far.destroyed) return;
      if (this.#cutsDue === 0 || !octets.toString('latin1', 0, 4).startsWith('PUT ')) {
        far.write(octets);
        return;
      }
      this.#cutsDue--;
      this.cuts++;
      near.destroy();
      far.end(octets.subarray(0, octets.length >> 1), () => far.destroy());
    });
  }
}
