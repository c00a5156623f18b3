/** `dirpost explain`: where the change of a person is, told at the owner, at the server and at a receiver. */
import { cp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { acquireLock } from '@dirpost/adapters';
import { describe, expect, it } from 'vitest';
import type { Explanation } from '../../packages/agent/src/explain.ts';
import { cycle, makeOffices, Office, type Ran } from '../demo/office.ts';
import { personDn, type Staff } from '../demo/people.ts';
import { runHere, smallStaff, temporaryFolder } from './network.ts';

const NAMES = ['hq', 'oslo', 'lima'];
let template: Promise<string> | undefined;

async function makeTemplate(): Promise<string> {
  const root = await temporaryFolder();
  const offices = await makeOffices(root, NAMES, runHere);
  for (const office of offices) await office.writePeople(smallStaff(office.name));
  await cycle(offices);
  await cycle(offices);
  return root;
}

interface Three {
  root: string;
  hq: Office;
  oslo: Office;
  lima: Office;
  offices: Office[];
  staff: Staff;
}

/** The server and two branches, in step; `staff` is that of oslo. */
async function three(): Promise<Three> {
  template ??= makeTemplate();
  const root = await temporaryFolder();
  await cp(await template, root, { recursive: true });
  const offices = NAMES.map((name) => new Office(root, name, runHere));
  const [hq, oslo, lima] = offices as [Office, Office, Office];
  return { root, hq, oslo, lima, offices, staff: smallStaff('oslo') };
}

async function told(office: Office, ...args: string[]): Promise<Explanation> {
  const ran = await office.run('--json', 'explain', ...args);
  expect({ code: ran.code, err: ran.err }).toEqual({ code: 0, err: '' });
  return JSON.parse(ran.out) as Explanation;
}

async function said(office: Office, ...args: string[]): Promise<string> {
  return (await office.must('explain', ...args)).out;
}

async function edit(office: Office, from: string | RegExp, to: string): Promise<void> {
  const text = await readFile(office.config, 'utf8');
  const edited = text.replace(from, to);
  expect(edited).not.toBe(text);
  await writeFile(office.config, edited);
}

const standingOf = ({ server }: Explanation, name: string) =>
  server!.lists[0]!.requestors.find(({ postoffice }) => postoffice === name);

describe('in step', () => {
  it('a person is found by given name or surname, too, and whoever has it as his whole name comes first', async () => {
    const { oslo, staff } = await three();
    const matchesOf = async (asked: string): Promise<string[]> => {
      const ran = await oslo.run('--json', 'explain', asked);
      return (JSON.parse(ran.out) as Explanation).matches.map(({ mail }) => mail!.split('@')[0]!).toSorted();
    };
    const uidsOf = (which: (one: (typeof staff.people)[number]) => boolean) =>
      staff.people
        .filter(which)
        .map(({ uid }) => uid)
        .toSorted();
    const { givenName, sn, uid } = staff.people[0]!;
    expect(await matchesOf(givenName)).toEqual(expect.arrayContaining(uidsOf((one) => one.givenName === givenName)));
    expect(await matchesOf(sn)).toEqual(expect.arrayContaining(uidsOf((one) => one.sn === sn)));
    expect(await matchesOf(`${givenName} ${sn}`)).toContain(uid);
    const people = staff.people.map((one, i) => (i === 5 ? { ...one, uid: givenName.toLowerCase() } : one));
    await oslo.writePeople({ ...staff, people });
    await oslo.run('sync', '--wait', '0');
    expect(await matchesOf(givenName)).toEqual([givenName.toLowerCase()]);
  });

  it('the server says which list, what of it, and that the others have it', async () => {
    const { hq, staff } = await three();
    const { uid } = staff.people[0]!;
    const explanation = await told(hq, uid);
    expect(explanation).toMatchObject({
      matches: [{ owner: 'oslo', kind: 'person', mail: `${uid}@oslo.example.org` }],
      owner: null,
      server: { owner: 'oslo', removed: false, refused: null, refusals: [] },
      receiver: { inReplica: true, list: 'all', directories: [{ directory: 'network', state: 'written' }] },
    });
    expect(explanation.server!.lists).toMatchObject([{ list: 'all', on: true, reasons: [], withheld: [] }]);
    expect(explanation.server!.lists[0]!.released).toContain('title');
    expect(standingOf(explanation, 'oslo')).toMatchObject({ state: 'owner' });
    expect(standingOf(explanation, 'lima')).toMatchObject({ state: 'has-it', written: true, refused: null });
    const out = await said(hq, uid);
    expect(out).toMatch(/List all: on it since seq \d+/);
    expect(out).toMatch(/lima +yes; verified 2.* +\d+ +\d+ +written/);
  });

  it('the owner says where it comes from and that it was accepted', async () => {
    const { oslo, staff } = await three();
    const [person] = staff.people;
    expect((await told(oslo, person!.uid)).owner).toMatchObject({
      directory: 'people',
      dn: personDn(person!, 'oslo'),
      kind: 'person',
      state: 'accepted',
      refused: null,
      removed: false,
    });
    const out = await said(oslo, person!.uid);
    expect(out).toMatch(/kind +person, by \(\|\(objectClass=person\)/);
    expect(out).toMatch(/accepted by hq up to seq 14/);
    expect(out).not.toMatch(/In the directories/);
    expect(await said(oslo, person!.uid, '--read')).toMatch(/Would be published by the next sync as it is/);
  });

  it('a receiver says under which DN it was written, and in which groups it is', async () => {
    const { lima, staff } = await three();
    const group = staff.groups[0]!;
    const person = staff.people.find(({ key }) => group.members.includes(key))!;
    const explanation = await told(lima, `${person.uid}@oslo.example.org`);
    expect(explanation).toMatchObject({ owner: null, server: null, sources: null, receiver: { inReplica: true } });
    expect(explanation.receiver!.groups.map(({ name }) => name)).toContain(group.cn);
    expect(await said(lima, person.uid)).toMatch(/network: written .* as uid=.*,ou=oslo,/);
  });

  it('whatever is asked for: id, key, mail, uid, cn, DN at the owner, DN here, filter', async () => {
    const { lima, staff } = await three();
    const person = staff.people[3]!;
    const [match] = (await told(lima, person.uid)).matches;
    const { dn } = (await told(lima, person.uid)).receiver!.directories[0]!;
    const ways = [match!.id, person.key, match!.mail!.toUpperCase(), match!.name!, personDn(person, 'oslo'), dn!];
    for (const way of [...ways, `(&(uid=${person.uid})(kind=person))`])
      expect({ way, ids: (await told(lima, way)).matches.map(({ id }) => id) }).toEqual({ way, ids: [match!.id] });
  });

  it('a postoffice that is at work is not disturbed', async () => {
    const { oslo, staff } = await three();
    const lock = acquireLock(oslo.data);
    try {
      await told(oslo, staff.people[0]!.uid, '--read');
    } finally {
      lock.release();
    }
  });
});

describe('not there, because', () => {
  it('the filter of the list leaves it out: the part that does not match is named', async () => {
    const { hq, lima, offices, staff } = await three();
    const { uid, key } = staff.people[0]!;
    await edit(hq, 'filter: (objectClass=*)', `filter: "(&(objectClass=*)(!(uid=${uid})))"`);
    await hq.must('sync');
    const reason = `(!(uid=${uid})) does not match: its uid is "${uid}"`;
    const explanation = await told(hq, uid);
    expect(explanation.server!.lists).toMatchObject([{ on: false, left: true, released: [], reasons: [reason] }]);
    expect(standingOf(explanation, 'lima')).toMatchObject({ state: 'next-update' });
    expect(await said(hq, uid)).toMatch(/List all: left it with seq \d+\n +because \(!\(uid=/);
    await cycle(offices);
    await cycle(offices);
    // Everybody has verified that it is gone, so that nothing but the filter says so any more.
    expect((await told(hq, key)).server!.lists).toMatchObject([{ on: false, left: false, reasons: [reason] }]);
    expect(await lima.run('explain', uid)).toMatchObject({ code: 1 });
  });

  it('it is held at the server, and at a receiver', async () => {
    const { hq, oslo, lima, staff } = await three();
    const all = [...staff.people];
    staff.people = [];
    await oslo.writePeople(staff);
    await edit(oslo, 'direction: publish', 'direction: publish\n    exclude: []');
    await writeFile(oslo.config, `${await readFile(oslo.config, 'utf8')}\nholds: { removals: { percent: 100 } }\n`);
    // The groups lose their members, which oslo itself holds.
    expect(await oslo.run('sync', '--wait', '0')).toMatchObject({ code: 3 });
    expect(await hq.run('dispatch')).toMatchObject({ code: 3 });
    const { uid } = all[0]!;
    const explanation = await told(hq, uid);
    expect(explanation.server).toMatchObject({ removed: true, held: { effects: ['removals'] }, lists: [{ on: true }] });
    expect(await said(hq, uid)).toMatch(/HELD here since .*: its removal; the lists stay as they were/);
    await edit(hq, 'filter: (objectClass=*)', 'filter: "(postoffice=hq)"');
    await lima.run('sync', '--wait', '0');
    await hq.run('dispatch');
    await lima.run('dispatch');
    expect((await told(lima, uid)).receiver).toMatchObject({
      inReplica: false,
      held: { effects: ['removals'] },
      directories: [{ state: 'written' }],
    });
    expect(await said(lima, uid)).toMatch(/HELD here since .*: its removal; the directories here stay as they were/);
  });

  it.each([
    [
      'its filter',
      'filter: "(&(objectClass=*)(l=oslo))"',
      /Left out because the filter .*\n +\(l=oslo\) .* its l is "bergen"/,
    ],
    ['an exclusion', 'exclude: [{ attribute: l, prefix: berg }]', /Left out because the exclusion l: berg… matches/],
    ['its base', 'base: "ou=nobody,dc=example,dc=org"', /Left out because it is outside the base ou=nobody/],
    ['its kinds', 'kinds: { person: "(title=nothing)" }', /Left out because it is neither person/],
  ])('the mapping of the owner leaves it out: %s', async (_, setting, reason) => {
    const { oslo, staff } = await three();
    const person = staff.people[0]!;
    person.l = 'bergen';
    await oslo.writePeople(staff);
    await edit(oslo, 'direction: publish', `direction: publish\n    ${setting}`);
    await oslo.run('sync', '--wait', '0');
    expect(await said(oslo, person.uid)).toMatch(reason);
    expect(await told(oslo, person.key)).toMatchObject({
      sources: { found: [{ directory: 'people', outcome: 'leave-out' }] },
    });
  });

  it('it has no key', async () => {
    const { oslo, staff } = await three();
    staff.people[0]!.key = '';
    await oslo.writePeople(staff);
    await oslo.run('sync', '--wait', '0');
    const text = await said(oslo, personDn(staff.people[0]!, 'oslo'));
    expect(text).toMatch(
      /published +with seq [^]*REFUSED because it has no entryUUID.*; what is published stays as it was/,
    );
  });

  it('the publishing rules refuse it: told at the server and at the owner', async () => {
    const { hq, oslo, offices, staff } = await three();
    const rule = 'requestors: { oslo: { publish: { kinds: [person] } } }';
    await writeFile(hq.config, `${await readFile(hq.config, 'utf8')}\n${rule}\n`);
    await cycle(offices);
    await cycle(offices);
    const { cn } = staff.groups[0]!;
    expect(await told(hq, `(&(cn=${cn})(postoffice=oslo))`)).toMatchObject({
      server: {
        refused: { code: 'kind-not-allowed', reason: 'oslo may not publish entries of kind group' },
        lists: [{ on: false, reasons: ['the publishing rules keep it from all lists'] }],
      },
    });
    expect(await said(oslo, `(&(cn=${cn})(postoffice=oslo))`)).toMatch(/REFUSED by the server \(kind-not-allowed\)/);
  });
});

describe('on its way', () => {
  async function changed({ oslo, staff }: Three): Promise<string> {
    staff.people[0]!.title = 'Harbour pilot';
    await oslo.writePeople(staff);
    return staff.people[0]!.uid;
  }

  it('it waits in the outbox of its owner, and why', async () => {
    const network = await three();
    const { root, oslo } = network;
    const uid = await changed(network);
    await rename(oslo.exchange, join(root, 'unplugged'));
    await oslo.run('sync', '--wait', '0');
    const { owner } = await told(oslo, uid);
    expect(owner).toMatchObject({ state: 'waiting', attempts: 1, file: expect.stringMatching(/^[0-9a-f]{32}\.dpm$/) });
    expect(await said(oslo, uid)).toMatch(/waits here in .*\.dpm, exchange \d+, .*tries failed: .*exchange folder/);
  });

  it('it was sent, processed, sent on, and is not verified yet', async () => {
    const network = await three();
    const { hq, oslo, lima } = network;
    const uid = await changed(network);
    await oslo.must('sync', '--wait', '0');
    expect(await told(oslo, uid)).toMatchObject({ owner: { state: 'sent', exchange: { number: expect.any(Number) } } });
    await hq.must('dispatch');
    expect(standingOf(await told(hq, uid), 'lima')).toMatchObject({ state: 'next-update', written: false });
    await lima.must('sync', '--wait', '0');
    await hq.must('dispatch');
    expect(standingOf(await told(hq, uid), 'lima')).toMatchObject({ state: 'sent' });
    await lima.must('dispatch');
    await hq.must('dispatch');
    expect(standingOf(await told(hq, uid), 'lima')).toMatchObject({ state: 'has-it', written: true });
  });

  it('it waits in the outbox of the server', async () => {
    const network = await three();
    const { hq, oslo, lima } = network;
    const uid = await changed(network);
    await oslo.must('sync', '--wait', '0');
    await lima.must('sync', '--wait', '0');
    await rename(lima.inbox, `${lima.inbox}.away`);
    await writeFile(lima.inbox, 'no folder');
    await hq.run('dispatch');
    await lima.run('sync', '--wait', '0');
    await hq.run('dispatch');
    const standing = standingOf(await told(hq, uid), 'lima')!;
    expect(standing).toMatchObject({ state: 'waiting', file: expect.stringMatching(/\.dpm$/) });
    expect(standing.attempts).toBeGreaterThan(0);
    expect(await said(hq, uid)).toMatch(/lima: [0-9a-f]+\.dpm, \d+ tries failed: /);
  });

  it('a receiver has it, and its directory could not be written', async () => {
    const network = await three();
    const { hq, oslo, lima } = network;
    const uid = await changed(network);
    await rm(lima.network);
    await cp(lima.data, lima.network, { recursive: true });
    await oslo.must('sync', '--wait', '0');
    await hq.must('dispatch');
    await lima.run('sync', '--wait', '0');
    await hq.must('dispatch');
    await lima.run('dispatch');
    const { receiver } = await told(lima, uid);
    expect(receiver).toMatchObject({ inReplica: true, directories: [{ state: 'failed' }] });
    expect(await said(lima, uid)).toMatch(/network: the last write failed, and will be tried again: .*network\.ldif/);
  });

  it('a directory of a receiver refuses it: told there and at the server', async () => {
    const network = await three();
    const { hq, oslo, lima } = network;
    // A name that an LDIF file cannot have (RFC 2849).
    await edit(oslo, 'direction: publish', 'direction: publish\n    attributes: { title: title, changetype: title }');
    const uid = await changed(network);
    await oslo.must('sync', '--wait', '0');
    await hq.must('dispatch');
    await lima.must('sync', '--wait', '0');
    await hq.must('dispatch');
    await lima.run('dispatch');
    await hq.must('dispatch');
    const refused = { code: 'objectClassViolation', reason: expect.stringMatching(/changetype/) };
    expect((await told(lima, uid)).receiver!.directories).toMatchObject([{ state: 'refused', ...refused }]);
    expect(await said(lima, uid)).toMatch(/network: REFUSED \(objectClassViolation\): .*changetype/);
    const explanation = await told(hq, uid);
    expect(explanation.server!.refusals).toContainEqual({ postoffice: 'lima', ...refused });
    expect(standingOf(explanation, 'lima')).toMatchObject({ state: 'has-it', refused });
    expect(await said(hq, uid)).toMatch(/REFUSED by a directory of lima \(objectClassViolation\)/);
  });
});

describe('removed', () => {
  it('is told everywhere, by key or id', async () => {
    const { hq, oslo, lima, offices, staff } = await three();
    const [gone] = staff.people.splice(0, 1);
    const { id } = (await told(hq, gone!.uid)).matches[0]!;
    await oslo.writePeople(staff);
    await oslo.must('sync', '--wait', '0');
    await hq.must('dispatch');
    expect(await told(hq, id)).toMatchObject({ server: { removed: true, lists: [{ on: false, left: true }] } });
    expect(await said(hq, gone!.key)).toMatch(
      /A removed entry[^]*left it with seq \d+\n +because its owner removed it/,
    );
    expect(await told(oslo, gone!.key)).toMatchObject({
      owner: { removed: true, state: 'sent' },
      sources: { found: [] },
    });
    expect(await said(oslo, id)).toMatch(/removed +with seq 15[^]*Not in people\./);
    expect(await told(lima, id)).toMatchObject({ receiver: { inReplica: true } });
    await cycle(offices);
    expect((await lima.run('explain', id)).code).toBe(1);
  });
});

describe('a question that has no one answer', () => {
  const table = (ran: Ran) => ran.out.split('\n');

  it('nobody: where it was looked, and what to try', async () => {
    const { hq, oslo } = await three();
    const ran = await oslo.run('explain', 'nobody-at-all');
    expect(ran).toMatchObject({ code: 1, err: '' });
    expect(ran.out).toMatch(/^Nobody is known here as nobody-at-all \(understood as name, uid or key\)\./);
    expect(ran.out).toMatch(/Read the directory people: 14 entries, completely/);
    expect((await hq.run('explain', 'nobody@example.org')).out).toMatch(/what all owners submitted to this server/);
    await writeFile(oslo.people, '');
    expect((await oslo.run('explain', 'nobody-at-all')).out).toMatch(/people: not completely: .*empty/);
  });

  it('several: they are listed with their ids', async () => {
    const { hq } = await three();
    const ran = await hq.run('explain', '(&(kind=group)(postoffice=oslo))');
    expect(ran.code).toBe(1);
    expect(table(ran)[0]).toBe('2 entries are meant. Ask for one by its id:');
    expect(table(ran).filter((line) => /^[0-9a-f]{32} +oslo +group/.test(line))).toHaveLength(2);
    const json = JSON.parse((await hq.run('--json', 'explain', '(kind=person)')).out) as Explanation;
    expect(json).toMatchObject({ more: true, server: null });
    expect(json.matches).toHaveLength(20);
  });

  it('a filter that is none is wrong use', async () => {
    const { hq } = await three();
    expect(await hq.run('explain', '(cn=')).toMatchObject({ code: 2, out: '' });
  });
});
