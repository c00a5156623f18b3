/** Passes connections on to a server of this machine, and counts the octets that pass, both ways. */
import { connect, createServer, type Server, type Socket } from 'node:net';

export class Relay {
  bytes = 0;
  url = '';
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;

  async listen(url: string): Promise<void> {
    const { hostname, port } = new URL(url);
    const server = createServer((near) => this.#join(near, connect(Number(port), hostname)));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    this.url = `http://127.0.0.1:${address.port}`;
  }

  #join(near: Socket, far: Socket): void {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on('data', (chunk) => {
        this.bytes += chunk.length;
        to.write(chunk);
      });
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const server = this.#server;
    if (server !== null) await new Promise((resolve) => server.close(resolve));
  }
}
