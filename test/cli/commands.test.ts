/** Every command once, as an administrator uses it: what it says, what it gives with --json, its exit code. */
import { readdirSync, readFileSync } from 'node:fs';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { contentFaults, digestFaults, readLdif } from '../demo/contents.ts';
import { cycle, Office } from '../demo/office.ts';
import { freshNetwork, runHere, smallStaff, temporaryFolder } from './network.ts';

const parsed = async (office: Office, ...args: string[]): Promise<unknown> => {
  const ran = await office.run('--json', ...args);
  expect(ran).toMatchObject({ code: 0 });
  return JSON.parse(ran.out);
};

describe('init', () => {
  it('makes a postoffice whose check names only what is still missing', async () => {
    const root = await temporaryFolder();
    const office = new Office(root, 'oslo', runHere);
    const ran = await office.must('init', 'oslo', '--role', 'requestor', '--server', 'hq');
    expect(ran.out).toMatch(/fingerprint {4}[a-z0-9]{4}(-[a-z0-9]{4}){7}/);
    expect((await readdir(office.data)).sort()).toEqual(
      expect.arrayContaining(['dirpost.yaml', 'keys.json', 'store.db']),
    );
    const check = await office.run('check');
    expect(check.code).toBe(1);
    expect(check.out).toMatch(/server hq is not known/);
    expect(check.out).toMatch(/people\.ldif/);
  });

  it('never replaces a postoffice', async () => {
    const { oslo } = await freshNetwork();
    const keys = await readFile(join(oslo.data, 'keys.json'));
    const ran = await oslo.run('init', 'oslo', '--role', 'server');
    expect(ran).toMatchObject({ code: 2, out: '' });
    expect(ran.err).toMatch(/is there already/);
    expect(await readFile(join(oslo.data, 'keys.json'))).toEqual(keys);
  });

  it('--json tells the fingerprint', async () => {
    const office = new Office(await temporaryFolder(), 'hq', runHere);
    expect(await parsed(office, 'init', 'hq', '--role', 'server')).toMatchObject({ postoffice: 'hq', role: 'server' });
  });
});

