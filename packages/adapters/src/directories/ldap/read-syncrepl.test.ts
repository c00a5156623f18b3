import { connect } from 'node:net';
import { once } from 'node:events';
import { BerWriter } from 'ldapts';
import { afterEach, expect, it } from 'vitest';
import { ReadNotes } from './certificate.ts';
import { readSync, type SyncOutcome } from './read-syncrepl.ts';
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
