/**
 * Ports of loopback for servers that are told theirs before they start, and start anew on the same. They are none that the
 * system gives to whoever connects: such a one may be taken while its server is away, even by the connection that asks whether it
 * is back, which then reaches itself.
 */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';

const LOWEST = 10_000;
/** IANA's range of dynamic ports begins above it; Linux may have another. */
const HIGHEST = 49_151;

/** Another may take one meanwhile: then its user takes others. */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(LOWEST, firstDynamic());
    const server = await listening(port);
    if (server === null) continue;
    servers.push(server);
    ports.push(port);
  }
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

function firstDynamic(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0]);
  } catch {
    return HIGHEST;
  }
}

/** null: the port is taken. */
async function listening(port: number): Promise<Server | null> {
  const server = createServer();
  return await new Promise<Server | null>((resolve) => {
    server.once('error', () => resolve(null));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