describe('peer', () => {
  it('export prints the public file, and list the fingerprints of those that are trusted', async () => {
    const { hq, oslo } = await freshNetwork();
    const file = JSON.parse((await hq.must('peer', 'export')).out) as { name: string; fingerprint: string };
    expect(file.name).toBe('hq');
    expect((await oslo.must('peer', 'list')).out).toContain(file.fingerprint);
    expect(await parsed(oslo, 'peer', 'list')).toMatchObject([
      { name: 'hq', role: 'server', fingerprint: file.fingerprint },
    ]);
  });

  it('add refuses a wrong fingerprint, an altered file and nobody who confirms', async () => {
    const { root, hq } = await freshNetwork();
    const stranger = new Office(root, 'lima', runHere);
    await stranger.must('init', 'lima', '--role', 'requestor', '--server', 'hq');
    const file = join(root, 'lima.json');
    await stranger.must('peer', 'export', '--out', file);
    const wrong = await hq.run('peer', 'add', file, '--fingerprint', 'aaaa-bbbb');
    expect(wrong).toMatchObject({ code: 2 });
    expect(wrong.err).toMatch(/fingerprint does not match.*\n.*Nothing was added/);
    const nobody = await hq.run('--json', 'peer', 'add', file);
    expect(nobody).toMatchObject({ code: 2, out: '' });
    expect(JSON.parse(nobody.err)).toMatchObject({ error: { code: 'wrong-use' } });
    const altered = (await readFile(file, 'utf8')).replace(/(?<="recipient": "age1)./, (letter) =>
      letter === 'x' ? 'y' : 'x',
    );
    await writeFile(`${file}.altered`, altered);
    expect(await hq.run('peer', 'add', `${file}.altered`, '--yes')).toMatchObject({ code: 2 });
    expect(await parsed(hq, 'peer', 'list')).toHaveLength(1);
    expect(await parsed(hq, 'peer', 'add', file, '--yes')).toMatchObject({ peer: 'lima', result: 'added' });
  });

  it('add does not replace known keys unless it is told to', async () => {
    const { root, hq } = await freshNetwork();
    const other = new Office(await temporaryFolder(), 'oslo', runHere);
    await other.must('init', 'oslo', '--role', 'requestor', '--server', 'hq');
    const file = join(root, 'other-oslo.json');
    await other.must('peer', 'export', '--out', file);
    const refused = await hq.run('peer', 'add', file, '--yes');
    expect(refused.code).toBe(2);
    expect(refused.err).toMatch(/Other keys of oslo are known/);
    await hq.must('peer', 'add', file, '--yes', '--replace');
  });
});

describe('check', () => {
  it('finds nothing where all is right', async () => {
    const { hq } = await freshNetwork();
    const ran = await hq.must('check');
    expect(ran.out).not.toMatch(/fault|warning/);
    expect(await parsed(hq, 'check')).toMatchObject({ faults: [] });
  });

  it('tells all faults of a configuration at once, with their lines', async () => {
    const { hq } = await freshNetwork();
    const text = (await readFile(hq.config, 'utf8'))
      .replace('role: server', 'role: boss')
      .replace('direction: publish', 'direction: up')
      .replace('retention: 90d', 'retention: soon')
      .concat('colour: blue\n');
    await writeFile(hq.config, text);
    const lineOf = (words: string) => text.slice(0, text.indexOf(words)).split('\n').length;
    const ran = await hq.run('check');
    expect(ran.code).toBe(2);
    for (const words of ['role: boss', 'retention: soon', 'colour: blue'])
      expect(ran.out).toMatch(new RegExp(`\\b${lineOf(words)}\\b`));
    const json = JSON.parse((await hq.run('--json', 'check')).out) as { faults: { line: number }[] };
    expect(json.faults.map(({ line }) => line)).toEqual(
      expect.arrayContaining(['role: boss', 'direction: up', 'retention: soon', 'colour: blue'].map(lineOf)),
    );
    // Every other command refuses to work with it, in the same words.
    const sync = await hq.run('sync');
    expect(sync).toMatchObject({ code: 2, out: '' });
    expect(sync.err).toContain(`${lineOf('colour: blue')}`);
  });
});

/** All rows of all tables: what a store says, whatever its pages look like. `directory` is an index of names ever seen. */
function rowsOf(path: string): unknown {
  const db = new Database(path, { readonly: true });
  try {
    const tables = db
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'directory' ORDER BY name")
      .pluck()
      .all() as string[];
    return tables.map((table) => [table, db.prepare(`SELECT * FROM "${table}"`).raw().all()]);
  } finally {
    db.close();
  }
}

function filesOf(folder: string): [string, string][] {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = names
    .filter((one) => one.isFile() && !/^(?:store|lock)\./.test(one.name))
    .map((one) => join(one.parentPath, one.name));
  return files.sort().map((file) => [file, readFileSync(file, 'latin1')]);
}

describe('preview', () => {
  it('shows what would happen and changes nothing', async () => {
    const { root, oslo } = await freshNetwork();
    const staff = smallStaff('oslo');
    staff.people[0]!.title = 'Boss';
    staff.people.splice(3, 2);
    await oslo.writePeople(staff);
    const before = [rowsOf(join(oslo.data, 'store.db')), filesOf(root)];
    const ran = await oslo.must('preview');
    expect(ran.out).toMatch(/people +12 +0 +\d +2 +0 +0 +0 +none/);
    expect(await parsed(oslo, 'preview')).toMatchObject({ publish: [{ summary: { added: 0, removed: 2 } }] });
    const ldif = await oslo.must('preview', '--ldif');
    expect(ldif.out).toBe('version: 1\n\n');
    expect([rowsOf(join(oslo.data, 'store.db')), filesOf(root)]).toEqual(before);
  });

  it('--ldif prints what would be written as change records', async () => {
    const { oslo } = await freshNetwork();
    await writeFile(oslo.network, 'version: 1\n\ndn: cn=left over\nobjectClass: person\ncn: left over\n\n');
    const { out } = await oslo.must('preview', '--ldif');
    expect(out).toMatch(/dn: cn=left over\nchangetype: delete/);
    expect(out.match(/changetype: add/g)!.length).toBeGreaterThan(12);
  });

  it('a directory that cannot be read is exit code 1', async () => {
    const { oslo } = await freshNetwork();
    await writeFile(oslo.people, '');
    const ran = await oslo.run('preview');
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/The file is empty/);
  });
});

