import { mkdtempSync, rmSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fingerprint, generateKeys, generateRecoveryKey, publicKeys } from '@dirpost/message';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createKeys, keyFilePath, loadKeys } from './keys.ts';
import { addPeer, exportPeer, loadPeers, parsePeer, readPeerFile, removePeer, savePeer } from './peers.ts';

let data: string;
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'dirpost-keys-'));
});
afterEach(() => rmSync(data, { recursive: true, force: true }));

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const exported = async (postoffice = 'oslo') =>
  exportPeer({ postoffice, role: 'requestor' }, await generateKeys(), NOW_MS);
const peer = async (postoffice = 'oslo') => parsePeer(await exported(postoffice), 'x.json');

describe('private keys', () => {
  it('are made once and read again', async () => {
    const keys = await createKeys(data);
    expect(await loadKeys(data)).toEqual(keys);
    await expect(createKeys(data)).rejects.toMatchObject({ code: 'already-initialized' });
    expect(await loadKeys(data)).toEqual(keys);
    expect(await readdir(data)).toEqual(['keys.json']);
  });

  it('that are not there say how to make them', async () => {
    await expect(loadKeys(data)).rejects.toMatchObject({
      code: 'not-initialized',
      hint: expect.stringContaining('dirpost init'),
    });
  });

  it.skipIf(process.platform === 'win32')('that others could read are refused', async () => {
    await createKeys(data);
    expect((await stat(keyFilePath(data))).mode & 0o777).toBe(0o600);
    for (const mode of [0o640, 0o604, 0o660]) {
      await chmod(keyFilePath(data), mode);
      await expect(loadKeys(data)).rejects.toMatchObject({
        code: 'file-denied',
        hint: expect.stringContaining('chmod 600'),
      });
    }
  });

  it('that are damaged are refused without being quoted', async () => {
    const { signing } = await createKeys(data);
    await writeFile(keyFilePath(data), JSON.stringify({ signing, identities: ['AGE-nonsense'] }), { mode: 0o600 });
    const error = await loadKeys(data).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'config-invalid' });
    expect(String(error)).not.toContain(signing);
  });
});

