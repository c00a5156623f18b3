import { connect } from 'node:net';
import { once } from 'node:events';
import { BerWriter } from 'ldapts';
import { afterEach, describe, expect, it } from 'vitest';
import { ReadNotes } from './certificate.ts';
import { hasMovedSince, readSync, type SyncOutcome } from './read-syncrepl.ts';
import type { ReadContext } from './read-whole.ts';
import type { RootDse } from './root-dse.ts';
import { DONE, entry, optionsFor, result, ScriptedServer } from './scripted-server.ts';
import { Session } from './session.ts';

let server: ScriptedServer | undefined;
let session: Session | undefined;
afterEach(async () => {
  session?.close();
  await server?.stop();
});

const SYNC_STATE = '1.3.6.1.4.1.4203.1.9.1.2';
const ADD = 1;

/** RFC 4533 §2.3. */
function stateOf(uuid: string): Buffer {
  const writer = new BerWriter();
  writer.startSequence();
  writer.writeEnumeration(ADD);
  writer.writeBuffer(Buffer.from(uuid.replaceAll('-', ''), 'hex'), 0x04);
  writer.endSequence();
  return writer.buffer;
}

/** The anchors that are given of an entry with that entryUUID. */
async function anchorsOf(uuid: string, entryUuid: string): Promise<string[]> {
  server = await ScriptedServer.start(async (client) => {
    const one = (await client.next())!;
    const control = { type: SYNC_STATE, value: stateOf(uuid) };
    client.send(entry(one.id, 'cn=a,dc=x', { entryUUID: [entryUuid] }, [control]), result(one.id, DONE));
  });
  const { host, port } = server.address;
  const socket = connect(port, host);
  await once(socket, 'connect');
  session = new Session(socket, { server: 'test', operationMs: 5_000, maxMessageBytes: 1_000_000 });
  const options = optionsFor([server.address]);
  const dse = { controls: new Set() } as Partial<RootDse> as RootDse;
  const context: ReadContext = { session, dse, options, notes: new ReadNotes(), signal: new AbortController().signal };
  const outcome: SyncOutcome = { cookie: null, end: 'whole' };
  const anchors: string[] = [];
  for await (const { entries } of readSync(context, options.bases[0]!, null, outcome))
    for (const { attributes } of entries) anchors.push(Buffer.from(attributes.get('entryuuid')![0]!).toString());
  return anchors;
}

const UUID = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';

it('an entry is named as by those who are gone or still there', async () => {
  expect(await anchorsOf(UUID, UUID)).toEqual([UUID]);
});

it('an entry whose key is spelt otherwise is an error: by its key nobody would find it among those who are still there', async () => {
  await expect(anchorsOf(UUID, UUID.toUpperCase())).rejects.toMatchObject({
    code: 'directory-failed',
    retry: 'operator',
  });
});

describe('whether a container moved since a cookie of two servers', () => {
  const [first, second] = ['20260301120000.000000Z#000000#001#000000', '20260301110000.000000Z#000000#002#000000'];
  const cookie = Buffer.from(`rid=000,sid=001,csn=${first};${second}`);

  /** A container with that entryCSN, found by a filter that lets it through. */
  async function hasMoved(entryCsn: string): Promise<boolean | null> {
    server = await ScriptedServer.start(async (client) => {
      for (let one = await client.next(); one !== null; one = await client.next()) {
        const from = /\d{14}\.\d{6}Z#\d{6}#\d{3}#\d{6}/.exec(Buffer.concat(one.parts).toString('latin1'))![0];
        const found = entryCsn >= from ? [entry(one.id, 'ou=oslo,dc=x', { entryCSN: [entryCsn] })] : [];
        client.send(...found, result(one.id, DONE));
      }
    });
    const { host, port } = server.address;
    const socket = connect(port, host);
    await once(socket, 'connect');
    session = new Session(socket, { server: 'test', operationMs: 5_000, maxMessageBytes: 1_000_000 });
    const dse = { kind: 'openldap', namingContexts: ['dc=x'] } as Partial<RootDse> as RootDse;
    const options = optionsFor([server.address], { bases: [{ dn: 'dc=x', scope: 'sub', filter: '(cn=*)' }] });
    const context = { session, dse, options, notes: new ReadNotes(), signal: new AbortController().signal };
    return hasMovedSince(context, cookie);
  }

  it.each([
    [
      'yes: on the one that is behind, before the newest of the other',
      '20260301113000.000000Z#000000#002#000000',
      true,
    ],
    ['yes: on the one that is ahead', '20260301123000.000000Z#000000#001#000000', true],
    ['yes: on a third one, after all others', '20260301123000.000000Z#000000#003#000000', true],
    // Of one that has been taken out of service the cookie says nothing.
    ['no: on a third one, before the newest', '20260301113000.000000Z#000000#003#000000', false],
    ['no: on the one that is ahead, and known already', '20260301113000.000000Z#000000#001#000000', false],
    ['no: the newest of either', second, false],
  ])('%s', async (_, entryCsn, moved) => {
    expect(await hasMoved(entryCsn)).toBe(moved);
  });
});
