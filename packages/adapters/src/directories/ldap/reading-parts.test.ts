/** What reads and writes are made of: controls, certificate, bookmark, member ranges, transactions, binds. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { BerWriter } from 'ldapts';
import { afterEach, describe, expect, it } from 'vitest';
import { BerError } from './ber.ts';
import { bind } from './bind.ts';
import { readBookmark, writeBookmark } from './bookmark.ts';
import { ReadNotes } from './certificate.ts';
import { nextPage, pagedResults, syncDoneOf, syncInfoOf, syncRequest, syncStateOf, uuidText } from './controls.ts';
import { completeRanges, hasRange } from './member-range.ts';
import type { LdapOptions } from './options.ts';
import type { LdapResult } from './responses.ts';
import { allPlaces } from './places.ts';
import { PAGED_RESULTS } from './root-dse.ts';
import {
  BIND,
  DONE,
  entry,
  EXTENDED,
  optionsFor,
  type Received,
  result,
  type ScriptedClient,
  ScriptedServer,
} from './scripted-server.ts';
import { Session } from './session.ts';
import { LdapServers } from './servers.ts';
import { inTransaction } from './transaction.ts';
import { writeChanges } from './write.ts';

const signal = new AbortController().signal;
let server: ScriptedServer | undefined;
let session: Session | undefined;
afterEach(async () => {
  session?.close();
  await server?.stop();
  server = session = undefined;
});

async function sessionWith(script: (client: ScriptedClient) => Promise<void>): Promise<Session> {
  server = await ScriptedServer.start(script);
  const { host, port } = server.address;
  const socket = connect(port, host);
  await once(socket, 'connect');
  session = new Session(socket, { server: 'test', operationMs: 5_000, maxMessageBytes: 1_000_000 });
  return session;
}

function octets(write: (writer: BerWriter) => void, tag?: number): Buffer {
  const writer = new BerWriter();
  if (tag === undefined) writer.startSequence();
  else writer.startSequence(tag);
  write(writer);
  writer.endSequence();
  return writer.buffer;
}

describe('controls', () => {
  const cookie = Buffer.from([0, 255, 128]);
  const uuid = Buffer.from('6ba7b8109dad11d180b400c04fd430c8', 'hex');

  it('a page and its cookie', () => {
    expect(pagedResults(100, cookie)).toEqual({
      type: PAGED_RESULTS,
      critical: true,
      value: Buffer.from('3008020164040300ff80', 'hex'),
    });
    expect(nextPage([pagedResults(0, cookie)])).toEqual(cookie);
    expect(nextPage([pagedResults(0, Buffer.alloc(0))])).toEqual(Buffer.alloc(0));
    expect(nextPage([])).toBeNull();
    expect(() => nextPage([{ type: PAGED_RESULTS, value: Buffer.from('3003020100', 'hex') }])).toThrow(BerError);
    expect(() => nextPage([{ type: PAGED_RESULTS, value: Buffer.alloc(0) }])).toThrow(BerError);
  });

  it('a sync request', () => {
    expect(syncRequest('refresh-only', null).value).toEqual(Buffer.from('30030a0101', 'hex'));
    expect(syncRequest('refresh-and-persist', cookie).value).toEqual(Buffer.from('30080a0103040300ff80', 'hex'));
  });

  const state = (code: number, withCookie: boolean) =>
    octets((writer) => {
      writer.writeEnumeration(code);
      writer.writeBuffer(uuid, 0x04);
      if (withCookie) writer.writeBuffer(cookie, 0x04);
    });

  it.each(['present', 'add', 'modify', 'delete'])('the sync state "%s"', (name) => {
    const code = ['present', 'add', 'modify', 'delete'].indexOf(name);
    const type = '1.3.6.1.4.1.4203.1.9.1.2';
    expect(syncStateOf([{ type, value: state(code, true) }])).toEqual({ state: name, uuid, cookie });
    expect(syncStateOf([{ type, value: state(code, false) }])).toMatchObject({ cookie: null });
    expect(() => syncStateOf([{ type, value: state(9, false) }])).toThrow(BerError);
    expect(syncStateOf([])).toBeNull();
  });

  it('the end of a refresh, with every default of its parts', () => {
    const done = (value: Buffer) => syncDoneOf([{ type: '1.3.6.1.4.1.4203.1.9.1.3', value }]);
    expect(done(Buffer.from('3000', 'hex'))).toEqual({ cookie: null, deletes: false });
    expect(done(Buffer.from('3005040300ff80', 'hex'))).toEqual({ cookie, deletes: false });
    expect(done(Buffer.from('30030101ff', 'hex'))).toEqual({ cookie: null, deletes: true });
    expect(syncDoneOf([])).toBeNull();
  });

  it('news in between, of all four kinds', () => {
    expect(syncInfoOf(Buffer.from('800300ff80', 'hex'))).toEqual({ kind: 'cookie', cookie });
    expect(syncInfoOf(Buffer.from('a100', 'hex'))).toEqual({ kind: 'refresh-delete', cookie: null, isDone: true });
    expect(syncInfoOf(Buffer.from('a203010100', 'hex'))).toEqual({
      kind: 'refresh-present',
      cookie: null,
      isDone: false,
    });
    const ids = octets((writer) => {
      writer.writeBoolean(true);
      writer.startSequence(0x31);
      writer.writeBuffer(uuid, 0x04);
      writer.writeBuffer(uuid, 0x04);
      writer.endSequence();
    }, 0xa3);
    expect(syncInfoOf(ids)).toEqual({ kind: 'ids', cookie: null, deletes: true, uuids: [uuid, uuid] });
    expect(syncInfoOf(Buffer.from('a400', 'hex'))).toBeNull();
  });

  it('a UUID is written as the attribute has it', () => {
    expect(uuidText(uuid)).toBe('6ba7b810-9dad-11d1-80b4-00c04fd430c8');
  });
});

describe('a read certificate', () => {
  const base = { dn: 'dc=x', scope: 'sub' as const, filter: '(cn=*)' };
  const ended = (code: number, more: Partial<LdapResult> = {}): LdapResult => ({
    code,
    matchedDn: '',
    message: '',
    referrals: [],
    controls: [],
    value: null,
    ...more,
  });
  const notes = (entries = 1) => Object.assign(new ReadNotes(), { entries });
  const certificate = (of: ReadNotes, extent: 'whole' | 'delta' = 'whole') =>
    of.certificate('test', { bookmark: 'b', extent });

  it('is complete where nothing was against it', () => {
    const good = notes(2);
    good.present = 3;
    good.ended(base, 'test', ended(0));
    expect(certificate(good)).toEqual({
      complete: true,
      remarks: [],
      entries: 5,
      source: 'test',
      bookmark: 'b',
      extent: 'whole',
    });
  });

  it.each([1, 3, 4, 10, 11, 32, 50, 51, 80, 4096])(
    'is incomplete where a search ended with %i, and has no bookmark',
    (code) => {
      const bad = notes();
      bad.ended(base, 'test', ended(code, { message: 'why\nnot' }));
      expect(certificate(bad)).toMatchObject({ complete: false, bookmark: null });
      expect(certificate(bad).remarks[0]).toContain(`(${code}) (why not)`);
    },
  );

  it('is incomplete where somebody has no anchor, or is elsewhere, or nobody is there', () => {
    const [anonymous, elsewhere] = [notes(), notes()];
    anonymous.withoutAnchor();
    elsewhere.referred(['ldap://other.example.org/dc=x']);
    for (const one of [anonymous, elsewhere, notes(0)])
      expect(certificate(one)).toMatchObject({ complete: false, bookmark: null });
  });

  it('of a delta may well have nobody in it', () => {
    expect(certificate(notes(0), 'delta')).toMatchObject({ complete: true, bookmark: 'b' });
  });

  it('has so many remarks and no more, each once', () => {
    const many = notes();
    for (let i = 0; i < 50; i++) many.remark(`remark ${i % 30}`);
    expect(certificate(many).remarks).toHaveLength(20);
  });
});

describe('a bookmark', () => {
  const options = (more: Partial<LdapOptions> = {}) => optionsFor([], { attributes: ['cn', 'mail'], ...more });
  const marked = { wholeMs: 5, delta: { method: 'syncrepl' as const, cookies: ['YQ=='] } };
  const text = writeBookmark(options(), marked);

  it('comes back as it was, also when attributes are named in another order or servers are others', () => {
    expect(readBookmark(options(), text)).toEqual(marked);
    expect(readBookmark(options({ attributes: ['mail', 'cn'], pageSize: 7 }), text)).toEqual(marked);
    expect(readBookmark(options(), writeBookmark(options(), { wholeMs: 1, delta: null }))).toEqual({
      wholeMs: 1,
      delta: null,
    });
  });

  it.each<[string, Partial<LdapOptions>]>([
    ['base', { bases: [{ dn: 'dc=y', scope: 'sub', filter: '(objectClass=person)' }] }],
    ['filter', { bases: [{ dn: 'dc=example', scope: 'sub', filter: '(cn=*)' }] }],
    ['attribute', { attributes: ['cn'] }],
    ['anchor', { anchor: 'objectguid' }],
    ['way with referrals', { referrals: 'follow' }],
  ])('is worth nothing with another %s', (_, more) => {
    expect(readBookmark(options(more), text)).toBeNull();
  });

  it.each([null, '', 'null', '5', '[]', '{', '{"version":2}', text.replace('5', '"5"')])('%j is none', (other) => {
    expect(readBookmark(options(), other)).toBeNull();
  });
});

describe('members in ranges', () => {
  const values = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `cn=${from + i}`);
  const groupOf = (name: string, members: string[]) => ({
    type: 'entry' as const,
    dn: 'cn=team',
    attributes: new Map([
      ['cn', [Buffer.from('team')]],
      [name, members.map((one) => Buffer.from(one))],
    ]),
    controls: [],
  });

  /** Gives the pieces by the first number that is asked for; null: nothing of it is left. */
  function pieces(given: (from: number) => Record<string, string[]> | null) {
    return async (client: ScriptedClient) => {
      for (let one = await client.next(); one !== null; one = await client.next()) {
        const from = Number(/member;range=(\d+)-\*/.exec(one.parts[7]!.toString())![1]);
        const attributes = given(from);
        client.send(...(attributes === null ? [] : [entry(one.id, 'cn=team', attributes)]), result(one.id, DONE));
      }
    };
  }

  it('are put together until the last', async () => {
    const session1 = await sessionWith(
      pieces((from) =>
        from < 6
          ? { [`member;Range=${from}-${from + 2}`]: values(from, from + 3) }
          : { 'member;range=6-*': values(6, 8) },
      ),
    );
    const group = groupOf('member;range=0-2', values(0, 3));
    expect(hasRange(group)).toBe(true);
    await completeRanges(session1, group, signal);
    expect([...group.attributes.keys()]).toEqual(['cn', 'member']);
    expect(group.attributes.get('member')!.map(String)).toEqual(values(0, 8));
    expect(hasRange(group)).toBe(false);
  });

  it('of which one is missing are an error, and not a short group', async () => {
    const line = await sessionWith(pieces(() => ({})));
    const reading = completeRanges(line, groupOf('member;range=0-2', values(0, 3)), signal);
    await expect(reading).rejects.toMatchObject({
      code: 'directory-failed',
      retry: 'later',
      message: 'test did not give member of "cn=team" from number 3 on, and did not end before.',
    });
  });

  it('of a group that vanished, and of a server that does not come on, are an error', async () => {
    const line = await sessionWith(pieces((from) => (from === 3 ? null : { [`member;range=${from}-${from}`]: [] })));
    await expect(completeRanges(line, groupOf('member;range=0-2', []), signal)).rejects.toMatchObject({
      retry: 'later',
    });
    await expect(completeRanges(line, groupOf('member;range=0-7', []), signal)).rejects.toMatchObject({
      message: 'test does not come to an end with member of "cn=team".',
    });
  });
});

