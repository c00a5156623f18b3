import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import {
  disconnection,
  DONE,
  entry,
  EXTENDED,
  intermediate,
  reference,
  result,
  type ScriptedClient,
  ScriptedServer,
} from './scripted-server.ts';
import { Session, type SearchBatch } from './session.ts';

let server: ScriptedServer | undefined;
const open: Session[] = [];
afterEach(async () => {
  for (const session of open.splice(0)) session.close();
  await server?.stop();
  server = undefined;
});

const ABANDON = 0x50;
const UNBIND = 0x42;
const request = { base: 'dc=x', scope: 'sub' as const, filter: '(cn=*)', attributes: ['cn'] };
const who = { type: 'extended', name: '1.3.6.1.4.1.4203.1.11.3' } as const;

async function sessionWith(
  script: (client: ScriptedClient) => Promise<void>,
  options: { operationMs?: number; maxMessageBytes?: number } = {},
): Promise<{ session: Session; socket: Socket }> {
  server = await ScriptedServer.start(script);
  const { host, port } = server.address;
  const socket = connect(port, host);
  await once(socket, 'connect');
  const session = new Session(socket, { server: 'test', operationMs: 5_000, maxMessageBytes: 1_000_000, ...options });
  open.push(session);
  return { session, socket };
}

async function all(search: AsyncIterable<SearchBatch>) {
  const items: SearchBatch['items'] = [];
  for await (const batch of search) {
    items.push(...batch.items);
    if (batch.result) return { items, result: batch.result };
  }
  throw new Error('no result');
}

/** As Promise.withResolvers of Node 22. */
function withResolvers(): { promise: Promise<number>; resolve: (value: number) => void } {
  let resolve!: (value: number) => void;
  return { promise: new Promise((given) => (resolve = given)), resolve };
}

const answers = (id: number) => [
  entry(id, 'cn=a,dc=x', { cn: ['a'], jpegPhoto: [Buffer.from([0xff, 0xd8, 0])] }),
  reference(id, 'ldap://elsewhere/'),
  intermediate(id, '1.2.3', Buffer.from('x')),
  entry(id, 'cn=b,dc=x', { CN: ['b', 'B'] }),
  result(id, DONE, { message: 'well' }),
];

async function expectAnswers(session: Session) {
  const { items, result: end } = await all(session.search(request));
  expect(items.map(({ type }) => type)).toEqual(['entry', 'reference', 'intermediate', 'entry']);
  expect(items[3]).toMatchObject({
    dn: 'cn=b,dc=x',
    attributes: new Map([['cn', [Buffer.from('b'), Buffer.from('B')]]]),
  });
  expect(end).toMatchObject({ code: 0, message: 'well' });
}

