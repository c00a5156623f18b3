/** Limits on effects, as an administrator meets them: what commands say, list and approve, and with which exit codes. */
import { once } from 'node:events';
import { access, readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { readLdif } from '../demo/contents.ts';
import { cycle, makeOffices, type Office, type Ran, start } from '../demo/office.ts';
import { formatStaff, personDn, type Staff } from '../demo/people.ts';
import { freshNetwork, type Network, runHere, smallStaff, temporaryFolder } from './network.ts';

const SMALL = '{ above: 2, percent: 10 }';
const SORTS = ['removals', 'clearedValues', 'lostMembers', 'renames'] as const;
type Sort = (typeof SORTS)[number];

interface HeldDocument {
  firstWrites: { directory: string; entries: number }[];
  entries: { place: string; id: string; owner: string; dn: string; effects: Sort[]; approved: boolean }[];
  groups: { place: string; effects: { effect: Sort; held: number; of: number; over: boolean; sinceMs: number }[] }[];
}

const append = async (path: string, text: string) => writeFile(path, `${await readFile(path, 'utf8')}\n${text}\n`);

const limit = (office: Office, sorts: readonly Sort[] = SORTS) =>
  append(office.config, `holds: { ${sorts.map((sort) => `${sort}: ${SMALL}`).join(', ')} }`);

const heldOf = async (office: Office): Promise<HeldDocument> =>
  JSON.parse((await office.run('--json', 'held')).out) as HeldDocument;

const expectHeld = async (office: Office, code: 0 | 3, ...args: string[]): Promise<string> => {
  const ran = await office.run(...args);
  expect({ code: ran.code, err: ran.err }).toEqual({ code, err: '' });
  return ran.out;
};

/** All four sorts at once, on different people: 3 leave, 3 have no title, 3 get another DN, a group loses 3 members. */
async function strike(office: Office): Promise<{ before: Staff; lost: number }> {
  const before = smallStaff(office.name);
  const after = smallStaff(office.name);
  const untitled = after.people.slice(3, 6).map((one) => personDn(one, office.name));
  for (const person of after.people.slice(6, 9)) person.uid = `new-${person.uid}`;
  after.people.splice(0, 3);
  const group = after.groups[0]!;
  group.members = group.members.slice(3);
  const present = new Set(after.people.map(({ key }) => key));
  const kept = after.groups.flatMap(({ members }) => members.filter((member) => present.has(member)));
  const blocks = formatStaff(after).split('\n\n');
  const text = blocks.map((block) =>
    untitled.some((dn) => block.includes(`dn: ${dn}\n`)) ? block.replace(/^title:.*\n/m, '') : block,
  );
  await writeFile(office.people, text.join('\n\n'));
  return { before, lost: before.groups.flatMap(({ members }) => members).length - kept.length };
}

/** What stands at another office of the people of `owner`. */
async function seenAt(office: Office, owner: string): Promise<Record<Sort, number>> {
  const entries = [...(await readLdif(office.network))].filter(([dn]) => dn.includes(`,ou=${owner},`));
  const people = entries.filter(([dn]) => dn.startsWith('uid='));
  return {
    removals: 12 - people.length,
    clearedValues: people.filter(([, one]) => !one.has('title')).length,
    lostMembers:
      smallStaff(owner).groups.flatMap(({ members }) => members).length -
      entries.flatMap(([, one]) => one.get('member') ?? []).length,
    renames: people.filter(([dn]) => dn.startsWith('uid=new-')).length,
  };
}

const NOTHING = { removals: 0, clearedValues: 0, lostMembers: 0, renames: 0 };

/** Where it is held, of whose people, where that is to be seen, and what brings it there. */
const cases = {
  read: { at: 'oslo', of: 'oslo', seen: 'hq' },
  server: { at: 'hq', of: 'oslo', seen: 'hq' },
  replica: { at: 'oslo', of: 'hq', seen: 'oslo' },
} as const;

async function travel({ hq, oslo }: Network): Promise<Ran[]> {
  const ran: Ran[] = [];
  for (const office of [hq, oslo]) ran.push(await office.run('sync', '--wait', '0'));
  for (const office of [hq, oslo, hq]) ran.push(await office.run('dispatch'));
  for (const { code, err, command } of ran)
    expect({ command, failed: code !== 0 && code !== 3, err }).toEqual({ command, failed: false, err: '' });
  return ran;
}

describe.each(Object.keys(cases) as (keyof typeof cases)[])('effects beyond the limits, %s', (place) => {
  it('are told, listed, approved by entry, by owner and all together, and happen then', async () => {
    const network = await freshNetwork();
    const { at, of, seen } = cases[place];
    const office = network[at];
    await limit(office);
    const { before, lost } = await strike(network[of]);
    const ran = await travel(network);
    expect(await seenAt(network[seen], of)).toEqual(NOTHING);

    const told = ran.filter(({ code }) => code === 3);
    expect(told.length).toBeGreaterThan(0);
    const out = told.map((one) => one.out).join('');
    const words =
      /; held: 3 removals \(21\.4 % of 14; the limit is 2 and 10 %\), 3 cleared values(?: of title)? \(21\.4 % of 14; .*\), \d+ lost members \([\d.]+ % of \d+ members; .*\), 3 renames \(/;
    expect(out).toMatch(words);
    expect(out).toMatch(
      {
        read: /^T0 {2}warning: people: read 11 entries; /m,
        server: /^T2 {2}warning: exchange \d+ from oslo: /m,
        replica: /^T3 {2}warning: update \d+ from hq: /,
      }[place],
    );
    expect(out).toMatch(/^Held: effects on \d+ entries\. Look at them, and approve or not: dirpost held$/m);

    const document = await heldOf(office);
    const counts = Object.fromEntries(document.groups[0]!.effects.map(({ effect, held }) => [effect, held]));
    expect(counts).toEqual({ removals: 3, clearedValues: 3, lostMembers: lost, renames: 3 });
    expect(document.entries.every((one) => one.place === place && one.owner === of && !one.approved)).toBe(true);
    const shown = await expectHeld(office, 3, 'held', '--place', place, '--limit', '2');
    expect(shown).toMatch(/^ {2}3 removals: 21\.4 % of 14; the limit is 2 and 10 %; since 20\d\d-/m);
    expect(shown).toMatch(/… and 1 more: dirpost held --limit 3/);
    // The sender does not keep what it read: it knows which attributes, not whose.
    if (place === 'read') expect(shown).toMatch(/^ {2}3 cleared values of title: 21\.4 %/m);
    else expect(shown).toMatch(/ cleared title /);
    expect(shown).toContain(personDn(before.people[0]!, of));
    expect(shown).toMatch(/dirpost approve --all/);

    const gone = document.entries.find(({ effects }) => effects[0] === 'removals')!;
    const renamed = personDn(before.people[6]!, of);
    const some = await office.must('approve', '--entry', gone.id, renamed);
    expect(some.out).toMatch(/^Approved: effects on 2 entries/m);
    expect(some.out).toMatch(/^Held: effects on \d+ entries/m);
    if (place === 'read') expect(some.out).toMatch(/They apply with the next read: dirpost sync/);
    if (place === 'server') expect(some.out).toMatch(/requestors get them with their next exchange/);
    await travel(network);
    expect(await seenAt(network[seen], of)).toMatchObject({ removals: 1, clearedValues: 0, renames: 1 });

    await office.must('approve', ...(place === 'server' ? ['--owner', of] : ['--all']));
    expect((await heldOf(office)).entries.filter(({ approved }) => !approved)).toEqual([]);
    if (place === 'replica') expect((await seenAt(office, of)).removals).toBe(3);
    await travel(network);
    // The server is a receiver too, with limits of its own.
    if (place === 'server') await office.must('approve', '--all', '--place', 'replica');
    const all = { removals: 3, clearedValues: 3, lostMembers: lost, renames: 3 };
    expect(await seenAt(network[seen], of)).toEqual(all);
    expect(await expectHeld(office, 0, 'held')).toBe('Nothing is held here.\n');
    expect((await cycle(network.offices)).map(({ code }) => code)).toEqual([0, 0, 0]);
  });

  it('go by themselves when their cause does', async () => {
    const network = await freshNetwork();
    const { at, of, seen } = cases[place];
    await limit(network[at]);
    await strike(network[of]);
    await travel(network);
    expect((await heldOf(network[at])).entries.length).toBeGreaterThan(0);
    await network[of].writePeople(smallStaff(of));
    await travel(network);
    await travel(network);
    expect(await expectHeld(network[at], 0, 'held')).toBe('Nothing is held here.\n');
    expect(await seenAt(network[seen], of)).toEqual(NOTHING);
    await network[at].must('sync', '--wait', '0');
  });
});

describe('status', () => {
  it('tells a requestor what the server holds of it, and the server what each requestor holds', async () => {
    const network = await freshNetwork();
    const { hq, oslo } = network;
    await limit(hq, ['removals']);
    await limit(oslo, ['removals']);
    await strike(oslo);
    await travel(network);
    const atOslo = await expectHeld(oslo, 3, 'status');
    expect(atOslo).toMatch(/HELD: 3 entries\. Look, and approve or not: dirpost held/);
    expect(await expectHeld(hq, 3, 'status')).toMatch(/held: oslo \(3\)/);

    await oslo.must('approve', 'people');
    await travel(network);
    await travel(network);
    expect(await expectHeld(oslo, 3, 'status')).toMatch(
      /HELD at the server: 3 entries\. Look there, at hq: dirpost held/,
    );
    expect(await expectHeld(oslo, 0, 'held')).toMatch(
      /^hq holds effects on 3 entries of this postoffice\. There: dirpost held$/m,
    );
    expect(await expectHeld(hq, 3, 'status')).toMatch(/^oslo .* 3 +0 +0 +0$/m);
    await hq.must('approve', '--owner', 'oslo', '--place', 'server');
    await travel(network);
    expect((await oslo.run('status')).code).toBe(0);
    await hq.must('approve', '--all');
    expect((await hq.run('status')).code).toBe(0);
  });
});

it('what is held of a directory ends with it when the configuration no longer has it, and withdraws nobody', async () => {
  const network = await freshNetwork();
  const { oslo } = network;
  await limit(oslo, ['removals']);
  await strike(oslo);
  await travel(network);
  expect(await expectHeld(oslo, 3, 'held')).toMatch(/^Read of people: what is published stays as it was \(read\)$/m);
  const without = (await readFile(oslo.config, 'utf8')).replace(/ {2}- name: people\n(?: {4}.*\n)+/, '');
  await writeFile(oslo.config, without);
  expect(await expectHeld(oslo, 3, 'held')).toMatch(
    /does not publish from it any more, so this ends with the next sync/,
  );
  const [synced] = (await travel(network)).filter(({ out }) => out.includes('is not published from any more'));
  expect(synced!.code).toBe(0);
  expect(await expectHeld(oslo, 0, 'held')).toBe('Nothing is held here.\n');
  await expectHeld(oslo, 0, 'status');
  await travel(network);
  expect((await seenAt(network.hq, 'oslo')).removals).toBe(0);
});

describe('a mistake', () => {
  it('of a mapping that empties every mail attribute is held, and goes when the mapping is mended', async () => {
    const network = await freshNetwork();
    const { hq, oslo } = network;
    const right = await readFile(oslo.config, 'utf8');
    await writeFile(
      oslo.config,
      right.replace('    key: entryUUID', '    attributes: { mail: null }\n    key: entryUUID'),
    );
    const ran = await oslo.run('sync', '--wait', '0');
    expect(ran.code).toBe(3);
    expect(ran.out).toMatch(
      /0 new, 0 changed, .*; held: 12 cleared values of mail \(85\.7 % of 14; the limit is 10 and 5 %\)$/m,
    );
    await hq.must('sync');
    const mails = async () => [...(await readLdif(hq.network)).values()].filter((one) => one.has('mail')).length;
    expect(await mails()).toBe(12);
    await writeFile(oslo.config, right);
    await oslo.must('sync', '--wait', '0');
    expect(await expectHeld(oslo, 0, 'held')).toBe('Nothing is held here.\n');
    expect((await cycle(network.offices)).map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(await mails()).toBe(12);
  });

  it('in the words of the command approves nothing', async () => {
    const { hq, oslo } = await freshNetwork();
    await limit(oslo, ['removals']);
    await strike(oslo);
    await oslo.run('sync', '--wait', '0');
    const refused = async (office: Office, why: RegExp, ...args: string[]) => {
      const ran = await office.run('approve', ...args);
      expect(ran).toMatchObject({ code: 2, err: expect.stringMatching(why) });
      return ran.out;
    };
    const told = await refused(oslo, /Nothing was approved: say what\.\n.*approve DIRECTORY, or --all, or --owner/);
    expect(told).toMatch(/^Read of people: what is published stays as it was \(read\): 3 removals$/m);
    await refused(oslo, /more than one choice; nothing was approved/, '--all', '--owner', 'oslo');
    await refused(oslo, /more than one choice/, 'people', '--place', 'read');
    await refused(oslo, /There is no directory peple .*\n.*network, people/, 'peple');
    await refused(oslo, /Nothing of "olso" is held here/, '--owner', 'olso');
    await refused(oslo, /No effects are held for "00+"; nothing/, '--entry', '0'.repeat(32));
    await refused(oslo, /No effects are held for "cn=nobody"; nothing/, '--entry', 'cn=nobody');
    await refused(oslo, /DN/, '--entry', 'nobody');
    await refused(oslo, /not a directory server/, '--all', '--place', 'server');
    await refused(oslo, /Allowed choices are read, server, replica/, '--all', '--place', 'here');
    expect((await heldOf(oslo)).entries.filter(({ approved }) => approved)).toEqual([]);
    await refused(hq, /Nothing is held here\.\n/);
    const none = await hq.must('approve', '--all');
    expect(none.out).toBe('Nothing is held here; nothing was approved.\n');
    expect(await hq.run('held', '--limit', 'many')).toMatchObject({ code: 2 });
  });

  it('one of several entries that are named is not held: none is approved', async () => {
    const { oslo } = await freshNetwork();
    await limit(oslo, ['removals']);
    await strike(oslo);
    await oslo.run('sync', '--wait', '0');
    const [first] = (await heldOf(oslo)).entries;
    const ran = await oslo.run('approve', '--entry', first!.id, '--entry', 'cn=nobody');
    expect(ran).toMatchObject({ code: 2, err: expect.stringMatching(/cn=nobody/) });
    expect((await heldOf(oslo)).entries.map(({ approved }) => approved)).toEqual([false, false, false]);
  });
});

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

describe('the first write into a directory', () => {
  it('waits for approval, is told everywhere, and nothing is written before', async () => {
    const offices = await makeOffices(await temporaryFolder(), ['hq', 'oslo'], runHere, 'held');
    const [hq, oslo] = offices as [Office, Office];
    for (const office of offices) await office.writePeople(smallStaff(office.name));
    const network = { hq, oslo } as Network;
    await travel(network);
    const ran = await travel(network);
    const waits =
      /network: 14 entries are ready; the first write into a directory waits for: dirpost approve network$/m;
    expect(ran.map(({ code }) => code)).toEqual([3, 3, 3, 3, 3]);
    expect(ran[3]!.out).toMatch(waits);
    expect(ran[3]!.out).toMatch(
      /^network is not written yet\. Look with: dirpost preview; then: dirpost approve network$/m,
    );
    expect(await expectHeld(oslo, 3, 'status')).toMatch(waits);
    expect(await expectHeld(oslo, 3, 'held')).toMatch(waits);
    expect((await heldOf(oslo)).firstWrites).toEqual([{ directory: 'network', entries: 14 }]);
    expect((await oslo.must('preview')).out).toMatch(/^network +16 +0 +0$/m);
    const someone = personDn(smallStaff('hq').people[0]!, 'hq');
    expect((await oslo.must('explain', someone)).out).toMatch(
      /network: waits for approval of the first write: dirpost approve network/,
    );
    expect([await isThere(hq.network), await isThere(oslo.network)]).toEqual([false, false]);
    const status = JSON.parse((await hq.run('--json', 'status')).out) as {
      server: { requestors: { name: string; writtenUpTo: number; verifiedSeq: number }[] };
    };
    for (const one of status.server.requestors) expect(one).toMatchObject({ writtenUpTo: 0, verifiedSeq: 28 });

    const approved = await oslo.must('approve', 'network');
    expect(approved.out).toMatch(/^T3 {2}network: wrote 14 entries$/m);
    expect(approved.out).toMatch(/^Approved: the first write into network\. From now on it is written by itself\.$/m);
    expect((await oslo.must('approve', 'network')).out).toMatch(/^Nothing waits for the approval of network/);
    await hq.must('approve', 'network');
    expect((await cycle(offices)).map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(await isThere(hq.network)).toBe(true);

    await writeFile(oslo.config, (await readFile(oslo.config, 'utf8')).replace('name: network', 'name: others'));
    const renamed = await oslo.run('dispatch');
    expect(renamed).toMatchObject({ code: 3, out: expect.stringMatching(/others: 14 entries are ready/) });

    await writeFile(
      hq.config,
      (await readFile(hq.config, 'utf8')).replace('# firstWrite: allowed', 'firstWrite: maybe'),
    );
    const wrong = await hq.run('sync');
    expect(wrong).toMatchObject({ code: 2, err: expect.stringMatching(/firstWrite/) });
  });
});

describe('a running agent', () => {
  it('approves what is held, and writes, when the command is typed beside it', async () => {
    const network = await freshNetwork();
    const { hq, oslo } = network;
    await limit(oslo, ['removals']);
    await strike(hq);
    await travel(network);
    expect((await seenAt(oslo, 'hq')).removals).toBe(0);
    const agent = start(['--config', oslo.config, 'run']);
    const closed = once(agent, 'close');
    try {
      let log = '';
      await new Promise<void>((resolve, reject) => {
        agent.stdout!.setEncoding('utf8').on('data', (text: string) => {
          log += text;
          if (/ ready\n/.test(log)) resolve();
        });
        agent.once('close', () => reject(new Error(`The agent ended: ${log}`)));
      });
      const ran = await oslo.must('approve', '--all');
      expect(ran.out).toMatch(/^Approved: effects on 3 entries of the replica\. The directories here have them\.$/m);
      expect(await seenAt(oslo, 'hq')).toMatchObject({ removals: 3 });
      expect(log).toMatch(/ T3 info {4}network: wrote \d+ entries/);
    } finally {
      agent.kill('SIGTERM');
      await closed;
    }
  });
});
