/** The transport contract against http, in both directions, and what http promises beyond it. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HttpClientTransport, HttpServerTransport } from '@dirpost/adapters';
import type { MessageFile, Transport } from '@dirpost/core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CONTRACT_MAX_MESSAGE_BYTES, transportContract } from './transport.ts';
import { checkerOf, failureOf, fileOf, never, Opened, signerOf, spooling, until } from './http-line.ts';

const maxMessageBytes = CONTRACT_MAX_MESSAGE_BYTES;

let opened: Opened;
beforeEach(() => {
  opened = new Opened();
});
afterEach(() => opened.close());

/**
 * A requestor's deliver resolves only once the server has collected, but the contract delivers first and collects then.
 * So its sender is a client with its spool, as in the agent: it has a file when it is posted, and posts again what
 * was not taken. And its receiver looks once all that is under way has arrived.
 */
class PostingEnd implements Transport {
  readonly name = 'http';
  readonly maxMessageBytes = maxMessageBytes;
  readonly #client: HttpClientTransport;
  readonly #server: HttpServerTransport;
  readonly #stop = new AbortController();
  #unanswered = 0;

  constructor(client: HttpClientTransport, server: HttpServerTransport) {
    this.#client = client;
    this.#server = server;
  }

  async deliver(file: MessageFile, signal: AbortSignal): Promise<void> {
    const answered = this.#post(file, AbortSignal.any([signal, this.#stop.signal]));
    // A delivery that fails is heard of at once; one that waits for the spool has arrived.
    await Promise.race([answered, this.arrived()]);
  }

  async arrived(): Promise<void> {
    await until(() => this.#server.waiting === this.#unanswered);
  }

  collect(spool: (bytes: Uint8Array) => Promise<boolean>, signal: AbortSignal): Promise<number> {
    return this.#client.collect(spool, signal);
  }

  stop(): void {
    this.#stop.abort();
  }

  async #post(file: MessageFile, signal: AbortSignal): Promise<void> {
    this.#unanswered++;
    try {
      // The caller may use its buffer again.
      const kept = { ...file, bytes: Uint8Array.from(file.bytes) };
      for (;;) {
        const failure = await this.#client.deliver(kept, signal).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (failure === undefined) return;
        if ((failure as { context?: { status?: number } }).context?.status !== 409) throw failure;
      }
    } finally {
      this.#unanswered--;
    }
  }
}

const admitAll = { admit: () => ({ from: 'oslo' }), authenticate: () => true };

async function openContractServer(postoffice: string, known: string): Promise<[Opened, HttpServerTransport, string]> {
  const own = new Opened();
  const options = { maxMessageBytes, admission: admitAll, checker: checkerOf(new Set([known])) };
  const { transport, url } = await own.server({ postoffice, ...options, load: { maxInFlight: 1_000 } });
  return [own, transport, url];
}

transportContract('http, requestor to server', async () => {
  const [own, server, url] = await openContractServer('hq', 'oslo');
  const sender = new PostingEnd(own.client(url, { maxMessageBytes }), server);
  const receiver: Transport = {
    name: 'http',
    maxMessageBytes,
    deliver: (file, signal) => server.deliver(file, signal),
    async collect(spool, signal) {
      await sender.arrived();
      return await server.collect(spool, signal);
    },
    watch: (wake, signal) => server.watch(wake, signal),
  };
  return {
    sender,
    receiver,
    async dispose() {
      sender.stop();
      await own.close();
    },
  };
});

transportContract('http, server to requestor', async () => {
  const [own, sender, url] = await openContractServer('oslo', 'hq');
  const receiver = own.client(url, { maxMessageBytes, signer: signerOf('hq'), server: 'oslo' });
  return { sender, receiver, dispose: () => own.close() };
});

it('a posted file is acknowledged only after it was spooled', async () => {
  const { transport, url } = await opened.server();
  const order: string[] = [];
  const posting = opened
    .client(url)
    .deliver(fileOf('oslo'), never())
    .then(() => order.push('acknowledged'));
  await until(() => transport.waiting === 1);
  await transport.collect(async () => order.push('spooled') > 0, never());
  await posting;
  expect(order).toEqual(['spooled', 'acknowledged']);
});

it('a posted file that nobody collects is refused for now, and is not kept', async () => {
  const { transport, url } = await opened.server({ times: { collectMs: 20 } });
  const error = await failureOf(opened.client(url).deliver(fileOf('oslo'), never()));
  expect(error).toMatchObject({ code: 'transport-failed', retry: 'later', context: { status: 503, retryAfterS: 30 } });
  expect(transport.waiting).toBe(0);
});

it('a posted file for another incarnation goes back to its sender', async () => {
  const { transport, url } = await opened.server();
  const posting = failureOf(opened.client(url).deliver(fileOf('oslo'), never()));
  await until(() => transport.waiting === 1);
  expect(await transport.collect(async () => false, never())).toBe(0);
  expect(await posting).toMatchObject({ code: 'transport-failed', context: { status: 409 } });
});

it('senders are served in turn, so that one who posts much does not hold up the others', async () => {
  const { transport, url } = await opened.server();
  const [oslo, bergen] = [opened.client(url), opened.client(url, { signer: signerOf('bergen') })];
  const postings: Promise<void>[] = [];
  for (const [count, client, from] of [
    [3, oslo, 'oslo'],
    [1, bergen, 'bergen'],
  ] as const) {
    for (let i = 0; i < count; i++) {
      postings.push(client.deliver(fileOf(from), never()));
      await until(() => transport.waiting === postings.length);
    }
  }
  const order: string[] = [];
  await transport.collect(
    async (bytes) => order.push(/of (\w+)/.exec(Buffer.from(bytes).toString('latin1'))![1]!) > 0,
    never(),
  );
  await Promise.all(postings);
  expect(order).toEqual(['oslo', 'bergen', 'oslo', 'oslo']);
});

