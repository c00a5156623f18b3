/** `dirpost move`: what is announced, and what is wrong with it. The whole move, over http: test/network/move.test.ts. */
import { X509Certificate } from 'node:crypto';
import { execFile } from 'node:child_process';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { mailAddressOf } from '../../packages/agent/src/open-mail.ts';
import type { Peer } from '../../packages/agent/src/peers.ts';
import { hasOpenssl, makeAuthority } from '../contract/http-certificates.ts';
import { cycle } from '../demo/office.ts';
import { freshBranches } from './branches.ts';

async function movedAt(data: string): Promise<Record<string, unknown> | undefined> {
  const text = await readFile(join(data, 'peers', 'hq.json'), 'utf8');
  return (JSON.parse(text) as { moved?: Record<string, unknown> }).moved;
}

describe('a server that moves', () => {
  it.skipIf(!hasOpenssl())('announces its certificate with its address where that is its own authority', async () => {
    const { root, hq, oslo, bergen } = await freshBranches();
    const authority = await makeAuthority(root, 'hq2');
    const { certificate } = await authority.issue('hq3', 'DNS:localhost');
    await hq.must('move', '--http', 'https://hq2.example.org:8943', '--certificate', authority.ca);
    await cycle([hq, oslo]);
    expect(await movedAt(oslo.data)).toMatchObject({ http: 'https://hq2.example.org:8943' });
    const [file] = (await readdir(oslo.data)).filter((name) => name.startsWith('server-moved-'));
    const pinned = new X509Certificate(await readFile(join(oslo.data, file!)));
    expect(pinned.fingerprint256).toBe(new X509Certificate(await readFile(authority.ca)).fingerprint256);

    // A later word takes its place, for one who has heard the first and for one who has not.
    await hq.must('move', '--http', 'https://hq3.example.org:8943', '--certificate', certificate);
    await cycle([hq, oslo, bergen]);
    for (const { data } of [oslo, bergen]) {
      expect(await movedAt(data)).toEqual({ http: 'https://hq3.example.org:8943' });
    }
    expect(await hq.json('move')).toMatchObject({ announced: { http: 'https://hq3.example.org:8943' }, unaware: [] });
  });

  it('says the same thing once, and nothing where nothing was announced', async () => {
    const { hq, oslo, bergen } = await freshBranches();
    expect(await hq.json('move')).toMatchObject({ announced: null, unaware: [] });
    await hq.must('move', '--mail', 'hq@example.net');
    await cycle([hq, oslo, bergen]);
    expect(await hq.json('move', '--mail', 'hq@example.net')).toMatchObject({ unaware: [], sent: { messages: 0 } });
    expect(await movedAt(bergen.data)).toEqual({ mail: 'hq@example.net' });
  });

  it.each([
    [['--http', 'hq2.example.org'], 'is not a URL'],
    [['--http', 'http://hq2.example.org:8943'], 'without TLS'],
    [['--http', 'https://user:secret@hq2.example.org'], 'is not an address'],
    [['--http', `https://hq2.example.org/${'x'.repeat(2_048)}`], 'longer than 2048 octets'],
    [['--mail', 'hq'], 'is not a mail address'],
    [['--certificate', 'hq.crt'], 'give --http, too'],
    [['--answer'], 'No other address was announced'],
  ])('is not announced with %j', async (options, words) => {
    const { hq } = await freshBranches();
    const before = await readFile(join(hq.data, 'keys.json'));
    expect(await hq.run('move', ...options)).toMatchObject({ code: 2, err: expect.stringContaining(words) });
    expect(await readFile(join(hq.data, 'keys.json'))).toEqual(before);
  });

  it.skipIf(!hasOpenssl())('is not announced with a certificate that is too large for an announcement', async () => {
    const { root, hq } = await freshBranches();
    const names = Array.from({ length: 900 }, (_, i) => `DNS:host-number-${i}.example.org`).join(',');
    const [key, file] = [join(root, 'large.key'), join(root, 'large.crt')];
    const made = ['-x509', '-newkey', 'ed25519', '-nodes', '-subj', '/CN=hq2', '-addext', `subjectAltName=${names}`];
    await promisify(execFile)('openssl', ['req', ...made, '-keyout', key, '-out', file]);
    const before = await readFile(join(hq.data, 'keys.json'));
    const ran = await hq.run('move', '--http', 'https://hq2.example.org', '--certificate', file);
    expect(ran).toMatchObject({ code: 2, err: expect.stringContaining('has room for 16384') });
    expect(await readFile(join(hq.data, 'keys.json'))).toEqual(before);
  });

  it('restored from before its last move, tells where it is above that, and nobody answers for ever', async () => {
    const { root, hq, oslo, bergen } = await freshBranches();
    await hq.must('move', '--mail', 'hq@example.net');
    await cp(hq.data, join(root, 'backup'), { recursive: true });
    await hq.must('move', '--mail', 'hq@example.com');
    await cycle([hq, oslo, bergen]);
    expect(await movedAt(oslo.data)).toEqual({ mail: 'hq@example.com' });
    await rm(hq.data, { recursive: true });
    await cp(join(root, 'backup'), hq.data, { recursive: true });
    for (let i = 0; i < 2; i++) await cycle([hq, oslo, bergen]);
    expect(await movedAt(oslo.data)).toEqual({ mail: 'hq@example.net' });
    expect(await hq.json('move')).toMatchObject({ unaware: [], sent: { messages: 0 } });
    // An answer that came after a sync had ended is verified; nothing more follows.
    for (const office of [oslo, hq, oslo, hq]) await office.must('dispatch');
    expect([await oslo.waiting(), await hq.waiting()]).toEqual([[], []]);
  });

  it('is a server: a branch tells nobody', async () => {
    const { oslo } = await freshBranches();
    const ran = await oslo.run('move', '--http', 'https://oslo.example.org');
    expect(ran).toMatchObject({ code: 2, err: expect.stringContaining('Only a directory server') });
  });

  it('leaves a folder in which no command works any more, until its administrator says otherwise', async () => {
    const { hq } = await freshBranches();
    await writeFile(join(hq.data, 'moved-away'), '');
    expect(await hq.run('sync')).toMatchObject({ code: 1, err: expect.stringContaining('dirpost move --back') });
    expect(await hq.run('status')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^MOVED AWAY .*as it was then/),
    });
    await hq.must('move', '--back');
    expect((await hq.must('status')).out).not.toContain('MOVED AWAY');
    await hq.must('sync');
  });
});

describe('the mail address of a server', () => {
  const peers = (moved: Peer['moved'], mail?: string) =>
    ({ peers: { get: () => ({ mail, moved }) }, applicants: new Map() }) as never;

  it('is the announced one, unless the configuration was changed since', () => {
    const configured = { peers: { hq: 'old@example.org' } };
    const moved = { mail: 'new@example.org', insteadOfMail: 'old@example.org' };
    expect(mailAddressOf(configured, peers(moved), 'hq')).toBe('new@example.org');
    expect(mailAddressOf({ peers: { hq: 'hand@example.org' } }, peers(moved), 'hq')).toBe('hand@example.org');
    expect(mailAddressOf({ peers: {} }, peers({ mail: 'new@example.org' }, 'told@example.org'), 'hq')).toBe(
      'new@example.org',
    );
    expect(mailAddressOf({ peers: {} }, peers(undefined, 'told@example.org'), 'hq')).toBe('told@example.org');
  });
});
