import { afterEach, describe, expect, it } from 'vitest';
import { Authenticator, defaultLogins, type LoginOptions } from './authenticate.ts';
import { LoginFailures } from './login-failures.ts';
import type { LdapOptions } from './options.ts';
import {
  bindParts,
  BIND,
  DONE,
  entry,
  optionsFor,
  result,
  type ScriptedClient,
  ScriptedServer,
} from './scripted-server.ts';
import { LdapServers } from './servers.ts';

const SERVICE = 'cn=service,dc=example';
const signal = new AbortController().signal;
let server: ScriptedServer;
afterEach(() => server.stop());

/** Of everything that was asked. */
interface Asked {
  binds: string[];
  filters: string[];
}

interface People {
  /** User → DNs that are found by that name. */
  found?: Record<string, string[]>;
  /** DN → password. */
  passwords?: Record<string, string>;
  /** DN → code of its binds. */
  codes?: Record<string, number>;
}

async function directory(
  { found = {}, passwords = {}, codes = {} }: People = {},
  options: Partial<LdapOptions> = {},
  logins: Partial<LoginOptions> = {},
) {
  const asked: Asked = { binds: [], filters: [] };
  const clock = { nowMs: 0 };
  server = await ScriptedServer.start(async (client: ScriptedClient) => {
    for (let one = await client.next(); one !== null; one = await client.next()) {
      if (one.tag === 0x60) {
        const { dn, rest } = bindParts(one);
        if (dn !== SERVICE) asked.binds.push(dn);
        const isRight = dn === SERVICE || (rest.length > 0 && passwords[dn] === rest.toString());
        client.send(result(one.id, BIND, { code: codes[dn] ?? (isRight ? 0 : 49) }));
      } else if (one.tag === 0x63) {
        const filter = one.parts[6]!.toString('latin1');
        asked.filters.push(filter);
        const [, dns = []] = Object.entries(found).find(([user]) => filter.endsWith(user)) ?? [];
        client.send(...dns.map((dn) => entry(one.id, dn)), result(one.id, DONE));
      }
    }
  });
  const all = optionsFor([server.address], {
    bind: { method: 'simple', dn: SERVICE, password: async () => 'service' },
    ...options,
  });
  const given = { ...defaultLogins, ...logins };
  const authenticator = new Authenticator(all, given, new LdapServers(all), () => clock.nowMs);
  return {
    asked,
    clock,
    login: (user: string, password: string) => authenticator.authenticate(user, password, new AbortController().signal),
  };
}

const ANNA = 'uid=anna,dc=example';
const anna: People = { found: { anna: [ANNA], ANNA: [ANNA] }, passwords: { [ANNA]: 'right' } };

describe('a login', () => {
  it('with the right password is accepted as the entry', async () => {
    const { login, asked } = await directory(anna);
    expect(await login('anna', 'right')).toEqual({ result: 'accepted', dn: ANNA });
    expect(asked.binds).toEqual([ANNA]);
  });

  it('with a wrong password is refused, and so is that of a user who does not exist: both ask the server', async () => {
    const { login, asked } = await directory(anna);
    const wrong = { result: 'refused', why: 'wrong' };
    expect(await login('anna', 'wrong')).toEqual(wrong);
    expect(await login('nobody', 'wrong')).toEqual(wrong);
    expect(asked.binds).toEqual([ANNA, expect.stringMatching(/^cn=[0-9a-f]{24},dc=example$/)]);
  });

  it.each([
    ['', 'right'],
    ['  ', 'right'],
    ['anna', ''],
  ])('of %j with %j is refused without a question', async (user, password) => {
    const { login, asked } = await directory(anna);
    expect(await login(user, password)).toEqual({ result: 'refused', why: 'empty' });
    expect(server.clients).toEqual([]);
    expect(asked).toEqual({ binds: [], filters: [] });
  });

  it('with far too much is refused without a question', async () => {
    const { login } = await directory(anna);
    expect(await login('a'.repeat(257), 'x')).toEqual({ result: 'refused', why: 'too-long' });
    expect(await login('anna', 'x'.repeat(1_025))).toEqual({ result: 'refused', why: 'too-long' });
    expect(server.clients).toEqual([]);
  });

  it('whose name means several entries is refused', async () => {
    const other = 'uid=anna,ou=b,dc=example';
    const { login, asked } = await directory({
      found: { anna: [ANNA, other] },
      passwords: { [ANNA]: 'p', [other]: 'p' },
    });
    expect(await login('anna', 'p')).toEqual({ result: 'refused', why: 'wrong' });
    expect(asked.binds).not.toContain(ANNA);
  });

  it('by a name that is a filter finds nobody else', async () => {
    const { login, asked } = await directory(anna);
    await login('*)(uid=anna', 'right');
    // equalityMatch with the octets as they are.
    expect(asked.filters[0]).toContain('\xa3\x12\x04\x03uid\x04\x0b*)(uid=anna');
  });

  it('goes by the attributes in their order', async () => {
    const { login, asked } = await directory(anna, {}, { attributes: ['mail', 'uid'] });
    await login('nobody', 'x');
    expect(asked.filters.map((filter) => /mail|uid/.exec(filter)![0])).toEqual(['mail', 'uid']);
  });

  it('of somebody who is locked says so to the administrator', async () => {
    const { login } = await directory({ ...anna, codes: { [ANNA]: 19 } });
    expect(await login('anna', 'right')).toEqual({
      result: 'refused',
      why: 'not-allowed',
      code: 'constraintViolation',
    });
  });

  it('that the server is too busy for is an error, and no failure', async () => {
    const { login, asked } = await directory({ ...anna, codes: { [ANNA]: 51 } });
    for (let i = 0; i < 6; i++) {
      await expect(login('anna', 'right')).rejects.toMatchObject({ code: 'directory-failed', retry: 'later' });
    }
    expect(asked.binds).toHaveLength(6);
  });

  it('is never sent in the clear to another machine', async () => {
    const { asked } = await directory(anna);
    const { port } = server.address;
    // A name that is not known as loopback, although it leads there.
    const options = optionsFor([{ host: '127.0.0.1.nip.invalid', port, tls: 'none' }]);
    const servers = new LdapServers(options);
    servers.open = () => new LdapServers(optionsFor([server.address])).open(signal);
    servers.connect = async () => ({ session: await servers.open(signal), isPrivate: false });
    const authenticator = new Authenticator(options, defaultLogins, servers);
    await expect(authenticator.authenticate('anna', 'right', signal)).rejects.toMatchObject({ code: 'config-invalid' });
    expect(asked.binds).toEqual([]);
  });
});

