/** What a restored server trusts: who was removed or suspended since the backup is not trusted again. */
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Office } from '../demo/office.ts';
import { settings } from './branches.ts';
import { runHere } from './network.ts';
import { withRecoveryKey } from './with-recovery-key.ts';

interface Told {
  peers: { name: string; fingerprint: string; suspended: boolean; why: string | null }[];
  invitations: { open: string[]; void: boolean };
  fingerprint: string;
}

async function stateOf(office: Office, name: string): Promise<unknown> {
  return (JSON.parse(await readFile(join(office.data, 'peers', `${name}.json`), 'utf8')) as { state?: string }).state;
}

describe('a server that is restored with --replace', () => {
  it('suspends whom it has removed or suspended since, and says so', async () => {
    const { root, hq, paper } = await withRecoveryKey();
    await hq.must('backup', join(root, 'hq.backup'));
    await hq.must('requestor', 'remove', 'oslo', '--keep-entries');
    await hq.must('requestor', 'suspend', 'bergen');
    const { out } = await hq.must('restore', join(root, 'hq.backup'), '--recovery-key-file', paper, '--replace');
    expect(out).toMatch(/^Suspended, since what was here .*: bergen, oslo\.$/m);
    expect(out).toMatch(/oslo .*suspended: removed here/);
    expect(out).not.toContain('as of');
    for (const name of ['oslo', 'bergen']) expect(await stateOf(hq, name)).toBe('suspended');
    const { requestors } = await hq.json<{ requestors: { name: string; state: string }[] }>('requestor', 'list');
    expect(requestors.map(({ name, state }) => [name, state])).toEqual(
      expect.arrayContaining([
        ['oslo', 'suspended'],
        ['bergen', 'suspended'],
      ]),
    );
  });

  it('suspends whose keys are others by now, and nobody else', async () => {
    const { root, hq, paper } = await withRecoveryKey();
    await hq.must('backup', join(root, 'hq.backup'));
    const other = join(root, 'other.json');
    const anew = new Office(root, 'anew', runHere);
    await mkdir(join(root, 'directories', 'anew'));
    await anew.must(
      'init',
      'oslo',
      '--role',
      'requestor',
      '--server',
      'hq',
      ...settings('oslo'),
      '--folder',
      '../exchange',
    );
    await anew.must('peer', 'export', '--out', other);
    await hq.must('peer', 'add', other, '--replace', '--yes');
    const restoring = ['restore', join(root, 'hq.backup'), '--recovery-key-file', paper, '--replace'];
    const { peers } = await hq.json<Told>(...restoring);
    expect(peers).toEqual([
      expect.objectContaining({ name: 'bergen', suspended: false, why: null }),
      expect.objectContaining({ name: 'oslo', suspended: true, why: 'other keys here' }),
    ]);
    expect(await stateOf(hq, 'bergen')).toBeUndefined();
  });

  it('suspends whose file cannot be read any more', async () => {
    const { root, hq } = await withRecoveryKey();
    await writeFile(join(root, 'passphrase'), 'five words are hard to guess');
    const by = ['--passphrase-file', join(root, 'passphrase')];
    await hq.must('backup', join(root, 'hq.backup'), ...by);
    await writeFile(join(hq.data, 'peers', 'oslo.json'), '{');
    const { peers } = await hq.json<Told>('restore', join(root, 'hq.backup'), ...by, '--replace');
    expect(peers).toContainEqual(expect.objectContaining({ name: 'oslo', suspended: true, why: 'unreadable here' }));
  });

  it('keeps what its requestors may publish as it was set since, and shows it', async () => {
    const { root, hq, paper } = await withRecoveryKey();
    const [file, narrow] = [
      join(hq.data, 'peers', 'oslo.json'),
      { kinds: ['person'], mailDomains: ['oslo.example.org'] },
    ];
    await hq.must('backup', join(root, 'hq.backup'));
    const known = JSON.parse(await readFile(file, 'utf8')) as object;
    await writeFile(file, JSON.stringify({ ...known, publish: narrow }), { mode: 0o600 });
    await appendFile(hq.config, '\nrequestors: { bergen: { publish: { maxEntries: 20 } } }\n');
    const ran = await hq.run('restore', join(root, 'hq.backup'), '--recovery-key-file', paper, '--replace');
    expect(ran).toMatchObject({ code: 0 });
    expect(ran.out).toMatch(/^oslo +only person; mail in oslo\.example\.org +set here$/m);
    expect(ran.out).toMatch(/^bergen +all kinds; .*; at most 20 entries +set here$/m);
    expect(ran.out).not.toMatch(/Suspended/);
    const { requestors } = await hq.json<{ requestors: { name: string; publish: object }[] }>('requestor', 'list');
    expect(new Map(requestors.map(({ name, publish }) => [name, publish]))).toEqual(
      new Map<string, object>([
        ['bergen', { maxEntries: 20 }],
        ['oslo', narrow],
      ]),
    );
  });

  it('voids the invitations of the backup, also those that were used, and names those that were open', async () => {
    const { root, hq, paper } = await withRecoveryKey();
    await hq.must('invite', 'tromso');
    await hq.must('backup', join(root, 'hq.backup'));
    const { out } = await hq.must('restore', join(root, 'hq.backup'), '--recovery-key-file', paper, '--replace');
    expect(out).toMatch(/^Its invitations are void: tromso\./m);
    expect(existsSync(join(hq.data, 'invitations'))).toBe(false);
  });
});

describe('a server that is restored where nothing is', () => {
  it('names requestors and open invitations as of then, and all fingerprints', async () => {
    const { root, hq, oslo, paper } = await withRecoveryKey();
    const { own } = await hq.json<{ own: { fingerprint: string } }>('keys');
    const { own: ofOslo } = await oslo.json<{ own: { fingerprint: string } }>('keys');
    await hq.must('invite', 'tromso');
    await hq.must('backup', join(root, 'hq.backup'));
    await rm(hq.data, { recursive: true });
    const { out } = await hq.must('restore', join(root, 'hq.backup'), '--recovery-key-file', paper);
    expect(out).toMatch(/^Its requestors are those as of .*: bergen, oslo\.\nRemove or suspend again/m);
    expect(out).toMatch(/^Its invitations are open as of .*: tromso\./m);
    for (const one of [own, ofOslo]) expect(out).toContain(one.fingerprint);
    expect(out).toMatch(/^oslo +all kinds; mail in any domain that no other has +of \d{4}-/m);
    expect(await readdir(join(hq.data, 'invitations'))).toContain('tromso.json');
  });

  it('is restored also when the file of a peer in the backup is damaged, and says so', async () => {
    const { root, hq } = await withRecoveryKey();
    await writeFile(join(hq.data, 'peers', 'oslo.json'), '{');
    await writeFile(join(root, 'passphrase'), 'five words are hard to guess');
    const by = ['--passphrase-file', join(root, 'passphrase')];
    await hq.must('backup', join(root, 'hq.backup'), ...by);
    const { peers } = await hq.json<Told>('restore', join(root, 'hq.backup'), ...by, '--replace');
    expect(peers.find(({ name }) => name === 'oslo')).toMatchObject({ fingerprint: null });
  });
});
