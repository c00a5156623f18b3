/**
 * A path where a name is expected: nothing is read or written beside the folders that are meant. Also
 * packages/adapters/src/transports/folder.test.ts and test/contract/http-refusals.test.ts ("an id … never becomes a path"),
 * packages/agent/src/peers.test.ts ("by a name and never by a path"), packages/adapters/src/ldif/parse.test.ts (file URLs).
 */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderTransport, LdifDirectory } from '@dirpost/adapters';
import { isPostofficeName, type MessageFile } from '@dirpost/core';
import { publicKeys } from '@dirpost/message';
import { configurationFaults, FileSpool, parsePeer } from 'dirpost';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { contentOf } from '../../packages/adapters/src/transports/mail/candidates.ts';
import { recognise } from '../../packages/adapters/src/transports/mail/recognise.ts';
import { HeaderFields } from '../../packages/adapters/src/transports/mail/header-fields.ts';
import { formatInvitation, parseInvitation } from '../../packages/agent/src/joining/invitation.ts';
import { sealWith } from '../vectors/sealing.ts';
import { codec, keys, sealerOf } from '../vectors/vector.ts';
import { verification } from '../vectors/heads.ts';

const names = [
  '../evil',
  '..',
  '.',
  '/etc/evil',
  'a/b',
  'a\\b',
  'con',
  'nul',
  'evil\0',
  '',
  'a'.repeat(64),
  'Évil',
  '-evil',
  '.evil',
  'evil.',
];

let root: string;
let inside: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'dirpost-paths-'));
  inside = join(root, 'inside');
  await mkdir(inside);
});
afterEach(() => rm(root, { recursive: true, force: true }));

const never = () => new AbortController().signal;

describe.each(names)('%j', (name) => {
  it('is no name of a postoffice, in a configuration, a public file, an invitation or a message file', async () => {
    expect(isPostofficeName(name)).toBe(false);
    const quoted = JSON.stringify(name);
    const configuration = `postoffice: ${quoted}\nrole: requestor\nserver: ${quoted}\ndata: .\n`;
    expect(configurationFaults(configuration, root).map(({ path }) => path)).toEqual(
      expect.arrayContaining(['postoffice', 'server']),
    );
    const peer = JSON.stringify({ dirpost: 1, name, role: 'server', keys: [], fingerprint: '', madeAt: '' });
    expect(() => parsePeer(peer, 'test')).toThrow(expect.objectContaining({ code: 'peer-invalid' }) as Error);
    const { signing, recipient } = await publicKeys(keys['oslo']!);
    const invitation = {
      id: '00'.repeat(16),
      secret: Buffer.alloc(20),
      expiresMs: 1,
      keys: { signing, recipient },
      recoveryKey: null,
      addresses: {},
    };
    for (const named of [
      { name, server: 'hq' },
      { name: 'oslo', server: name },
    ]) {
      const line = formatInvitation({ ...invitation, ...named });
      expect(() => parseInvitation(line)).toThrow(expect.objectContaining({ code: 'peer-invalid' }) as Error);
    }
    if (name === '' || name.length > 63) return;
    const file = await sealWith({ payload: codec.encode(verification, []), from: name, signer: 'oslo' });
    await expect((await sealerOf('bergen')).open(file)).rejects.toMatchObject({ code: 'message-sender' });
  });

  it('makes no folder and no file', async () => {
    const file: MessageFile = { id: 'a'.repeat(32), from: 'hq', to: name, bytes: Buffer.from('DIRPOST1') };
    const folder = new FolderTransport({ root: inside, postoffice: 'hq' });
    await expect(folder.deliver(file, never())).rejects.toMatchObject({ code: 'wrong-use' });
    const spool = new FileSpool(join(inside, 'spool'));
    await spool.prepare();
    await expect(spool.put('incoming', name, file.bytes)).rejects.toThrow();
    await expect(spool.put('incoming', `../../${name}.dpm`, file.bytes)).rejects.toThrow();
    expect((await readdir(root)).sort()).toEqual(['inside']);
    expect(await readdir(join(inside, 'spool', 'incoming'))).toEqual([]);
  });
});

it('an attachment may have any name: what is taken is told by its first octets, and named by its hash', () => {
  const structure = {
    type: 'application/octet-stream',
    encoding: '7bit',
    size: 500,
    parameters: { name: '../../.ssh/x.dpm' },
  };
  const mail = { uid: 1, size: 900, receivedMs: null, fields: new HeaderFields(''), structure };
  const sight = recognise(mail, 'application/octet-stream');
  expect(sight).toMatchObject({ kind: 'mail', named: [{ part: '1' }] });
  const [leaf] = sight.kind === 'mail' ? sight.named : [];
  expect(contentOf(Buffer.from('ssh-ed25519 AAAA'), leaf!, 1_000)).toEqual({ is: 'nothing' });
  expect(contentOf(Buffer.from('DIRPOST1 and so on'), leaf!, 1_000)).toEqual({
    is: 'file',
    bytes: expect.any(Uint8Array) as Uint8Array,
  });
});

it('a value of an LDIF file that names another file is not read, unless a folder is allowed', async () => {
  const path = join(inside, 'people.ldif');
  await writeFile(join(root, 'secret'), 'root:x');
  await writeFile(path, `dn: cn=a\ncn: a\nobjectClass: person\ndescription:< file://${root}/secret\n\n`);
  const reading = (async () => {
    for await (const { entries } of new LdifDirectory({ name: 'people', path }).read(null, never())) {
      expect(JSON.stringify(entries)).not.toContain('root:x');
    }
  })();
  await expect(reading).rejects.toMatchObject({ code: 'ldif-url' });
});
