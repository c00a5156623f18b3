/** Whether an account may change entries that stand somewhere already: what is said where no such entry is found to ask for. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { ReadNotes } from './certificate.ts';
import { entryRights } from './entry-rights.ts';
import { ADMIN_LIMIT_EXCEEDED, NO_SUCH_OBJECT, SIZE_LIMIT_EXCEEDED, SUCCESS, TIME_LIMIT_EXCEEDED } from './results.ts';
import type { RootDse } from './root-dse.ts';
import { DONE, entry, optionsFor, result, ScriptedServer } from './scripted-server.ts';
import { Session } from './session.ts';

const BASE = { dn: 'ou=people,dc=example', scope: 'sub', filter: '(objectClass=person)' } as const;
const open: { close(): void }[] = [];
const servers: ScriptedServer[] = [];
afterEach(async () => {
  for (const session of open.splice(0)) session.close();
  for (const server of servers.splice(0)) await server.stop();
});

/** Of a server that ends the search for an entry with that code. */
async function rightsAfter(code: number) {
  const server = await ScriptedServer.start(async (client) => {
    const search = await client.next();
    if (search === null) return;
    const protectedOne = entry(search.id, `cn=root,${BASE.dn}`, { isCriticalSystemObject: ['TRUE'] });
    client.send(protectedOne, result(search.id, DONE, { code }));
  });
  servers.push(server);
  const socket = connect(server.address.port, server.address.host);
  await once(socket, 'connect');
  const session = new Session(socket, { server: 'test', operationMs: 5_000, maxMessageBytes: 1_000_000 });
  open.push(session);
  const { signal } = new AbortController();
  const dse = { kind: 'generic', schema: null, controls: new Set() } as unknown as RootDse;
  const context = { session, dse, options: optionsFor([]), notes: new ReadNotes(), signal };
  return entryRights(context, 'cn=dirpost', { base: BASE, attributes: ['title'] });
}

it.each([
  [TIME_LIMIT_EXCEEDED, /timeLimitExceeded/],
  [ADMIN_LIMIT_EXCEEDED, /adminLimitExceeded/],
  [SIZE_LIMIT_EXCEEDED, /sizeLimitExceeded/],
])('is not known where a limit (%i) ends the search for one of them, and that is said', async (code, how) => {
  expect(await rightsAfter(code)).toEqual({
    base: BASE.dn,
    may: 'unknown',
    how: expect.stringMatching(how),
    lack: null,
  });
});

it.each([SUCCESS, NO_SUCH_OBJECT])('is not asked where there is nobody (%i)', async (code) => {
  expect(await rightsAfter(code)).toBeNull();
});