describe('sync and dispatch', () => {
  it('carry a change there, and the verification back', async () => {
    const { hq, oslo, offices } = await freshNetwork();
    const staff = smallStaff('oslo');
    staff.people[0]!.title = 'Harbour pilot';
    await oslo.writePeople(staff);
    const sent = await oslo.must('sync', '--wait', '0');
    expect(sent.out).toMatch(/^T0 .*1 changed/m);
    expect(sent.out).toMatch(/^T1 .*exchange \d+ to hq/m);
    expect(sent.out).toMatch(/No answer of hq yet/);
    expect((await hq.must('dispatch')).out).toMatch(/^T2 .*from oslo: accepted/m);
    await cycle(offices);
    expect(await contentFaults(hq, offices)).toEqual([]);
    expect(digestFaults([await hq.status(), await oslo.status()])).toEqual([]);
  });

  it('--json gives one document, and words of trouble on the standard error', async () => {
    const { oslo } = await freshNetwork();
    expect(await parsed(oslo, 'sync', '--wait', '0')).toMatchObject({ submitted: { changes: 0 }, answered: false });
    expect(await parsed(oslo, 'dispatch')).toMatchObject({ corrupt: 0 });
    await writeFile(oslo.people, '');
    const ran = await oslo.run('--json', 'sync', '--wait', '0');
    expect(ran.code).toBe(1);
    expect(ran.err).toMatch(/^T0 warning: /);
    expect(JSON.parse(ran.out)).toMatchObject({ collected: [{ directory: 'people' }] });
  });
});

describe('status, queue, list show', () => {
  it('status says where both sides stand', async () => {
    const { hq, oslo } = await freshNetwork();
    const { own } = await oslo.status();
    const ran = await hq.must('status');
    expect(ran.out).toContain(own.digest);
    expect(ran.out).toMatch(/oslo +all +14 +14 +28 +0 +0/);
    expect((await oslo.must('status')).out).toMatch(/oslo: requestor of hq/);
  });

  it('queue lists what waits', async () => {
    const { root, oslo } = await freshNetwork();
    expect((await oslo.must('queue')).out).toMatch(/none is corrupt/);
    expect(await parsed(oslo, 'queue')).toEqual([]);
    await rename(oslo.exchange, join(root, 'unplugged'));
    expect(await oslo.run('sync', '--wait', '0')).toMatchObject({ code: 1 });
    expect(await parsed(oslo, 'queue')).toMatchObject([{ queue: 'outgoing', peer: 'hq' }]);
    expect((await oslo.must('queue')).out).toMatch(/1 try, next .*exchange folder/);
  });

  it('list show says who receives what, on the server only', async () => {
    const { hq, oslo } = await freshNetwork();
    expect((await hq.must('list', 'show')).out).toMatch(/^all: 28 entries/m);
    expect(await parsed(hq, 'list', 'show', 'all')).toMatchObject([
      { name: 'all', entries: 28, followers: ['hq', 'oslo'] },
    ]);
    expect(await hq.run('list', 'show', 'none')).toMatchObject({ code: 2 });
    const ran = await oslo.run('list', 'show');
    expect(ran.code).toBe(2);
    expect(ran.err).toMatch(/defined on its server/);
  });
});

describe('message show', () => {
  it('--header needs no key and no configuration', async () => {
    const { root, hq, oslo } = await freshNetwork();
    await oslo.must('sync', '--wait', '0');
    const [file] = await hq.waiting();
    const nowhere = new Office(join(root, 'nowhere'), 'nobody', runHere);
    expect((await nowhere.must('message', 'show', '--header', file!)).out).toMatch(/oslo.*hq/);
    expect(await nowhere.json('message', 'show', '--header', file!)).toMatchObject({
      envelope: { from: 'oslo', to: 'hq' },
    });
  });

  it('opens what is for this postoffice, in a file or in the spool', async () => {
    const { hq, oslo } = await freshNetwork();
    const staff = smallStaff('oslo');
    staff.people[0]!.title = 'Harbour pilot';
    await oslo.writePeople(staff);
    await oslo.must('sync', '--wait', '0');
    const [file] = await hq.waiting();
    const shown = await hq.must('message', 'show', file!);
    expect(shown.out).toMatch(/^exchange from oslo to hq/);
    expect(shown.out).toMatch(/title/);
    expect(await parsed(hq, 'message', 'show', file!)).toMatchObject({
      from: 'oslo',
      head: { kind: 'exchange' },
      total: 1,
    });
    await hq.must('dispatch');
    const taken = (await readdir(join(hq.data, 'spool', 'done'))).find((name) => name.endsWith('_folder.dpm'));
    expect(await hq.run('message', 'show', taken!)).toMatchObject({ code: 0 });
    expect(await hq.run('message', 'show', 'no-such-file')).toMatchObject({ code: 1 });
  });
});