it('a file that is left for another incarnation does not wake a long poll again and again', async () => {
  const { transport, url } = await opened.server();
  const client = opened.client(url);
  await transport.deliver(fileOf('hq', 300, 'oslo'), never());
  expect(await client.collect(async () => false, never())).toBe(0);
  let woken = 0;
  const stop = new AbortController();
  const newcomer = fileOf('hq', 300, 'oslo');
  await new Promise<void>((resolve) => {
    const watching = client.watch(() => ++woken > 0 && resolve(), stop.signal);
    opened.add(() => watching);
    opened.add(async () => stop.abort());
    void until(() => transport.polls === 1).then(() => transport.deliver(newcomer, never()));
  });
  const found: Buffer[] = [];
  await client.collect(async (bytes) => found.push(Buffer.from(bytes)) > 0, never());
  expect(woken).toBe(1);
  expect(found).toHaveLength(2);
});

it('files wait for a requestor across a restart of the server, readable by nobody else', async () => {
  const first = await opened.server();
  const file = fileOf('hq', 300, 'oslo');
  await first.transport.deliver(file, never());
  await first.transport.close();
  const mailbox = join(first.folder, 'mailboxes', 'oslo');
  expect(await readdir(mailbox)).toEqual([`${file.id}.dpm`]);
  const modes = [first.folder, mailbox, join(mailbox, `${file.id}.dpm`)].map(
    async (path) => (await stat(path)).mode & 0o777,
  );
  if (process.platform !== 'win32') expect(await Promise.all(modes)).toEqual([0o700, 0o700, 0o600]);
  const second = await opened.server({ folder: first.folder });
  const found: Buffer[] = [];
  await opened.client(second.url).collect(async (bytes) => found.push(Buffer.from(bytes)) > 0, never());
  expect(found).toEqual([file.bytes]);
  expect(await readdir(mailbox)).toEqual([]);
});

it('two clients of one name harm neither the files nor each other', async () => {
  const { transport, url } = await opened.server();
  const spooled: string[] = [];
  const stop = spooling(transport, async (bytes) => spooled.push(Buffer.from(bytes).toString('hex')) > 0);
  opened.add(stop);
  const clients = [opened.client(url), opened.client(url)];
  const posted = clients.map(() => fileOf('oslo', 5_000));
  await Promise.all(clients.map((client, i) => client.deliver(posted[i]!, never())));
  expect(spooled.toSorted()).toEqual(posted.map(({ bytes }) => Buffer.from(bytes).toString('hex')).toSorted());
  const waiting = Array.from({ length: 8 }, () => fileOf('hq', 300, 'oslo'));
  for (const file of waiting) await transport.deliver(file, never());
  const found = new Set<string>();
  const spool = async (bytes: Uint8Array) => found.add(Buffer.from(bytes).toString('hex')).size > 0;
  await Promise.all(clients.map((client) => client.collect(spool, never())));
  expect([...found].toSorted()).toEqual(waiting.map(({ bytes }) => Buffer.from(bytes).toString('hex')).toSorted());
  expect(await clients[0]!.collect(spool, never())).toBe(0);
});

it('more files than fit into one answer are all collected', async () => {
  const { transport, url } = await opened.server();
  for (let i = 0; i < 105; i++) await transport.deliver(fileOf('hq', 100, 'oslo'), never());
  expect(await opened.client(url).collect(async () => true, never())).toBe(105);
});

it('a mailbox takes only so many files, and a repeat of one that is there', async () => {
  const { transport } = await opened.server({ maxWaitingFiles: 2 });
  const file = fileOf('hq', 300, 'oslo');
  await transport.deliver(file, never());
  await transport.deliver(fileOf('hq', 300, 'oslo'), never());
  expect(await failureOf(transport.deliver(fileOf('hq', 300, 'oslo'), never()))).toMatchObject({
    code: 'transport-failed',
    retry: 'later',
  });
  await transport.deliver(file, never());
  await transport.deliver(fileOf('hq', 300, 'bergen'), never());
});

it('closing ends long polls at once, and lets no request hang', async () => {
  const { transport, url } = await opened.server();
  const client = opened.client(url);
  const stop = new AbortController();
  const watching = client.watch(() => {}, stop.signal);
  const posting = failureOf(client.deliver(fileOf('oslo'), never()));
  await until(() => transport.waiting === 1 && transport.polls === 1);
  const startedMs = performance.now();
  await transport.close();
  expect(performance.now() - startedMs).toBeLessThan(5_000);
  expect(await posting).toMatchObject({ code: 'transport-failed', retry: 'later' });
  stop.abort();
  await watching;
});

it('a watch outlives a server that is away, and wakes when something waits again', async () => {
  const first = await opened.server();
  const line = await opened.line(first.port);
  const client = opened.client(line.url);
  const stop = new AbortController();
  const woken = new Promise<void>((resolve) => {
    const watching = client.watch(resolve, stop.signal);
    opened.add(() => watching);
    opened.add(async () => stop.abort());
  });
  await until(() => first.transport.polls === 1);
  await first.transport.close();
  await until(() => opened.problems.some(({ code }) => code === 'transport-failed'));
  const second = await opened.server({ folder: first.folder });
  line.target = second.port;
  await second.transport.deliver(fileOf('hq', 300, 'oslo'), never());
  await woken;
});
