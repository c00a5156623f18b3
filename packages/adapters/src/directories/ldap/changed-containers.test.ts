import { connect } from 'node:net';
import { once } from 'node:events';
import { afterEach, expect, it } from 'vitest';
import { ReadNotes } from './certificate.ts';
import { hasChangedContainer } from './changed-containers.ts';
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

const bases = [{ dn: 'ou=people,dc=x', scope: 'sub' as const, filter: '(cn=*)' }];

/** `answers`: base → code, and DNs that are found there. */
async function asked(
  answers: Record<string, [code: number, ...dns: string[]]>,
  namingContexts = ['dc=x'],
): Promise<{ isChanged: boolean; bases: string[] }> {
  const searched: string[] = [];
  server = await ScriptedServer.start(async (client) => {
    for (let one = await client.next(); one !== null; one = await client.next()) {
      const base = one.parts[0]!.toString();
      searched.push(base);
      const [code, ...dns] = answers[base] ?? [32];
      client.send(...dns.map((dn) => entry(one.id, dn)), result(one.id, DONE, { code }));
    }
  });
  const { host, port } = server.address;
  const socket = connect(port, host);
  await once(socket, 'connect');
  session = new Session(socket, { server: 'test', operationMs: 5_000, maxMessageBytes: 1_000_000 });
  const dse = { namingContexts, kind: 'generic' } as Partial<RootDse> as RootDse;
  const { signal } = new AbortController();
  const options = optionsFor([server.address], { bases });
  const context: ReadContext = { session, dse, options, notes: new ReadNotes(), signal };
  return { isChanged: await hasChangedContainer(context, '(a>=1)', 0), bases: searched };
}

it('none changed where the server says so', async () => {
  expect((await asked({ 'dc=x': [0] })).isChanged).toBe(false);
});

it('one did where it is named', async () => {
  expect((await asked({ 'dc=x': [4, 'ou=people,dc=x', 'ou=more,dc=x'] })).isChanged).toBe(true);
});

it.each([
  ['timeLimitExceeded', 3],
  ['sizeLimitExceeded', 4],
  ['referral', 10],
  ['adminLimitExceeded', 11],
  ['busy', 51],
  ['unwillingToPerform', 53],
])('one may have changed where the server answers %s', async (_, code) => {
  expect((await asked({ 'dc=x': [code] })).isChanged).toBe(true);
});

it.each([
  ['noSuchObject', 32],
  ['insufficientAccessRights', 50],
])('it is asked of the bases where the account does not see what they lie in: %s', async (_, code) => {
  const found = await asked({ 'dc=x': [code], 'ou=people,dc=x': [0, 'ou=oslo,ou=people,dc=x'] });
  expect(found).toEqual({ isChanged: true, bases: ['dc=x', 'ou=people,dc=x'] });
  await server!.stop();
  expect((await asked({ 'dc=x': [code], 'ou=people,dc=x': [0] })).isChanged).toBe(false);
});

it('it is asked of the bases where the server names no context in which they lie', async () => {
  expect(await asked({ 'ou=people,dc=x': [0, 'ou=oslo,ou=people,dc=x'] }, [])).toEqual({
    isChanged: true,
    bases: ['ou=people,dc=x'],
  });
});
