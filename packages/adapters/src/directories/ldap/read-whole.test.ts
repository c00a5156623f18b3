import { connect } from 'node:net';
import { once } from 'node:events';
import { afterEach, expect, it } from 'vitest';
import { ReadNotes } from './certificate.ts';
import { pagedResults } from './controls.ts';
import { type ReadContext, searchPages } from './read-whole.ts';
import { PAGED_RESULTS, type RootDse } from './root-dse.ts';
import {
  DONE,
  entry,
  optionsFor,
  type Received,
  result,
  type ScriptedClient,
  ScriptedServer,
} from './scripted-server.ts';
import { Session } from './session.ts';

let server: ScriptedServer | undefined;
let session: Session | undefined;
afterEach(async () => {
  session?.close();
  await server?.stop();
});

const SEARCH = 0x63;
const ABANDON = 0x50;
const request = { base: 'dc=x', scope: 'sub' as const, filter: '(cn=*)', attributes: ['cn'] };
const { signal } = new AbortController();

/** Pages of two, of which the last has no cookie. */
function page(id: number, number: number, pages: number): Buffer {
  const cookie = number < pages ? Buffer.from(`page ${number + 1}`) : Buffer.alloc(0);
  const entries = ['a', 'b'].map((name) => entry(id, `cn=${name}${number},dc=x`, { cn: [name] }));
  return Buffer.concat([...entries, result(id, DONE, { controls: [pagedResults(0, cookie)] })]);
}

async function contextWith(script: (client: ScriptedClient) => Promise<void>): Promise<ReadContext> {
  server = await ScriptedServer.start(script);
  const { host, port } = server.address;
  const socket = connect(port, host);
  await once(socket, 'connect');
  session = new Session(socket, { server: 'test', operationMs: 5_000, maxMessageBytes: 1_000_000 });
  const dse = { controls: new Set([PAGED_RESULTS]) } as Pick<RootDse, 'controls'> as RootDse;
  return { session, dse, options: optionsFor([server.address]), notes: new ReadNotes(), signal };
}

it('asks for the next page before the reader has taken the one before, and reads all of them', async () => {
  const asked: Received[] = [];
  let told = () => {};
  const context = await contextWith(async (client) => {
    for (let one = await client.next(); one?.tag === SEARCH; one = await client.next()) {
      asked.push(one);
      told();
      client.send(page(one.id, asked.length, 3));
    }
  });
  const names: string[] = [];
  let pages = 0;
  const isAskedAhead = () => asked.length >= Math.min(pages + 1, 3);
  for await (const { items, result: end } of searchPages(context, request)) {
    for (const item of items) if (item.type === 'entry') names.push(item.dn);
    if (end === undefined) continue;
    pages++;
    while (!isAskedAhead()) await new Promise<void>((resolve) => (told = resolve));
  }
  expect(names).toEqual(['cn=a1,dc=x', 'cn=b1,dc=x', 'cn=a2,dc=x', 'cn=b2,dc=x', 'cn=a3,dc=x', 'cn=b3,dc=x']);
  expect(asked).toHaveLength(3);
});

it('abandons the page that is under way when its reader leaves', async () => {
  let abandoned: (id: number) => void;
  const abandonment = new Promise<number>((resolve) => (abandoned = resolve));
  const ids: number[] = [];
  const context = await contextWith(async (client) => {
    for (let one = await client.next(); one !== null; one = await client.next()) {
      if (one.tag === ABANDON) abandoned(one.parts[0]!.readIntBE(0, one.parts[0]!.length));
      if (one.tag !== SEARCH) continue;
      ids.push(one.id);
      // Of the second one only a part.
      client.send(ids.length === 1 ? page(one.id, 1, 2) : entry(one.id, 'cn=c,dc=x', { cn: ['c'] }));
    }
  });
  for await (const { result: end } of searchPages(context, request)) if (end !== undefined) break;
  expect(await abandonment).toBe(ids[1]);
});

it('tells its reader, and nobody else, that the line broke while the next page was under way', async () => {
  const context = await contextWith(async (client) => {
    const first = await client.next();
    client.send(page(first!.id, 1, 2));
    await client.next();
    client.socket.destroy();
  });
  const closed = new Promise<void>(
    (resolve) =>
      void (async () => {
        while (session!.ended === null) await new Promise(setImmediate);
        resolve();
      })(),
  );
  const reading = async () => {
    for await (const { result: end } of searchPages(context, request)) if (end !== undefined) await closed;
  };
  await expect(reading()).rejects.toMatchObject({ code: 'directory-failed', retry: 'later' });
});

it('ends with a page that ended with an error, also where a next one is offered', async () => {
  let asked = 0;
  const context = await contextWith(async (client) => {
    for (let one = await client.next(); one?.tag === SEARCH && asked < 5; one = await client.next()) {
      asked++;
      client.send(result(one.id, DONE, { code: 51, controls: [pagedResults(0, Buffer.from('once more'))] }));
    }
    client.socket.destroy();
  });
  const codes: (number | undefined)[] = [];
  for await (const { result: end } of searchPages(context, request)) codes.push(end?.code);
  expect(codes).toEqual([51]);
  expect(asked).toBe(1);
});
