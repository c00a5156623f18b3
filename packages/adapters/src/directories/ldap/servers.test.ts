import { afterEach, describe, expect, it } from 'vitest';
import type { LdapBind, LdapServer } from './options.ts';
import { BIND, optionsFor, result, ScriptedServer } from './scripted-server.ts';
import { LdapServers, orderBySrv } from './servers.ts';
import type { SrvRecord } from './srv-records.ts';

const started: ScriptedServer[] = [];
afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
});

/** Answers binds with that code. */
async function serverWith(code = 0): Promise<ScriptedServer> {
  const server = await ScriptedServer.start(async (client) => {
    for (let one = await client.next(); one !== null; one = await client.next()) {
      if (one.tag === 0x60) client.send(result(one.id, BIND, { code, message: 'because' }));
    }
  });
  started.push(server);
  return server;
}

/** Nothing listens there any more. */
async function gone(): Promise<LdapServer> {
  const server = await serverWith();
  const { address } = server;
  await server.stop();
  started.pop();
  return address;
}

const simple: LdapBind = { method: 'simple', dn: 'cn=a', password: async () => 'p' };
const signal = new AbortController().signal;

async function reached(servers: LdapServers): Promise<string> {
  const session = await servers.open(signal);
  session.close();
  return session.server;
}

const shown = ({ host, port }: LdapServer) => `${host}:${port}`;

describe('several servers', () => {
  it('the first that answers is taken, and one that did not is asked last for a minute', async () => {
    const second = (await serverWith()).address;
    const first = await gone();
    const clock = { nowMs: 1_000_000 };
    const servers = new LdapServers(optionsFor([first, second], { bind: simple }), {
      now: () => clock.nowMs,
      random: Math.random,
      resolveSrv: () => Promise.reject(new Error('none')),
    });
    expect(await reached(servers)).toBe(shown(second));
    clock.nowMs += 59_999;
    expect(await reached(servers)).toBe(shown(second));
  });

  it('the first is returned to after a minute', async () => {
    const [first, second] = [(await serverWith()).address, (await serverWith()).address];
    let isDown = true;
    const clock = { nowMs: 1_000_000 };
    const servers = new LdapServers(optionsFor([first, second]), {
      now: () => clock.nowMs,
      random: Math.random,
      resolveSrv: () => Promise.reject(new Error('none')),
    });
    const openOne = servers.openOne.bind(servers);
    const asked: number[] = [];
    servers.openOne = async (server, given) => {
      asked.push(server.port);
      return openOne(isDown && server === first ? await gone() : server, given);
    };
    expect(await reached(servers)).toBe(shown(second));
    isDown = false;
    clock.nowMs += 59_999;
    expect(await reached(servers)).toBe(shown(second));
    clock.nowMs += 1;
    expect(await reached(servers)).toBe(shown(first));
    expect(asked).toEqual([first.port, second.port, second.port, first.port]);
    // A clock that goes back keeps nobody away for longer.
    isDown = true;
    await reached(servers);
    isDown = false;
    clock.nowMs -= 3_600_000;
    expect(await reached(servers)).toBe(shown(first));
  });

  it('none that answers is told with all reasons', async () => {
    const [one, two] = [await gone(), await gone()];
    const error: Error = await new LdapServers(optionsFor([one, two])).open(signal).then(
      () => Promise.reject(new Error('opened')),
      (reason: Error) => reason,
    );
    expect(error.message).toContain(shown(one));
    expect(error.message).toContain(shown(two));
    expect(error).toMatchObject({ code: 'directory-failed', retry: 'later' });
  });

  it('one that refuses the login is not passed over: others would count the same wrong password', async () => {
    const [refusing, other] = [await serverWith(49), await serverWith()];
    const servers = new LdapServers(optionsFor([refusing.address, other.address], { bind: simple }));
    await expect(servers.open(signal)).rejects.toMatchObject({
      retry: 'operator',
      message: `${shown(refusing.address)} does not let cn=a in: invalidCredentials (49): because.`,
    });
    expect(other.clients).toEqual([]);
  });

  it('one that is busy is passed over', async () => {
    const [busy, other] = [await serverWith(51), await serverWith()];
    const servers = new LdapServers(optionsFor([busy.address, other.address], { bind: simple }));
    expect(await reached(servers)).toBe(shown(other.address));
  });

  it('an abort is no failure of a server', async () => {
    const abort = new AbortController();
    abort.abort();
    const servers = new LdapServers(optionsFor([(await serverWith()).address]));
    await expect(servers.open(abort.signal)).rejects.toMatchObject({ code: 'interrupted' });
  });

  it('an empty password is sent to nobody', async () => {
    const server = await serverWith();
    const servers = new LdapServers(optionsFor([server.address], { bind: { ...simple, password: async () => '' } }));
    await expect(servers.open(signal)).rejects.toMatchObject({
      code: 'config-invalid',
      message: 'The password of cn=a is empty.',
    });
  });
});