describe('a transaction', () => {
  const deletes = ['cn=a', 'cn=b'].map((dn) => ({ type: 'delete' as const, dn }));

  /** Refuses what is named; tells what it was asked, and whether the end was a commit. */
  function server5805(
    asked: string[],
    { refuse = '', start = 0, commit = 0 }: { refuse?: string; start?: number; commit?: number },
  ) {
    return async (client: ScriptedClient) => {
      const answer = (one: Received): Buffer => {
        if (one.tag === 0x4a) return result(one.id, 0x6b, { code: one.parts[0]!.toString() === refuse ? 32 : 0 });
        const name = one.parts[0]!.toString();
        if (name.endsWith('.21.1')) return result(one.id, EXTENDED, { code: start, value: Buffer.from('tx') });
        asked.push(one.parts[1]!.toString('hex'));
        return result(one.id, EXTENDED, { code: commit });
      };
      for (let one = await client.next(); one !== null; one = await client.next()) client.send(answer(one));
    };
  }

  it.each([
    ['takes effect as a whole', {}, true, ['300404027478']],
    ['is taken back where one operation is refused', { refuse: 'cn=b' }, false, ['300701010004027478']],
    ['that the server does not begin has no effect', { start: 53 }, false, []],
    ['that fails at its end has none either', { commit: 80 }, false, ['300404027478']],
  ] as const)('%s', async (_, options, outcome, ends) => {
    const asked: string[] = [];
    expect(await inTransaction(await sessionWith(server5805(asked, options)), deletes, signal)).toBe(outcome);
    expect(asked).toEqual(ends);
  });
});

