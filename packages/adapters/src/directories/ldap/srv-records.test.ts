/** DNS SRV over UDP, from a name server of the test's own that may say nothing. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { lookUpSrv } from './srv-records.ts';

const NAME = '_ldap._tcp.example.org';
const open: Socket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.close();
});

/** `answer` null: it listens, and says nothing. */
async function nameServer(
  answer: ((question: Buffer) => Buffer) | null,
): Promise<{ address: string; asked: Promise<unknown> }> {
  const socket = createSocket('udp4');
  open.push(socket);
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  socket.on('message', (question, from) => {
    if (answer !== null) socket.send(answer(question), from.port, from.address);
  });
  return { address: `127.0.0.1:${(socket.address() as AddressInfo).port}`, asked: once(socket, 'message') };
}

/** RFC 1035 §4.1, RFC 2782: one record, priority 10, weight 5. */
function oneRecord(question: Buffer): Buffer {
  const target = Buffer.from('\x04dc01\x07example\x03org\x00', 'latin1');
  const fixed = Buffer.from([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, 6 + target.length, 0, 10, 0, 5, 0x01, 0x85]);
  const end = question.indexOf(0, 12) + 5;
  const head = Buffer.from(question.subarray(0, 12));
  head.writeUInt16BE(0x8180, 2);
  // One question, one answer, and nothing else.
  for (const [i, count] of [1, 1, 0, 0].entries()) head.writeUInt16BE(count, 4 + 2 * i);
  return Buffer.concat([head, question.subarray(12, end), fixed, target]);
}

it('gives what the name server says', async () => {
  const { address } = await nameServer(oneRecord);
  const found = await lookUpSrv(NAME, {
    timeoutMs: 10_000,
    signal: new AbortController().signal,
    nameServers: [address],
  });
  expect(found).toMatchObject([{ name: 'dc01.example.org', port: 389, priority: 10, weight: 5 }]);
});

it('asks the third name server where two say nothing, all within the time', async () => {
  const silent = [await nameServer(null), await nameServer(null)];
  const { address } = await nameServer(oneRecord);
  const found = await lookUpSrv(NAME, {
    timeoutMs: 1_000,
    signal: new AbortController().signal,
    nameServers: [...silent.map((one) => one.address), address],
  });
  expect(found).toMatchObject([{ name: 'dc01.example.org' }]);
});

it('ends after its time where the name server says nothing, and says so', async () => {
  const { address } = await nameServer(null);
  const options = { timeoutMs: 200, signal: new AbortController().signal, nameServers: [address] };
  await expect(lookUpSrv(NAME, options)).rejects.toThrow('no answer within 0.2 s');
});

it('ends at once when it is interrupted', async () => {
  const { address, asked } = await nameServer(null);
  const stop = new AbortController();
  const looking = lookUpSrv(NAME, { timeoutMs: 600_000, signal: stop.signal, nameServers: [address] });
  await Promise.all([
    expect(looking).rejects.toMatchObject({ code: 'interrupted' }),
    asked.then(() => stop.abort(new Error('enough'))),
  ]);
  await expect(lookUpSrv(NAME, { timeoutMs: 600_000, signal: stop.signal })).rejects.toMatchObject({
    code: 'interrupted',
  });
});
