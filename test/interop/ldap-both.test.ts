/** Directories of both ways on OpenLDAP: who wins where somebody changed a value by hand, and edits on their way to the owner. */
import { appendFile } from 'node:fs/promises';
import { afterEach, expect, it } from 'vitest';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { NETWORK, PEOPLE } from './ldap-directory.ts';
import { type BothOffices, bothOffices, NAMES, PHONE, setBoth, setTwo } from './ldap-both-offices.ts';

interface Line {
  number: number;
  entry: string;
  attribute: string;
  here: { values: string[] };
  network: { values: string[] };
  decided: string | null;
  because: string;
}

const NEW = '+1 555 0199';
const OTHER = '+1 555 0142';
const HQ1 = `cn=hq1,${PEOPLE}`;
const hq1At = (owner = 'hq') => `cn=hq1,ou=${owner},${NETWORK}`;
const text = (given: string) => Buffer.from(given).toString('base64');

describeSlapd('a directory of both ways', () => {
  let network: BothOffices | undefined;

  afterEach(async () => {
    await network?.stop();
    network = undefined;
  });

  const start = async (...given: Parameters<typeof bothOffices>): Promise<BothOffices> => {
    network = await bothOffices(...given);
    await network.cycles(2);
    return network;
  };

  const conflicts = async (of: BothOffices, name: (typeof NAMES)[number]): Promise<Line[]> => {
    return (await of.offices[name].json<{ conflicts: Line[] }>('conflicts')).conflicts;
  };

  it('publishes what lies beside its container, and never what lies in it', async () => {
    const here = await start();
    for (const name of NAMES) {
      const { directories, own } = (await here.offices[name].status()) as unknown as {
        directories: { name: string; read: { published: number }; write: { entries: number } }[];
        own: { live: number };
      };
      expect(directories.map((one) => one.name)).toEqual(['people']);
      expect(directories[0]).toMatchObject({ read: { published: 2 }, write: { entries: 4 } });
      expect(own.live).toBe(2);
    }
  });

  it('is called by its name: what is held of it, approved, previewed and checked', async () => {
    const here = (network = await bothOffices({ oslo: { firstWrite: 'held' } }));
    const { hq, oslo } = here.offices;
    // First: who asks before the server has collected its own people gets those with the next cycle.
    await hq.must('sync');
    await oslo.must('sync', '--wait', '0');
    await hq.must('sync');
    expect((await oslo.run('dispatch')).code).toBe(3);
    expect((await oslo.run('held')).out).toMatch(/people/);
    expect((await oslo.run('preview')).out).toMatch(/\npeople +0 .*\n[^]*\npeople +4 /);
    await oslo.must('approve', 'people');
    expect(await here.there('oslo', 'hq', 'hq1')).toBe(PHONE);
    expect((await oslo.run('preview')).out).toMatch(/\npeople +0 +0 +0 +0 +0\n$/);
    const checked = await oslo.must('check');
    expect(checked.out).toMatch(/people +ok +changes by hand there are seen of telephonenumber, title;/);
    expect(checked.out.match(/OpenLDAP at/g)).toHaveLength(1);
    expect((await hq.run('list', 'show')).out).toMatch(/edits +telephoneNumber, title/);
    expect((await oslo.run('conflicts')).out).toBe('No conflicts.\n');
    expect((await oslo.run('conflicts', '7')).err).toMatch(/There is no conflict 7/);
    expect((await oslo.run('conflicts', '--forget')).code).toBe(2);
  });

  it('takes the place of two directories: nothing is removed, made anew or published twice', async () => {
    const here = (network = await bothOffices());
    const { oslo } = here.offices;
    await setTwo(oslo, here.servers.oslo);
    await here.cycles(2);
    const standing = () => here.servers.oslo.search('(objectClass=inetOrgPerson)', ['entryUUID'], NETWORK);
    const before = [await standing(), await here.seqs()];
    expect(before[0]).toMatch(/hq1/);
    await setBoth(oslo, here.servers.oslo, {});
    await here.cycles(2);
    expect([await standing(), await here.seqs()]).toEqual(before);
    expect((await oslo.run('status')).out).toMatch(/network.* directory remove network/);
    await oslo.must('directory', 'remove', 'network', '--keep');
    await here.set('oslo', hq1At(), 'telephoneNumber', NEW);
    await here.cycles(3);
    expect(await here.own('hq', 'hq1')).toBe(NEW);
    expect(await standing()).toEqual(before[0]);
  });

  it('an edit by hand reaches the owner and everybody, is withdrawn, and nothing goes to and fro', async () => {
    const here = await start();
    await here.set('oslo', hq1At(), 'telephoneNumber', NEW);
    await here.cycles(4);
    expect(await here.own('hq', 'hq1')).toBe(NEW);
    for (const name of ['oslo', 'bergen'] as const) expect(await here.there(name, 'hq', 'hq1')).toBe(NEW);
    expect(await here.offices.oslo.status()).toMatchObject({ own: { live: 2 } });
    const before = await here.settledSeqs();
    await here.cycles(2);
    expect(await here.seqs()).toEqual(before);
    expect(await here.there('oslo', 'hq', 'hq1')).toBe(NEW);
    expect(await here.there('oslo', 'hq', 'hq1', 'title')).toBe('Clerk');
    for (const name of NAMES) expect(await conflicts(here, name)).toEqual([]);
  });

  it('explain tells of an entry what was changed by hand: proposed until its owner has answered, and what waits', async () => {
    const here = await start({ oslo: { conflicts: { title: 'no-change' }, edits: ['telephoneNumber'] } });
    const { oslo } = here.offices;
    const explained = async () => (await oslo.must('explain', 'hq1')).out;
    expect(await explained()).not.toMatch(/Changed by hand/);
    await here.set('oslo', hq1At(), 'telephoneNumber', NEW);
    await here.set('oslo', hq1At(), 'title', 'Boss');
    await oslo.run('sync', '--wait', '0');
    expect(await explained()).toMatch(/\n {2}telephonenumber: proposed to hq; /);
    expect(await explained()).toMatch(/\n {2}title: WAITS \(no-change\), .* \(dirpost conflicts 1\)\n/);
    await here.cycles(4);
    expect(await explained()).not.toMatch(/proposed to hq/);
  });

  it('the network wins, the directory wins, or it waits: each attribute by its policy, and what loses is kept', async () => {
    const conflictPolicies = { telephoneNumber: 'network-wins', title: 'directory-wins', mobile: 'no-change' };
    const here = await start({ oslo: { edits: [], conflicts: conflictPolicies } });
    const values = async () =>
      Promise.all(['telephoneNumber', 'title', 'mobile'].map((one) => here.there('oslo', 'hq', 'hq1', one)));
    for (const [attribute, value] of [
      ['telephoneNumber', NEW],
      ['title', 'Boss'],
      ['mobile', OTHER],
    ] as const) {
      await here.set('oslo', hq1At(), attribute, value);
    }
    await here.cycles(2);
    expect(await values()).toEqual([PHONE, 'Boss', OTHER]);
    const before = await here.seqs();
    // Its owner changes all three.
    for (const attribute of ['telephoneNumber', 'title', 'mobile']) await here.set('hq', HQ1, attribute, '+47 1');
    await here.cycles(3);
    expect(await values()).toEqual(['+47 1', 'Boss', OTHER]);
    // Only that.
    expect((await here.seqs())[2]).toBe(before[2]);
    const found = await conflicts(here, 'oslo');
    expect(found.map(({ attribute, decided, because }) => [attribute, decided, because]).toSorted()).toEqual([
      ['mobile', null, 'no-change'],
      ['telephonenumber', 'network', 'network-wins'],
      ['title', 'directory', 'directory-wins'],
    ]);
    expect(found.find(({ attribute }) => attribute === 'telephonenumber')).toMatchObject({
      here: { values: [text(NEW)] },
      network: { values: [text(PHONE)] },
    });
    expect((await here.offices.oslo.run('status')).out).toMatch(/1 conflict waits for a decision/);
    const { number } = found.find(({ decided }) => decided === null)!;
    await here.offices.oslo.must('conflicts', String(number), '--take', 'network');
    expect(await values()).toEqual(['+47 1', 'Boss', '+47 1']);
    expect((await here.offices.oslo.run('status')).out).not.toMatch(/wait/);
    await here.offices.oslo.must('conflicts', String(number), '--forget');
    expect(await conflicts(here, 'oslo')).toHaveLength(2);
  });

  it('what an administrator decides for the directory stays', async () => {
    const here = await start({
      oslo: { edits: ['title'], conflicts: { telephoneNumber: 'no-change', title: 'no-change' } },
    });
    await here.set('oslo', hq1At(), 'telephoneNumber', NEW);
    await here.cycle();
    const [{ number }] = (await conflicts(here, 'oslo')) as [Line];
    await here.offices.oslo.must('conflicts', String(number), '--take', 'directory');
    await here.set('hq', HQ1, 'telephoneNumber', OTHER);
    await here.cycles(2);
    expect(await here.there('oslo', 'hq', 'hq1')).toBe(NEW);
    expect(await here.there('bergen', 'hq', 'hq1')).toBe(OTHER);
    // The owner's change is here before anybody has looked at what was changed by hand: both changed it.
    await here.set('hq', HQ1, 'title', 'Boss');
    await here.offices.hq.must('sync');
    await here.offices.oslo.must('sync', '--wait', '0');
    await here.offices.hq.must('sync');
    await here.set('oslo', hq1At(), 'title', 'Chief');
    await here.offices.oslo.must('dispatch');
    expect(await here.there('oslo', 'hq', 'hq1', 'title')).toBe('Chief');
    const open = (await conflicts(here, 'oslo')).find(({ decided }) => decided === null)!;
    expect(open).toMatchObject({
      attribute: 'title',
      here: { values: [text('Chief')] },
      network: { values: [text('Boss')] },
    });
    await here.cycle();
    expect(await here.own('hq', 'hq1', 'title')).toBe('Boss');
    // Then he proposes it.
    await here.offices.oslo.must('conflicts', String(open.number), '--take', 'directory');
    await here.cycles(3);
    expect(await here.own('hq', 'hq1', 'title')).toBe('Chief');
    expect(await here.there('bergen', 'hq', 'hq1', 'title')).toBe('Chief');
  });

  it('an edit that the server of its owner refuses goes back where it came from, and both are told', async () => {
    const here = await start();
    await here.servers.hq.change({
      globalLines: ['moduleload unique'],
      databaseLines: ['overlay unique', 'unique_uri ldap:///?telephoneNumber?sub'],
    });
    await here.set('hq', `cn=hq2,${PEOPLE}`, 'telephoneNumber', NEW);
    await here.cycle();
    await here.set('oslo', hq1At(), 'telephoneNumber', NEW);
    await here.cycles(4);
    expect(await here.own('hq', 'hq1')).toBe(PHONE);
    expect(await here.there('oslo', 'hq', 'hq1')).toBe(PHONE);
    expect(await conflicts(here, 'hq')).toMatchObject([
      { attribute: 'telephonenumber', decided: 'directory', because: expect.stringContaining('constraintViolation') },
    ]);
    expect(await conflicts(here, 'oslo')).toMatchObject([
      { attribute: 'telephonenumber', decided: 'network', because: 'its owner did not take it' },
    ]);
    const before = await here.settledSeqs();
    await here.cycles(2);
    expect(await here.seqs()).toEqual(before);
  });

  it('an edit of what the list does not name is told to its editor, and undone', async () => {
    const here = await start({}, ['title']);
    await here.set('oslo', hq1At(), 'telephoneNumber', NEW);
    await here.cycles(3);
    expect(await here.there('oslo', 'hq', 'hq1')).toBe(PHONE);
    expect(await here.own('hq', 'hq1')).toBe(PHONE);
    expect(await conflicts(here, 'oslo')).toMatchObject([
      { decided: 'network', because: expect.stringMatching(/the server refused it: .* no edits of telephonenumber/) },
    ]);
    const before = await here.settledSeqs();
    await here.cycles(2);
    expect(await here.seqs()).toEqual(before);
  });

  it('where the owner changed it meanwhile his policy decides: he wins, the editor wins, or it waits', async () => {
    const takes = { telephoneNumber: 'owner-wins', title: 'editor-wins', mobile: 'no-change' };
    const all = ['telephoneNumber', 'title', 'mobile'];
    const here = await start({ hq: { takes }, oslo: { edits: all } }, all);
    for (const attribute of all) {
      await here.set('oslo', `cn=${attribute === 'mobile' ? 'hq2' : 'hq1'},ou=hq,${NETWORK}`, attribute, NEW);
      await here.set('hq', `cn=${attribute === 'mobile' ? 'hq2' : 'hq1'},${PEOPLE}`, attribute, OTHER);
    }
    await here.cycles(4);
    for (const name of ['oslo', 'bergen'] as const) {
      expect(await here.there(name, 'hq', 'hq1')).toBe(OTHER);
      expect(await here.there(name, 'hq', 'hq1', 'title')).toBe(NEW);
    }
    expect(await here.own('hq', 'hq1', 'title')).toBe(NEW);
    expect(await here.own('hq', 'hq2', 'mobile')).toBe(OTHER);
    const found = await conflicts(here, 'hq');
    expect(found.map(({ attribute, decided, because }) => [attribute, decided, because]).toSorted()).toEqual([
      ['mobile', null, 'no-change'],
      ['telephonenumber', 'directory', 'owner-wins'],
      ['title', 'network', 'editor-wins'],
    ]);
    const { number } = found.find(({ decided }) => decided === null)!;
    await here.offices.hq.must('conflicts', String(number), '--take', 'network');
    expect(await here.own('hq', 'hq2', 'mobile')).toBe(NEW);
    await here.cycles(3);
    for (const name of ['oslo', 'bergen'] as const) expect(await here.there(name, 'hq', 'hq2', 'mobile')).toBe(NEW);
    const before = await here.settledSeqs();
    await here.cycles(2);
    expect(await here.seqs()).toEqual(before);
  });

  it('edits of too many at once wait: where they are made, and at the owner, until they are approved', async () => {
    const here = await start();
    const { hq, oslo } = here.offices;
    for (const { config } of [hq, oslo]) {
      await appendFile(config, '\nholds: { clearedValues: { above: 0, percent: 0 } }\n');
    }
    await here.set('oslo', hq1At(), 'telephoneNumber', NEW);
    expect((await oslo.run('sync', '--wait', '0')).out).toMatch(/1 entry changed by hand .*dirpost approve people/);
    const held = await oslo.run('held');
    expect(held).toMatchObject({
      code: 3,
      out: expect.stringMatching(/1 entry changed by hand .*\n.*set the values back/),
    });
    expect((await oslo.run('status')).out).toMatch(/HELD: people: 1 entry changed by hand/);
    expect((await oslo.must('approve', 'people')).out).toMatch(/changed by hand of 1 entry .*dirpost sync/);
    await oslo.must('sync', '--wait', '0');
    expect((await hq.run('sync')).out).toMatch(/edits by others of 1 entry .*dirpost approve people/);
    expect(await here.own('hq', 'hq1')).toBe(PHONE);
    expect((await hq.run('held')).code).toBe(3);
    expect((await hq.must('approve', 'people')).out).toMatch(/Approved: edits by others of 1 entry of people/);
    expect(await here.own('hq', 'hq1')).toBe(NEW);
    expect((await hq.run('held')).out).toBe('Nothing is held here.\n');
  });

  it('an edit that was written into the directory by an agent that died then is settled as taken, once', async () => {
    const here = await start();
    const { hq, oslo } = here.offices;
    await here.set('oslo', hq1At(), 'telephoneNumber', NEW);
    await oslo.must('sync', '--wait', '0');
    await here.servers.hq.halt();
    expect((await hq.run('sync')).out).toMatch(/edits by others could not be taken, and will be tried again/);
    await here.servers.hq.start();
    // As it stands when the agent dies between the directory and its store.
    await here.set('hq', HQ1, 'telephoneNumber', NEW);
    await hq.must('dispatch');
    await here.cycles(3);
    expect(await here.own('hq', 'hq1')).toBe(NEW);
    for (const name of ['oslo', 'bergen'] as const) expect(await here.there(name, 'hq', 'hq1')).toBe(NEW);
    for (const name of NAMES) expect(await conflicts(here, name)).toEqual([]);
  });

  it('an edit of what a template makes is not taken, and both sides say why', async () => {
    const here = await start({ hq: { attributes: { title: '{cn}', telephoneNumber: 'telephoneNumber' } } });
    await here.set('oslo', hq1At(), 'title', 'Boss');
    await here.cycles(3);
    expect(await here.there('oslo', 'hq', 'hq1', 'title')).toBe('hq1');
    expect(await conflicts(here, 'hq')).toMatchObject([
      { decided: 'directory', because: 'title is made by the template "{cn}"' },
    ]);
  });
});