describe('a bind', () => {
  const simple = (password: string) => ({ method: 'simple' as const, dn: 'cn=a', password: async () => password });
  const withCode = (code: number) => async (client: ScriptedClient) => {
    for (let one = await client.next(); one !== null; one = await client.next()) {
      client.send(result(one.id, BIND, { code, message: 'tell\u0007me' }));
    }
  };

  it('sends no password in the clear to another machine, and never an empty one', async () => {
    const received: Received[] = [];
    const line = await sessionWith(async (client) => {
      for (let one = await client.next(); one !== null; one = await client.next()) received.push(one);
    });
    const clear = { host: 'ldap.example.org', isPrivate: false, signal };
    await expect(bind(line, simple('p'), clear)).rejects.toMatchObject({
      code: 'config-invalid',
      message: 'The password of cn=a would go to test in the clear.',
    });
    await expect(bind(line, simple(''), { ...clear, isPrivate: true })).rejects.toMatchObject({
      code: 'config-invalid',
    });
    expect(received).toEqual([]);
  });

  it.each([
    [49, 'operator'],
    [8, 'operator'],
    [51, 'later'],
    [52, 'later'],
  ])('that is answered with %i is an error for: %s', async (code, retry) => {
    const line = await sessionWith(withCode(code));
    const context = { host: 'x', isPrivate: true, signal };
    await expect(bind(line, simple('p'), context)).rejects.toMatchObject({
      code: 'directory-failed',
      retry,
      message: expect.stringMatching(/^test does not let cn=a in: \w+ \(\d+\): tell me\.$/),
    });
  });

  it('as nobody asks for nothing', async () => {
    const line = await sessionWith(withCode(49));
    await bind(line, { method: 'anonymous' }, { host: 'x', isPrivate: false, signal });
    expect(line.ended).toBeNull();
  });
});

it.each([3, 4, 11, 32, 53])('places of which code %i cuts the rest off are given, and are not all', async (code) => {
  const session1 = await sessionWith(async (client) => {
    const one = (await client.next())!;
    client.send(entry(one.id, 'cn=a', { entryUUID: ['1'] }), result(one.id, DONE, { code }));
  });
  const options = { ...optionsFor([]), target: undefined };
  const dns: string[] = [];
  const reading = async () => {
    for await (const { dn } of allPlaces({ session: session1, options, pages: true, signal })) dns.push(dn);
  };
  await expect(reading()).rejects.toMatchObject({ code: 'directory-failed', context: { code } });
  expect(dns).toEqual(['cn=a']);
});

it('a write without changes opens no line', async () => {
  server = await ScriptedServer.start(async () => {});
  const options = optionsFor([server.address]);
  const nothing = async function* () {};
  for await (const _ of writeChanges(
    options,
    new LdapServers(options),
    nothing(),
    { transactionsFailed: false },
    signal,
  ))
    expect.unreachable();
  expect(server.clients).toEqual([]);
});