describe('public keys', () => {
  it('travel as a small file with name, role, fingerprint and time', async () => {
    const keys = await generateKeys();
    const text = await exportPeer({ postoffice: 'hq', role: 'server' }, keys, NOW_MS);
    expect(text.length).toBeLessThan(1000);
    const { signing, recipient } = await publicKeys(keys);
    expect(parsePeer(text, 'hq.json')).toEqual({
      name: 'hq',
      role: 'server',
      signing: [signing],
      recipients: [recipient],
      fingerprint: fingerprint({ signing, recipient }),
      madeAtMs: NOW_MS,
    });
    for (const secret of [keys.signing, ...keys.identities]) expect(text).not.toContain(secret);
  });

  it('keep the mail address that joining told, also when they are replaced; it is not in the file that travels', async () => {
    await addPeer(data, await peer(), { own: 'hq' });
    const known = (await loadPeers(data)).get('oslo')!;
    await savePeer(data, { ...known, mail: 'dirpost@oslo.example.org' });
    await addPeer(data, await peer(), { own: 'hq', replace: true });
    expect((await loadPeers(data)).get('oslo')).toMatchObject({ mail: 'dirpost@oslo.example.org' });
    const withMail = JSON.stringify({ ...JSON.parse(await exported()), mail: 'a@b.c' });
    expect(() => parsePeer(withMail, 'x.json')).toThrow(/not a file of public keys/);
    const path = join(data, 'peers', 'oslo.json');
    await writeFile(path, (await readFile(path, 'utf8')).replace('dirpost@', 'Eve <eve@'));
    await expect(loadPeers(data)).rejects.toMatchObject({ code: 'peer-invalid' });
  });

  it('that were added are known after a restart', async () => {
    expect(await loadPeers(data)).toEqual(new Map());
    const [oslo, lima] = [await peer('oslo'), await peer('lima')];
    expect(await addPeer(data, oslo, { own: 'hq' })).toBe('added');
    expect(await addPeer(data, lima, { own: 'hq' })).toBe('added');
    expect(await addPeer(data, oslo, { own: 'hq' })).toBe('unchanged');
    expect(await loadPeers(data)).toEqual(
      new Map([
        ['lima', lima],
        ['oslo', oslo],
      ]),
    );
  });

  it('are not replaced by others unless told so', async () => {
    const [first, second] = [await peer(), await peer()];
    await addPeer(data, first, { own: 'hq' });
    await expect(addPeer(data, second, { own: 'hq' })).rejects.toMatchObject({ code: 'peer-invalid' });
    expect((await loadPeers(data)).get('oslo')).toEqual(first);
    expect(await addPeer(data, second, { own: 'hq', replace: true })).toBe('replaced');
    expect((await loadPeers(data)).get('oslo')).toEqual(second);
  });

  it('that are replaced lift no suspension, and give no other rights', async () => {
    const [first, second] = [await peer(), await peer()];
    const publish = { mailDomains: ['oslo.example.org'], maxEntries: 5 };
    await savePeer(data, { ...first, suspended: true, publish, joinedAtMs: NOW_MS });
    await addPeer(data, second, { own: 'hq', replace: true });
    expect((await loadPeers(data)).get('oslo')).toEqual({ ...second, suspended: true, publish, joinedAtMs: NOW_MS });
  });

  it('of a server come with its recovery key, which stays for life', async () => {
    const [first, second] = [generateRecoveryKey().publicKey, generateRecoveryKey().publicKey];
    const server = async (recovery?: string) => {
      const keys = { ...(await generateKeys()), ...(recovery === undefined ? {} : { recovery }) };
      return parsePeer(await exportPeer({ postoffice: 'hq', role: 'server' }, keys, NOW_MS), 'hq.json');
    };
    await addPeer(data, await server(first), { own: 'oslo' });
    const other = addPeer(data, await server(second), { own: 'oslo', replace: true });
    await expect(other).rejects.toMatchObject({ code: 'peer-invalid', message: expect.stringMatching(/recovery key/) });
    expect(await addPeer(data, await server(), { own: 'oslo', replace: true })).toBe('replaced');
    expect((await loadPeers(data)).get('hq')?.recoveryKey).toBe(first);
  });

  it('of this postoffice itself are no peer', async () => {
    await expect(addPeer(data, await peer('hq'), { own: 'hq' })).rejects.toMatchObject({ code: 'peer-invalid' });
  });

  it('can be removed, by a name and never by a path', async () => {
    await addPeer(data, await peer(), { own: 'hq' });
    expect(await removePeer(data, 'oslo')).toBe(true);
    expect(await removePeer(data, 'oslo')).toBe(false);
    await expect(removePeer(data, '../keys')).rejects.toMatchObject({ code: 'wrong-use' });
  });

  it('under the name of another are refused', async () => {
    await addPeer(data, await peer('oslo'), { own: 'hq' });
    await rename(join(data, 'peers', 'oslo.json'), join(data, 'peers', 'lima.json'));
    await expect(loadPeers(data)).rejects.toMatchObject({ code: 'peer-invalid' });
  });
});

describe('a public file that is wrong is refused with a reason', () => {
  const altered = async (change: (file: Record<string, unknown>) => void) => {
    const file = JSON.parse(await exported()) as Record<string, unknown>;
    change(file);
    return JSON.stringify(file);
  };
  const cases: [string, () => Promise<string>, RegExp][] = [
    ['cut short', async () => (await exported()).slice(0, 200), /not JSON/],
    ['something else', async () => '{"name":"oslo"}', /dirpost: /],
    ['a path for a name', () => altered((file) => void (file['name'] = '../hq')), /name: /],
    ['an unknown field', () => altered((file) => void (file['extra'] = 1)), /extra/],
    ['a later version', () => altered((file) => void (file['version'] = 2)), /version: /],
    ['a state of its own', () => altered((file) => void (file['state'] = 'active')), /state/],
    ['rights of its own', () => altered((file) => void (file['publish'] = {})), /publish/],
    ['a recovery key that is none', () => altered((file) => void (file['recoveryKey'] = 'x')), /recoveryKey: /],
    ['another fingerprint', () => altered((file) => void (file['fingerprint'] = 'aaaa')), /altered or damaged/],
    ['no keys', () => altered((file) => void (file['keys'] = [])), /keys: /],
    [
      'keys that are none',
      () => altered((file) => void (file['keys'] = [{ signing: 'x', recipient: 'age1x' }])),
      /signing key/,
    ],
  ];
  it.each(cases)('%s', async (_, make, reason) => {
    const text = await make();
    const path = join(data, 'peer.json');
    await writeFile(path, text);
    const error = await readPeerFile(path).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'peer-invalid', retry: 'operator', message: expect.stringMatching(reason) });
  });

  it('a huge one is not read', async () => {
    await mkdir(join(data, 'peers'));
    await writeFile(join(data, 'peers', 'oslo.json'), Buffer.alloc(100_000));
    await expect(loadPeers(data)).rejects.toMatchObject({ code: 'peer-invalid' });
    expect((await readFile(join(data, 'peers', 'oslo.json'))).length).toBe(100_000);
  });
});
