/** Directories that leave the configuration: what is said of them, and what becomes of what they published, or got. */
import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { Status } from '../../packages/agent/src/status.ts';
import { readLdif } from '../demo/contents.ts';
import { cycle, type Office } from '../demo/office.ts';
import { freshNetwork, holdNothing, type Network } from './network.ts';
import { startAgent } from './running-agent.ts';

/** 12 persons and 2 groups. */
const ENTRIES = 14;

const without = async (office: Office, name: string): Promise<string> => {
  const text = await readFile(office.config, 'utf8');
  await writeFile(office.config, text.replace(new RegExp(` {2}- name: ${name}\\n(?: {4}.*\\n)+`), ''));
  return text;
};

const rename = async (office: Office, name: string, to: string): Promise<void> => {
  const text = await readFile(office.config, 'utf8');
  await writeFile(office.config, text.replace(`  - name: ${name}\n`, `  - name: ${to}\n`));
};

const statusOf = async (office: Office) => (await office.json('status')) as Status;

const seenAt = async ({ network }: Office, owner: string): Promise<number> =>
  [...(await readLdif(network)).keys()].filter((dn) => dn.includes(`,ou=${owner},`)).length;

const travel = async ({ offices }: Network): Promise<void> => {
  await cycle(offices);
  await cycle(offices);
};

const twice = async (work: () => Promise<unknown>): Promise<void> => {
  await work();
  await work();
};

describe('a directory that was published from and is no longer configured', () => {
  it('stays published, and status, check and sync say so with the two commands, until one of them is given', async () => {
    const network = await freshNetwork();
    const { hq, oslo } = network;
    await without(oslo, 'people');
    await travel(network);
    expect(await seenAt(hq, 'oslo')).toBe(ENTRIES);
    for (const command of ['status', 'check', 'sync --wait 0']) {
      const { out } = await oslo.run(...command.split(' '));
      expect(out).toMatch(/people.*not in the configuration any more; 14 entries of it stay published as before/);
      expect(out).toContain('dirpost directory remove people --keep');
      expect(out).toContain('dirpost directory remove people --withdraw');
    }
    expect(await statusOf(oslo)).toMatchObject({
      removedDirectories: [{ name: 'people', published: ENTRIES, written: null, kept: 0 }],
      keptDirectories: [],
      attention: ['removed-directory'],
    });
  });

  it('--keep leaves everything as it is for good, and is asked for no more', async () => {
    const network = await freshNetwork();
    const { hq, oslo } = network;
    await without(oslo, 'people');
    const before = (await statusOf(oslo)).own;
    expect((await oslo.must('directory', 'remove', 'people', '--keep')).out).toMatch(/14 entries of people stay pub/);
    const again = await oslo.json('directory', 'remove', 'people', '--keep');
    expect(again).toMatchObject({ directory: 'people', kept: ENTRIES, withdrawn: 0 });
    const after = await statusOf(oslo);
    expect(after.own).toEqual(before);
    expect(after).toMatchObject({
      removedDirectories: [],
      keptDirectories: [{ name: 'people', entries: ENTRIES }],
      attention: [],
    });
    expect((await oslo.run('status')).out).toMatch(/To take them out: dirpost directory remove people --withdraw/);
    await travel(network);
    expect(await seenAt(hq, 'oslo')).toBe(ENTRIES);
    await oslo.must('directory', 'remove', 'people', '--withdraw');
    expect(await statusOf(oslo)).toMatchObject({ keptDirectories: [], own: { live: 0 } });
  });

  it('--withdraw takes its entries out of the network, whatever the limit here', async () => {
    const network = await freshNetwork();
    const { hq, oslo } = network;
    await holdNothing(hq);
    await without(oslo, 'people');
    const { out } = await oslo.must('--json', 'directory', 'remove', 'people', '--withdraw');
    expect(JSON.parse(out)).toEqual({ directory: 'people', kept: 0, withdrawn: ENTRIES, left: 0 });
    expect(await statusOf(oslo)).toMatchObject({ removedDirectories: [], own: { live: 0, digest: '0'.repeat(32) } });
    await travel(network);
    expect(await seenAt(hq, 'oslo')).toBe(0);
    // Nothing of it is left that could be decided.
    const third = await oslo.run('directory', 'remove', 'people', '--withdraw');
    expect(third).toMatchObject({ code: 2 });
    expect(third.err).toMatch(/There is no directory "people" that was taken out/);
  });

  it('under another name takes over those that were kept, and nobody else hears of it', async () => {
    const network = await freshNetwork();
    const { hq, oslo } = network;
    await rename(oslo, 'people', 'staff');
    const refused = await oslo.run('sync', '--wait', '0');
    expect(refused.out).toMatch(/staff: read 14 entries; 0 new, 0 changed, 0 removed, 14 refused/);
    expect(refused.out).toMatch(/Was the directory only given another name\? Then --keep/);
    const before = (await statusOf(oslo)).own;
    await oslo.must('directory', 'remove', 'people', '--keep');
    const synced = await oslo.must('sync', '--wait', '0');
    expect(synced.out).toMatch(/staff: read 14 entries; 0 new, 0 changed, 0 removed, 0 refused/);
    const after = await statusOf(oslo);
    expect([after.own.seq, after.own.digest]).toEqual([before.seq, before.digest]);
    expect(after).toMatchObject({ removedDirectories: [], keptDirectories: [], attention: [] });
    // From now on they are its own: who is missing is gone.
    const { people } = network.staff.oslo;
    await oslo.writePeople({ ...network.staff.oslo, people: people.slice(1) });
    await travel(network);
    expect(await seenAt(hq, 'oslo')).toBe(ENTRIES - 1);
  });

  it('that was kept and is back in the configuration has again those whom it reads; the others stay kept', async () => {
    const network = await freshNetwork();
    const { hq, oslo } = network;
    const text = await without(oslo, 'people');
    await oslo.must('directory', 'remove', 'people', '--keep');
    await writeFile(oslo.config, text);
    const { people } = network.staff.oslo;
    const lone = { ...network.staff.oslo, people: people.slice(1) };
    await oslo.writePeople(lone);
    expect((await oslo.must('sync', '--wait', '0')).out).toMatch(/0 new, \d changed, 0 removed, 0 refused/);
    expect((await statusOf(oslo)).keptDirectories).toMatchObject([{ name: 'people', entries: 1 }]);
    expect((await oslo.must('directory', 'remove', 'people', '--withdraw')).out).toMatch(/1 entry of people is publi/);
    await travel(network);
    expect(await seenAt(hq, 'oslo')).toBe(ENTRIES - 1);
    expect((await statusOf(oslo)).keptDirectories).toEqual([]);
    await oslo.writePeople({ ...lone, people: people.slice(2) });
    expect((await oslo.must('sync', '--wait', '0')).out).toMatch(/1 removed/);
  });
});