describe('messages', () => {
  it('are read however the line cuts them: octet by octet, and all in one chunk', async () => {
    const { session } = await sessionWith(async (client) => {
      for (let i = 0; ; i++) {
        const search = await client.next();
        if (search === null) return;
        const octets = Buffer.concat(answers(search.id));
        if (i === 0) client.send(octets);
        else for (const octet of octets) client.socket.write(Buffer.from([octet]));
      }
    });
    await expectAnswers(session);
    await expectAnswers(session);
  });

  it('are read at every place where a chunk may end', async () => {
    const octets = Buffer.concat(answers(1));
    for (let cut = 1; cut < octets.length; cut++) {
      const line = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
      const session = new Session(line, { server: 'test', operationMs: 5_000, maxMessageBytes: 1_000_000 });
      const found = expectAnswers(session);
      line.push(octets.subarray(0, cut));
      await new Promise(setImmediate);
      line.push(octets.subarray(cut));
      await found;
      session.close();
    }
  });

  it('for operations that nobody asked for are passed over', async () => {
    const { session } = await sessionWith(async (client) => {
      const search = (await client.next())!;
      client.send(result(77, DONE), entry(99, 'cn=no', {}), ...answers(search.id));
    });
    await expectAnswers(session);
  });

  it.each([
    ['no LDAP at all', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['TLS', Buffer.from('15030100020246', 'hex')],
    ['a message beyond all limits', Buffer.from('30847fffffff02010164', 'hex')],
    ['an answer of another kind', result(1, EXTENDED)],
    ['a damaged answer', Buffer.from('300c02010165070a010004010400', 'hex')],
  ])('%s ends the session with words', async (_, octets) => {
    const { session } = await sessionWith(async (client) => {
      await client.next();
      client.send(octets);
    });
    await expect(all(session.search(request))).rejects.toMatchObject({
      code: 'directory-failed',
      retry: 'later',
      message: expect.stringContaining('not LDAP'),
    });
    expect(session.ended).not.toBeNull();
    await expect(session.request(who)).rejects.toBe(session.ended);
  });

  it('a notice of disconnection ends everything with the words of the server', async () => {
    const { session } = await sessionWith(async (client) => {
      await client.next();
      await client.next();
      client.send(disconnection('maintenance'));
    });
    const both = await Promise.allSettled([all(session.search(request)), session.request(who)]);
    for (const one of both)
      expect(one).toMatchObject({ reason: { message: 'test ended the connection: maintenance.' } });
  });
});

describe('what does not come to an end', () => {
  it('silence abandons that operation only', async () => {
    const seen: number[] = [];
    const { session } = await sessionWith(
      async (client) => {
        const silent = (await client.next())!;
        const abandoned = (await client.next())!;
        seen.push(silent.id, abandoned.tag, abandoned.parts[0]!.readUInt8(0));
        // Too late.
        client.send(result(silent.id, EXTENDED));
        const next = (await client.next())!;
        client.send(result(next.id, EXTENDED, { message: 'here' }));
      },
      { operationMs: 30 },
    );
    await expect(session.request(who)).rejects.toMatchObject({ message: 'test did not answer within 0.03 s.' });
    expect(await session.request(who, { timeoutMs: 5_000 })).toMatchObject({ message: 'here' });
    expect(seen).toEqual([1, ABANDON, 1]);
  });

  it('a search whose entries keep coming takes as long as it takes', async () => {
    const { session } = await sessionWith(
      async (client) => {
        const { id } = (await client.next())!;
        for (let i = 0; i < 8; i++) {
          client.send(entry(id, `cn=${i}`, {}));
          await new Promise((resolve) => setTimeout(resolve, 150));
        }
        client.send(result(id, DONE));
      },
      { operationMs: 1_000 },
    );
    expect((await all(session.search(request))).items).toHaveLength(8);
  });

  it('an abort ends what has its signal, and nothing else', async () => {
    const { session } = await sessionWith(async (client) => {
      const [, , other] = [await client.next(), await client.next(), await client.next()];
      await client.next();
      await client.next();
      client.send(result(other!.id, EXTENDED));
    });
    const abort = new AbortController();
    const { signal } = abort;
    const stopped = [session.request(who, { signal }), all(session.search(request, { signal }))];
    const other = session.request(who);
    abort.abort();
    for (const one of stopped) await expect(one).rejects.toMatchObject({ code: 'interrupted' });
    expect(await other).toMatchObject({ code: 0 });
    await expect(session.request(who, { signal })).rejects.toMatchObject({ code: 'interrupted' });
  });

  it('who stops reading a search in the middle abandons it', async () => {
    const abandoned = withResolvers();
    const { session } = await sessionWith(async (client) => {
      const { id } = (await client.next())!;
      client.send(entry(id, 'cn=a', {}));
      abandoned.resolve((await client.next())!.tag);
    });
    for await (const { items } of session.search(request)) if (items.length > 0) break;
    expect(await abandoned.promise).toBe(ABANDON);
    expect(session.ended).toBeNull();
  });

  it('a line that is cut, and one that is closed here, fail what is in flight', async () => {
    const { session } = await sessionWith(async (client) => {
      await client.next();
      client.socket.destroy();
    });
    await expect(session.request(who)).rejects.toMatchObject({ message: expect.stringContaining('was cut') });
    await server!.stop();
    const goodbye = withResolvers();
    const second = await sessionWith(async (client) => {
      await client.next();
      goodbye.resolve((await client.next())!.tag);
    });
    const waiting = second.session.request(who);
    second.session.close();
    await expect(waiting).rejects.toMatchObject({ message: 'The connection to test was closed.' });
    expect(await goodbye.promise).toBe(UNBIND);
  });

  it('a request that cannot be made fails alone', async () => {
    const { session } = await sessionWith(async (client) => {
      for (let one = await client.next(); one !== null; one = await client.next())
        client.send(result(one.id, EXTENDED));
    });
    await expect(all(session.search({ ...request, filter: '(cn=' }))).rejects.toMatchObject({ code: 'wrong-use' });
    expect(await session.request(who)).toMatchObject({ code: 0 });
  });
});

describe('a slow reader', () => {
  const MANY = 300;
  const large = Buffer.alloc(100_000, 'x');

  /** Sends far more than is let in, and tells how much of it the line took. */
  function flood(sent: { octets: number; done: boolean }) {
    return async (client: ScriptedClient) => {
      const { id } = (await client.next())!;
      void (async () => {
        for (let one = await client.next(); one !== null; one = await client.next()) {
          client.send(result(one.id, EXTENDED, { message: 'nested' }));
        }
      })();
      for (let i = 0; i < MANY; i++) {
        const octets = entry(id, `cn=${i}`, { photo: [large] });
        if (!client.socket.write(octets)) await once(client.socket, 'drain');
        sent.octets += octets.length;
      }
      client.send(result(id, DONE));
      sent.done = true;
    };
  }

  async function until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  it('keeps the line waiting and loses nothing, and that is not taken for silence', async () => {
    const sent = { octets: 0, done: false };
    const { session, socket } = await sessionWith(flood(sent), { operationMs: 1_000 });
    let entries = 0;
    let first = true;
    for await (const { items } of session.search(request)) {
      entries += items.length;
      if (!first) continue;
      first = false;
      await until(() => socket.isPaused());
      // Longer than an operation may take without a word.
      await new Promise((resolve) => setTimeout(resolve, 1_200));
      expect(sent.done).toBe(false);
      expect(socket.bytesRead).toBeLessThan(12 * 1024 * 1024);
    }
    expect(entries).toBe(MANY);
  });

  it('who asks for more about an entry is answered although much waits to be read', async () => {
    const sent = { octets: 0, done: false };
    const { session, socket } = await sessionWith(flood(sent));
    let asked = 0;
    for await (const { items } of session.search(request)) {
      if (items.length === 0 || asked++ > 0) continue;
      await until(() => socket.isPaused());
      expect(await session.request(who)).toMatchObject({ message: 'nested' });
    }
    expect(asked).toBeGreaterThan(0);
  });

  it('who asks for no more after the result of a search has taken what came with it', async () => {
    const SEARCHES = 60;
    const photo = Buffer.alloc(100_000, 'x');
    const { session } = await sessionWith(async (client) => {
      for (let one = await client.next(); one !== null; one = await client.next()) {
        for (let i = 0; i < 5; i++) client.send(entry(one.id, `cn=${i}`, { photo: [photo] }));
        client.send(result(one.id, DONE));
      }
    });
    let entries = 0;
    for (let i = 0; i < SEARCHES; i++) {
      const search = session.search(request);
      for (let isOver = false; !isOver; ) {
        const { value } = (await search.next()) as { value: SearchBatch };
        entries += value.items.length;
        isOver = value.result !== undefined;
      }
    }
    expect(entries).toBe(5 * SEARCHES);
  });
});

describe('StartTLS', () => {
  it('forgets what came in the clear after the answer, and goes on over the new line', async () => {
    const { session } = await sessionWith(async (client) => {
      const start = (await client.next())!;
      // Whoever sits in between would like this to be taken for an answer from within TLS.
      client.send(
        result(start.id, EXTENDED),
        result(2, EXTENDED, { message: 'forged' }),
        Buffer.from('3050020102', 'hex'),
      );
    });
    expect(await session.request(who)).toMatchObject({ code: 0 });
    const secured = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        // The id of the request.
        this.push(result(chunk[4]!, EXTENDED, { message: 'true' }));
        done();
      },
    });
    await session.secure(async () => secured);
    expect(await session.request(who)).toMatchObject({ message: 'true' });
  });

  it('that fails ends the session', async () => {
    const { session } = await sessionWith(async (client) => {
      const start = (await client.next())!;
      client.send(result(start.id, EXTENDED));
    });
    await session.request(who);
    await expect(session.secure(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(session.ended).toMatchObject({ message: 'The connection to test was cut: no.' });
  });
});
