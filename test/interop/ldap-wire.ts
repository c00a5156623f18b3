/** Stands between a client and a server on loopback, and keeps what the client says. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class Wire {
  readonly heard: Buffer[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(to: number, host: string) {
    this.#server = createServer((client) => {
      const server = connect(to, host);
      for (const socket of [client, server]) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
      }
      client.on('data', (octets) => this.heard.push(octets));
      client.pipe(server).pipe(client);
    });
  }

  static async to(port: number, host = '127.0.0.1'): Promise<Wire> {
    const wire = new Wire(port, host);
    await once(wire.#server.listen(0, '127.0.0.1'), 'listening');
    return wire;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  says(text: string): boolean {
    return Buffer.concat(this.heard).includes(text);
  }

  /** Octets that the client has said. */
  get length(): number {
    return this.heard.reduce((sum, octets) => sum + octets.length, 0);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server.close(), 'close');
  }
}