describe('DNS SRV', () => {
  const record = (name: string, priority: number, weight: number): SrvRecord => ({ name, port: 389, priority, weight });

  it('the lowest priority comes first, whatever the weights', () => {
    const records = [record('b', 2, 100), record('c', 3, 100), record('a', 1, 0)];
    expect(orderBySrv(records, () => 0.99).map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  });

  it('within a priority each is first as often as its weight says', () => {
    const records = [record('a', 1, 10), record('b', 1, 30), record('c', 1, 60)];
    const first: Record<string, number> = { a: 0, b: 0, c: 0 };
    const STEPS = 1_010;
    for (let i = 0; i < STEPS; i++) {
      const [{ name }] = orderBySrv(records, () => (i + 0.5) / STEPS) as [SrvRecord];
      first[name]!++;
    }
    // RFC 2782: a number from 0 to the sum, both included.
    expect(first['a']! / STEPS).toBeCloseTo(11 / 101, 2);
    expect(first['b']! / STEPS).toBeCloseTo(30 / 101, 2);
    expect(first['c']! / STEPS).toBeCloseTo(60 / 101, 2);
  });

  it('weight 0 has a small chance beside others, and all of them come', () => {
    const records = [record('heavy', 1, 100), record('light', 1, 0)];
    expect(orderBySrv(records, () => 0).map(({ name }) => name)).toEqual(['light', 'heavy']);
    expect(orderBySrv(records, () => 0.5).map(({ name }) => name)).toEqual(['heavy', 'light']);
    const zero = [record('a', 1, 0), record('b', 1, 0)];
    expect(orderBySrv(zero, () => 0.999)).toHaveLength(2);
  });

  function bySrv(records: SrvRecord[] | Error, tls: LdapServer['tls'] = 'none') {
    const asked: string[] = [];
    const servers = new LdapServers(optionsFor([], { servers: { domain: 'example.org', tls } }), {
      now: () => 0,
      random: () => 0,
      resolveSrv: async (name) => {
        asked.push(name);
        if (records instanceof Error) throw records;
        return records;
      },
    });
    return { servers, asked };
  }

  it('leads to the server that it names', async () => {
    const { host, port } = (await serverWith()).address;
    const { servers, asked } = bySrv([{ name: host, port, priority: 1, weight: 1 }]);
    expect(await reached(servers)).toBe(`${host}:${port}`);
    expect(asked).toEqual(['_ldap._tcp.example.org']);
  });

  it('that does not answer, or says that there is none, is told', async () => {
    await expect(bySrv(new Error('SERVFAIL')).servers.open(signal)).rejects.toMatchObject({
      retry: 'later',
      message: 'DNS names no LDAP server for example.org (_ldap._tcp.example.org): SERVFAIL.',
    });
    const absent = Object.assign(new Error('querySrv ENOTFOUND _ldap._tcp.example.org'), { code: 'ENOTFOUND' });
    await expect(bySrv(absent).servers.open(signal)).rejects.toMatchObject({
      message: 'DNS names no LDAP server for example.org (_ldap._tcp.example.org): there is no such name.',
    });
    const { servers, asked } = bySrv([record('', 0, 0)], 'ldaps');
    await expect(servers.open(signal)).rejects.toMatchObject({ retry: 'operator' });
    expect(asked).toEqual(['_ldaps._tcp.example.org']);
  });
});
