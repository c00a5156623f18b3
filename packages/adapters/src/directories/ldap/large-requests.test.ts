/** Large requests have the time that their size takes on a slow line. */
import { expect, it } from 'vitest';
import { connectTo } from './connect.ts';
import { LargeRequests } from './large-requests.ts';
import type { Operation } from './requests.ts';
import { optionsFor, result, ScriptedServer } from './scripted-server.ts';
import type { Session } from './session.ts';

const ADDED = 0x69;
const add = (octets: number): Operation => ({
  type: 'add',
  dn: 'cn=a',
  attributes: new Map([['jpegphoto', [Buffer.alloc(octets)]]]),
});

it('a large request is waited for longer than a small one', async () => {
  let arrived = (_answer: () => void) => {};
  const arrival = new Promise<() => void>((resolve) => (arrived = resolve));
  const server = await ScriptedServer.start(async (client) => {
    const large = (await client.next())!;
    arrived(() => client.send(result(large.id, ADDED)));
  });
  const times = { connectMs: 5_000, operationMs: 200, keepAliveMs: 1_000 };
  const signal = new AbortController().signal;
  const lines: Session[] = [];
  const open = async () => {
    const session = await connectTo(server.address, optionsFor([], { times }), signal);
    lines.push(session);
    return session;
  };
  const requests = new LargeRequests(open, times.operationMs, signal);
  try {
    const answered = requests.request(add(600_000)).then(
      ({ code }) => code,
      (error: Error) => error.message,
    );
    const answer = await arrival;
    // As long as a small one takes at most.
    await expect((await open()).request(add(1))).rejects.toThrow('did not answer');
    answer();
    expect(await answered).toBe(0);
  } finally {
    requests.close();
    for (const line of lines) line.close();
    await server.stop();
  }
});