describe('entries, export', () => {
  it('entries are found by a filter, in the replica and in what is published', async () => {
    const { hq, oslo, staff } = await freshNetwork();
    const { uid } = staff.hq.people[0]!;
    expect((await oslo.must('entries', `(uid=${uid})`)).out).toContain(uid);
    const found = await oslo.json<{ owner: string; attributes: Record<string, string[]> }[]>('entries', `(uid=${uid})`);
    expect(found).toMatchObject([{ owner: 'hq', kind: 'person', attributes: { uid: [uid] } }]);
    expect((await oslo.must('entries', '--limit', '3')).out).toMatch(/The first 3; more with --limit/);
    expect(await parsed(oslo, 'entries', '--of', 'published', '(kind=group)')).toHaveLength(2);
    expect(await parsed(hq, 'entries', '--of', 'collected', '(postoffice=oslo)')).toHaveLength(14);
    expect((await oslo.must('entries', '(cn=nobody)')).out).toBe('No entries.\n');
    expect(await oslo.run('entries', '(cn=')).toMatchObject({ code: 2 });
    expect(await oslo.run('entries', '--limit', 'x')).toMatchObject({ code: 2 });
  });

  it('export writes the replica with the DNs of the owners', async () => {
    const { root, hq, oslo } = await freshNetwork();
    const file = join(root, 'export.ldif');
    expect(await parsed(oslo, 'export', file)).toMatchObject({ entries: 14 });
    const [exported, owned] = [await readLdif(file), await readLdif(hq.people)];
    expect([...exported.keys()].sort()).toEqual([...owned.keys()].sort());
    expect((await oslo.must('export')).out).toBe(await readFile(file, 'utf8'));
    expect(await oslo.run('export', join(root, 'no', 'such', 'folder.ldif'))).toMatchObject({ code: 1 });
    const asJson = await oslo.json<{ dn: string; attributes: Record<string, string[]> }[]>('export');
    expect(asJson.map(({ dn }) => dn).sort()).toEqual([...exported.keys()].sort());
    const [one] = asJson.filter(({ attributes }) => attributes['uid'] !== undefined);
    expect(exported.get(one!.dn)!.get('uid')).toEqual(one!.attributes['uid']);
  });
});

describe('unlink, recover', () => {
  it('unlink forgets an association, once', async () => {
    const { oslo } = await freshNetwork();
    const [dn] = [...(await readLdif(oslo.network)).keys()].filter((one) => one.startsWith('uid='));
    expect((await oslo.must('unlink', 'network', dn!)).out).toMatch(/no longer linked/);
    expect(await oslo.run('unlink', 'network', dn!)).toMatchObject({ code: 2 });
    expect(await oslo.run('unlink', 'nothing', dn!)).toMatchObject({ code: 2 });
    expect(await oslo.run('unlink', 'network', 'not a dn')).toMatchObject({ code: 2 });
  });

  it('a command that fails tells it as JSON only where --json is an option, and no argument', async () => {
    const { oslo } = await freshNetwork();
    const inWords = await oslo.run('unlink', 'network', '--', '--json');
    expect(inWords).toMatchObject({ code: 2, err: expect.stringMatching(/^dirpost: "--json" is not a DN/) });
    const asJson = await oslo.run('--json', 'unlink', 'network', 'cn=x');
    expect(JSON.parse(asJson.err)).toMatchObject({ error: { code: 'wrong-use' } });
  });

  it('recover lets this copy go on, and needs the word of the administrator', async () => {
    const { oslo, offices } = await freshNetwork();
    const before = (await oslo.status()).own.incarnation;
    const refused = await oslo.run('recover');
    expect(refused.code).toBe(2);
    expect(refused.err).toMatch(/--only-copy/);
    expect(await parsed(oslo, 'recover', '--only-copy')).toMatchObject({ postoffice: 'oslo' });
    expect((await oslo.status()).own.incarnation).not.toBe(before);
    await cycle([...offices]);
    await cycle([...offices]);
    expect(digestFaults(await Promise.all(offices.map((office) => office.status())))).toEqual([]);
  });
});
