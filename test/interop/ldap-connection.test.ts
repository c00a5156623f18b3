/** Lines to slapd: as safe as was asked for or none at all, whoever one is to the server, and another server where one is down. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { LdapServers } from '../../packages/adapters/src/directories/ldap/servers.ts';
import type {
  LdapBind,
  LdapOptions,
  LdapServer,
  LdapTls,
} from '../../packages/adapters/src/directories/ldap/options.ts';
import { makeAuthority } from '../contract/http-certificates.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { Wire } from './ldap-wire.ts';
import { ldif, openDirectory, optionsFor, people, personLdif, readAll, simple } from './ldap-directory.ts';

const content = ldif([people, personLdif('anna')]);
const PASSWORD = 'correct horse, battery=staple';
const line = (text: string) => expect.stringMatching(text) as string;

describeSlapd('a line to slapd', () => {
  let slapd: Slapd;
  let folder: string;
  let wire: Wire | undefined;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dirpost-ldap-'));
    slapd = await startSlapd({
      ldif: content,
      writes: 'nosync',
      accounts: [{ name: 'scram-user', password: PASSWORD }],
    });
  });
  afterAll(async () => {
    await slapd?.stop();
    await rm(folder, { recursive: true, force: true });
  });
  afterEach(async () => {
    await wire?.close();
    wire = undefined;
  });

  const over = (server: LdapServer, options: Partial<LdapOptions> = {}) =>
    readAll(openDirectory(slapd, { servers: [server], ca: slapd.ca, bind: simple(slapd.reader), ...options }));
  const portOf = (tls: LdapTls) => (tls === 'ldaps' ? slapd.ldapsPort : slapd.port);

  it('is TLS from the first octet, or by StartTLS, by address and by name', async () => {
    for (const tls of ['ldaps', 'starttls'] as const) {
      for (const host of ['127.0.0.1', 'localhost']) {
        const { certificate } = await over({ host, port: portOf(tls), tls });
        expect(certificate).toMatchObject({ complete: true, entries: 1, source: `${host}:${portOf(tls)}` });
      }
      wire = await Wire.to(portOf(tls));
      await over({ host: '127.0.0.1', port: wire.port, tls });
      expect(wire.says(slapd.reader.password)).toBe(false);
      await wire.close();
      wire = undefined;
    }
  });

  it('is none where the certificate is by another authority, or not for this name; no password was sent', async () => {
    const other = await makeAuthority(folder, 'other');
    for (const tls of ['ldaps', 'starttls'] as const) {
      wire = await Wire.to(portOf(tls));
      const server = { host: '127.0.0.1', port: wire.port, tls };
      for (const ca of [{ ca: other.ca }, {}]) {
        const { ca: _, ...options } = optionsFor(slapd, { servers: [server], bind: simple(slapd.reader) });
        const opening = new LdapServers({ ...options, ...ca }).open(new AbortController().signal);
        await expect(opening).rejects.toMatchObject({
          code: 'directory-failed',
          retry: 'operator',
          message: line('an authority that is not known here'),
        });
      }
      await slapd.change({ certificate: 'right' });
      await expect(over({ ...server, host: 'localhost.localdomain' })).rejects.toMatchObject({
        code: 'directory-failed',
      });
      expect(wire.says(slapd.reader.password)).toBe(false);
      await wire.close();
      wire = undefined;
    }
  });

  it('of SCRAM proves the password on both sides without sending it', async () => {
    wire = await Wire.to(slapd.port);
    const server = { host: '127.0.0.1', port: wire.port, tls: 'none' } as const;
    const scram = (hash: 'sha-1' | 'sha-256', password = PASSWORD): LdapBind => ({
      method: 'scram',
      user: 'scram-user',
      password: async () => password,
      hash,
    });
    for (const hash of ['sha-1', 'sha-256'] as const) {
      expect((await over(server, { bind: scram(hash) })).certificate).toMatchObject({ complete: true, entries: 1 });
      await expect(over(server, { bind: scram(hash, 'wrong') })).rejects.toMatchObject({
        retry: 'operator',
        message: line('does not let scram-user in: invalidCredentials'),
      });
    }
    expect(wire.says(PASSWORD)).toBe(false);
  });

  it('of ldapi is for the account of the process, and of a client certificate for its name', async () => {
    const ldapi = { host: slapd.ldapi, port: 0, tls: 'ldapi' } as const;
    const read = await over(ldapi, { bind: { method: 'external' } });
    expect(read.certificate).toMatchObject({ complete: true, entries: 1, source: slapd.ldapi });
    const { certificate, key } = await slapd.authority.issue('agent', 'DNS:agent');
    for (const tls of ['ldaps', 'starttls'] as const) {
      const bind: LdapBind = { method: 'external', certificate: { certificate, key } };
      const { certificate: word } = await over({ host: 'localhost', port: portOf(tls), tls }, { bind });
      expect(word).toMatchObject({ complete: true, entries: 1 });
    }
    await expect(over({ ...ldapi, host: join(folder, 'nothing') })).rejects.toMatchObject({
      message: line('its socket is not there'),
    });
    const ldaps = { host: 'localhost', port: slapd.ldapsPort, tls: 'ldaps' } as const;
    const withKey = (path: string): LdapBind => ({ method: 'external', certificate: { certificate, key: path } });
    await expect(over(ldaps, { bind: withKey(join(folder, 'not-there')) })).rejects.toMatchObject({
      code: line('^file-'),
    });
    const unusable = { code: 'directory-failed', retry: 'operator', message: line('TLS to .* cannot begin') };
    await expect(over(ldaps, { bind: withKey(slapd.ca) })).rejects.toMatchObject(unusable);
    const { key: another } = await slapd.authority.issue('another', 'DNS:another');
    await expect(over(ldaps, { bind: withKey(another) })).rejects.toMatchObject(unusable);
  });
});

describeSlapd('a slapd whose TLS is not what it should be', () => {
  const servers: Slapd[] = [];
  afterEach(async () => {
    for (const slapd of servers.splice(0)) await slapd.stop();
  });

  const refused = async (certificate: 'unknown authority' | 'wrong name' | 'none', tls: LdapTls, why: string) => {
    const slapd = await startSlapd({ ldif: content, writes: 'nosync', certificate });
    servers.push(slapd);
    const wire = await Wire.to(tls === 'ldaps' ? slapd.ldapsPort : slapd.port);
    const server = { host: '127.0.0.1', port: wire.port, tls };
    const directory = openDirectory(slapd, { servers: [server], ca: slapd.ca, bind: simple(slapd.reader) });
    await expect(readAll(directory)).rejects.toMatchObject({
      code: 'directory-failed',
      retry: 'operator',
      message: line(why),
    });
    expect(wire.says(slapd.reader.password)).toBe(false);
    await wire.close();
  };

  it('is sent no password: by another authority, for another name, without TLS', async () => {
    await refused('unknown authority', 'starttls', 'by an authority that is not known here');
    await refused('wrong name', 'starttls', 'its certificate is for another name');
    await refused('wrong name', 'ldaps', 'its certificate is for another name');
    await refused('none', 'starttls', 'does not begin TLS: (protocolError|unavailable|operationsError)');
  });

  it('is told so where TLS is expected at a port that has none', async () => {
    const slapd = await startSlapd({ ldif: content, writes: 'nosync', certificate: 'none' });
    servers.push(slapd);
    const server = { host: '127.0.0.1', port: slapd.port, tls: 'ldaps' } as const;
    const times = { connectMs: 2_000, operationMs: 2_000, keepAliveMs: 1_000 };
    const directory = openDirectory(slapd, { servers: [server], ca: slapd.ca, times });
    await expect(readAll(directory)).rejects.toMatchObject({ code: 'directory-failed' });
  });

  it('is told so where StartTLS is expected at a port of TLS', async () => {
    const slapd = await startSlapd({ ldif: content, writes: 'nosync' });
    servers.push(slapd);
    const server = { host: '127.0.0.1', port: slapd.ldapsPort, tls: 'starttls' } as const;
    const reading = readAll(openDirectory(slapd, { servers: [server], ca: slapd.ca }));
    await expect(reading).rejects.toMatchObject({ hint: expect.stringContaining('ldaps is TLS') as string });
  });
});

describeSlapd('several servers', () => {
  let first: Slapd;
  let second: Slapd;
  beforeAll(async () => {
    [first, second] = await Promise.all([
      startSlapd({ ldif: content, writes: 'nosync' }),
      startSlapd({ ldif: content, writes: 'nosync' }),
    ]);
  });
  afterAll(() => Promise.all([first?.stop(), second?.stop()]));

  const both = () => [first, second].map(({ host, port }) => ({ host, port, tls: 'none' }) as const);
  const sourceOf = (slapd: Slapd) => `127.0.0.1:${slapd.port}`;

  it('are asked in their order: the second while the first is down, and the first again a minute after', async () => {
    let nowMs = Date.now();
    const dependencies = { now: () => nowMs, random: Math.random, resolveSrv: () => Promise.reject(new Error('none')) };
    const servers = new LdapServers(optionsFor(first, { servers: both() }), dependencies);
    const answering = async () => {
      const session = await servers.open(new AbortController().signal);
      session.close();
      return session.server;
    };
    expect(await answering()).toBe(sourceOf(first));
    await first.kill();
    expect(await answering()).toBe(sourceOf(second));
    await first.start();
    nowMs += 59_000;
    expect(await answering()).toBe(sourceOf(second));
    nowMs += 2_000;
    expect(await answering()).toBe(sourceOf(first));
  });

  it('are passed over when one takes the line and says nothing', async () => {
    const times = { connectMs: 2_000, operationMs: 300, keepAliveMs: 30_000 };
    await first.freeze();
    const read = await readAll(openDirectory(first, { servers: both(), times }));
    expect(read.certificate).toMatchObject({ complete: true, source: sourceOf(second) });
    const alone = readAll(openDirectory(first, { times }));
    await expect(alone).rejects.toMatchObject({ retry: 'later', message: line('did not answer within 0.3 s') });
    first.thaw();
  });

  it('are let go at once by who is interrupted', async () => {
    const controller = new AbortController();
    await first.freeze();
    const reading = openDirectory(first).read(null, controller.signal).next();
    setTimeout(() => controller.abort(new Error('enough')), 100);
    await expect(reading).rejects.toMatchObject({ code: 'interrupted' });
    first.thaw();
  });

  it('that refuse the login are told of, and not passed over for the next', async () => {
    const bind = simple({ ...first.reader, password: 'wrong' });
    const reading = readAll(openDirectory(first, { servers: both(), bind }));
    await expect(reading).rejects.toMatchObject({ retry: 'operator', message: line('invalidCredentials') });
  });

  it('are all looked at by dirpost check: who could not take the place of the one that answers', async () => {
    const facts = () => openDirectory(first, { servers: both() }).facts(new AbortController().signal);
    expect((await facts()).unusable).toEqual([]);
    await second.kill();
    expect((await facts()).unusable).toMatchObject([{ message: line(`${second.port}.*nothing listens there`) }]);
    await second.start();
  });

  it('that are all down are all named', async () => {
    await Promise.all([first.kill(), second.kill()]);
    const reading = readAll(openDirectory(first, { servers: both() }));
    await expect(reading).rejects.toMatchObject({
      code: 'directory-failed',
      retry: 'later',
      message: line(`No server of office answers.*${first.port}.*${second.port}`),
    });
  });
});