describe('a directory that was written into', () => {
  it('and is no longer configured keeps its content; what is remembered of it goes with --keep', async () => {
    const network = await freshNetwork();
    const { hq, oslo } = network;
    const text = await without(oslo, 'network');
    const { out } = await oslo.run('status');
    expect(out).toMatch(/14 entries of the network stay where network wrote them/);
    const withdraw = await oslo.run('directory', 'remove', 'network', '--withdraw');
    expect(withdraw).toMatchObject({ code: 2 });
    expect(withdraw.err).toMatch(/Put it back, run this again, and take it out then/);
    const content = await readFile(oslo.network, 'utf8');
    expect((await oslo.must('directory', 'remove', 'network', '--keep')).out).toMatch(/14 entries of the network stay/);
    expect((await statusOf(oslo)).removedDirectories).toEqual([]);
    expect(await readFile(oslo.network, 'utf8')).toBe(content);
    // As if it were new: the first write into it is one once more.
    await writeFile(oslo.config, text.replace('firstWrite: allowed', 'firstWrite: held'));
    await hq.must('sync');
    expect((await statusOf(oslo)).firstWrites).toEqual([{ directory: 'network', entries: ENTRIES }]);
  });

  it('and is still configured is emptied by --withdraw, and stays so until it is approved', async () => {
    const network = await freshNetwork();
    const { oslo } = network;
    await twice(() => oslo.must('directory', 'remove', 'network', '--withdraw'));
    expect(await seenAt(oslo, 'hq')).toBe(0);
    const synced = await oslo.run('sync', '--wait', '0');
    expect(synced.out).toMatch(/network: what was written there was removed\. Take it out of the configuration/);
    expect(await seenAt(oslo, 'hq')).toBe(0);
    await oslo.must('approve', 'network');
    expect(await seenAt(oslo, 'hq')).toBe(ENTRIES);
    await oslo.must('directory', 'remove', 'network', '--withdraw');
    await without(oslo, 'network');
    await oslo.must('directory', 'remove', 'network', '--keep');
    expect(await statusOf(oslo)).toMatchObject({ removedDirectories: [], firstWrites: [], attention: [] });
  });
});

describe('wrong use', () => {
  it('without an option and a terminal names the two; with a directory that is still configured, or none, says so', async () => {
    const { oslo } = await freshNetwork();
    const wrong = async (...args: string[]): Promise<string> => {
      const ran = await oslo.run('directory', 'remove', ...args);
      expect(ran).toMatchObject({ code: 2 });
      return ran.err;
    };
    expect(await wrong('people')).toMatch(/--keep leaves .*; --withdraw takes/s);
    expect(await wrong('people', '--keep', '--withdraw')).toMatch(/Only one of the two/);
    expect(await wrong('people', '--withdraw')).toMatch(/people is still in the configuration; nothing was done/);
    expect(await wrong('network', '--keep')).toMatch(/network is still in the configuration/);
    expect(await wrong('nobody', '--keep')).toMatch(/There is no directory "nobody"/);
  });

  it('is what a running agent takes that was started with the new configuration', async () => {
    const { oslo } = await freshNetwork();
    await without(oslo, 'people');
    const agent = await startAgent(oslo);
    try {
      const { out } = await oslo.must('directory', 'remove', 'people', '--withdraw');
      expect(out).toMatch(/14 entries of people are published no more/);
    } finally {
      await agent.stop();
    }
    expect((await statusOf(oslo)).own.live).toBe(0);
  });
});