describe('failures', () => {
  const wrong = { result: 'refused', why: 'wrong' };

  it('beyond the limit do not reach the server, until the window has passed', async () => {
    const { login, asked, clock } = await directory(anna);
    for (let i = 0; i < 4; i++) {
      expect(await login('anna', 'wrong')).toEqual(wrong);
      clock.nowMs += 60_000;
    }
    const tooMany = { result: 'refused', why: 'too-many', retryAfterMs: 26 * 60_000 };
    // However the name is spelled, and whatever the password is.
    expect(await login('anna', 'right')).toEqual(tooMany);
    expect(await login('ANNA', 'wrong')).toEqual(tooMany);
    expect(asked.binds).toHaveLength(4);
    clock.nowMs += 26 * 60_000 - 1;
    expect(await login('anna', 'right')).toMatchObject({ why: 'too-many', retryAfterMs: 1 });
    clock.nowMs += 1;
    expect(await login('anna', 'right')).toEqual({ result: 'accepted', dn: ANNA });
  });

  it('are forgotten with a success', async () => {
    const { login, asked } = await directory(anna);
    for (let i = 0; i < 3; i++) await login('anna', 'wrong');
    expect(await login('anna', 'right')).toMatchObject({ result: 'accepted' });
    for (let i = 0; i < 4; i++) expect(await login('anna', 'wrong')).toEqual(wrong);
    expect(asked.binds).toHaveLength(8);
  });

  it('of users who do not exist are limited in the same way', async () => {
    const { login } = await directory(anna);
    for (let i = 0; i < 4; i++) expect(await login('Nobody ', 'wrong')).toEqual(wrong);
    expect(await login('nobody', 'wrong')).toMatchObject({ why: 'too-many' });
    expect(await login('somebody', 'wrong')).toEqual(wrong);
  });

  it('that come all at once are no way around', async () => {
    const { login, asked } = await directory(anna);
    const all = await Promise.all(Array.from({ length: 20 }, () => login('anna', 'wrong')));
    expect(all.filter((one) => one.result === 'refused' && one.why === 'wrong')).toHaveLength(4);
    expect(asked.binds).toHaveLength(4);
  });

  it('are remembered in bounded memory, and strangers do not make those of users forgotten', async () => {
    await directory();
    let nowMs = 0;
    const failures = new LoginFailures({ failures: 2, windowMs: 1_000 }, () => nowMs);
    const attempt = () => failures.begin('uid=anna', 'anna').retryAfterMs;
    attempt();
    attempt();
    for (let i = 0; i < 50_000; i++) failures.begin(null, `stranger ${i}`);
    expect(attempt()).toBe(1_000);
    for (let i = 0; i < 9_999; i++) failures.begin(`uid=${i}`, `${i}`);
    expect(attempt()).toBe(1_000);
    expect(failures.size).toBe(12_000);
    nowMs = 1_000;
    failures.begin('uid=one', 'one');
    failures.begin(null, 'two');
    expect(failures.size).toBe(2);
  });
});
