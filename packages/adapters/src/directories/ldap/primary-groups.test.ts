import { connect } from 'node:net';
import { once } from 'node:events';
import { afterEach, expect, it } from 'vitest';
import { ReadNotes } from './certificate.ts';
import { PrimaryGroups } from './primary-groups.ts';
import type { ReadContext } from './read-whole.ts';
import type { FoundEntry } from './responses.ts';
import type { RootDse } from './root-dse.ts';
import { DONE, entry, optionsFor, result, ScriptedServer } from './scripted-server.ts';
import { Session } from './session.ts';

const SEARCH = 0x63;
let server: ScriptedServer | undefined;
let session: Session | undefined;
afterEach(async () => {
  session?.close();
  await server?.stop();
});

/** Of one domain: `S-1-5-21-1-2-3-RID`. */
const sid = (rid: number) => {
  const octets = Buffer.from('010500000000000515000000010000000200000003000000ffffffff', 'hex');
  octets.writeUInt32LE(rid, 24);
  return octets;
};
const group = (rid: number, asClass = 'group'): FoundEntry => ({
  type: 'entry',
  dn: `cn=${rid},dc=x`,
  attributes: new Map([
    ['objectclass', [Buffer.from('top'), Buffer.from(asClass)]],
    ['objectsid', [sid(rid)]],
    ['member', [Buffer.from('cn=named,dc=x')]],
  ]),
  controls: [],
});

let searches = 0;
/** Two users with 1101 and one with 1102. `code`: how the search ends. */
async function contextWith(code = 0): Promise<ReadContext> {
  searches = 0;
  server = await ScriptedServer.start(async (client) => {
    for (let one = await client.next(); one !== null; one = await client.next()) {
      if (one.tag !== SEARCH) continue;
      searches++;
      const user = (rid: number, of: string) =>
        entry(one!.id, `cn=u${rid},dc=x`, { primarygroupid: [of], objectsid: [sid(rid)] });
      client.send(Buffer.concat([user(1, '1101'), user(2, '1101'), user(3, '1102'), user(4, '-1'), user(5, 'x')]));
      client.send(result(one.id, DONE, { code }));
    }
  });
  const { host, port } = server.address;
  const socket = connect(port, host);
  await once(socket, 'connect');
  session = new Session(socket, { server: 'test', operationMs: 5_000, maxMessageBytes: 1_000_000 });
  const dse = { controls: new Set<string>(), namingContexts: ['dc=example', 'dc=x'] };
  const options = optionsFor([server.address]);
  const { signal } = new AbortController();
  return { session, dse: dse as Partial<RootDse> as RootDse, options, notes: new ReadNotes(), signal };
}

const membersOf = ({ attributes }: FoundEntry) => attributes.get('member')!.map(String);

it('adds to each group who has it as primary group, and asks once', async () => {
  const context = await contextWith();
  const groups = new PrimaryGroups({ attributes: ['member'] });
  const [first, second, third, person] = [group(1101), group(1102), group(1103), group(1101, 'user')] as const;
  for (const one of [person, first, second, third]) await groups.addMembers(context, one);
  expect(membersOf(first)).toEqual(['cn=named,dc=x', 'cn=u1,dc=x', 'cn=u2,dc=x']);
  expect(membersOf(second)).toEqual(['cn=named,dc=x', 'cn=u3,dc=x']);
  expect([membersOf(third), membersOf(person)]).toEqual([['cn=named,dc=x'], ['cn=named,dc=x']]);
  expect([first, person].some(({ attributes }) => attributes.has('objectsid'))).toBe(false);
  expect(searches).toBe(1);
});

it('asks another server that was referred to for those of its own domain', async () => {
  const context = await contextWith();
  const groups = new PrimaryGroups({ attributes: ['member'] });
  const elsewhere = { ...context, dse: { ...context.dse, namingContexts: ['dc=y'] } };
  const [here, there, nowhere] = [
    group(1101),
    { ...group(1102), dn: 'cn=1102,dc=y' },
    { ...group(1102), dn: 'cn=z' },
  ] as const;
  for (const [one, of] of [
    [here, context],
    [there, elsewhere],
    [nowhere, elsewhere],
  ] as const)
    await groups.addMembers(of, one);
  expect(membersOf(here)).toHaveLength(3);
  expect(membersOf(there)).toEqual(['cn=named,dc=x', 'cn=u3,dc=x']);
  expect(membersOf(nowhere)).toEqual(['cn=named,dc=x']);
  expect(searches).toBe(2);
});

it('keeps the SID where somebody asked for it', async () => {
  const context = await contextWith();
  const one = group(1101);
  await new PrimaryGroups({ attributes: ['member', 'objectsid'] }).addMembers(context, one);
  expect(one.attributes.has('objectsid')).toBe(true);
});

it('adds nobody where there are too many to keep, and says so', async () => {
  const context = await contextWith();
  const one = group(1101);
  await new PrimaryGroups({ attributes: ['member'] }, 2).addMembers(context, one);
  expect(membersOf(one)).toEqual(['cn=named,dc=x']);
  const { remarks } = context.notes.certificate('test', { bookmark: null });
  expect(remarks.join()).toMatch(/More than 2 entries have a primary group of their own/);
});

it('fails where the server does not tell all of them: a group would lose members', async () => {
  const context = await contextWith(4);
  const adding = new PrimaryGroups({ attributes: ['member'] }).addMembers(context, group(1101));
  await expect(adding).rejects.toMatchObject({ code: 'directory-failed', retry: 'later' });
});
