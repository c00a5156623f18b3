/**
 * Which of several servers: in the configured order, or as DNS SRV says (RFC 2782: the lowest priority first, within one by
 * weight). One that did not answer is asked last for a minute, then first again: so the first is returned to by itself.
 */
import { isIPv4 } from 'node:net';
import { DirpostError, isDirpostError } from '@dirpost/core';
import { bind, isRefusedLogin } from './bind.ts';
import { connectTo, shownServer } from './connect.ts';
import type { LdapOptions, LdapServer } from './options.ts';
import type { Session } from './session.ts';
import { lookUpSrv, type SrvOptions, type SrvRecord } from './srv-records.ts';

const LEFT_ALONE_MS = 60_000;

export interface ServersDependencies {
  now(): number;
  /** 0 ≤ value < 1. */
  random(): number;
  resolveSrv(name: string, options: SrvOptions): Promise<SrvRecord[]>;
}

const system: ServersDependencies = { now: () => Date.now(), random: Math.random, resolveSrv: lookUpSrv };

/** By the code of Node's resolver. */
const dnsWords: Record<string, string> = {
  ENOTFOUND: 'there is no such name',
  ENODATA: 'that name has no SRV record',
  ESERVFAIL: 'the DNS server failed',
  EREFUSED: 'the DNS server refused to answer',
  ECONNREFUSED: 'no DNS server answers',
  ETIMEOUT: 'no DNS server answers',
};

export class LdapServers {
  readonly #options: LdapOptions;
  readonly #system: ServersDependencies;
  /** Server as shown → when it last did not answer, ms since 1970. */
  readonly #failed = new Map<string, number>();
  readonly #serverOf = new WeakMap<Session, LdapServer>();

  constructor(options: LdapOptions, dependencies: ServersDependencies = system) {
    this.#options = options;
    this.#system = dependencies;
  }

  /**
   * A bound session with the first that answers; the caller closes it. Throws DirpostError `directory-failed` which tells of
   * each server why not. A server that answers and refuses the login is not passed over: that is for an administrator.
   */
  async open(signal: AbortSignal): Promise<Session> {
    return this.#first(signal, (server) => this.openOne(server, signal));
  }

  /**
   * Another with the very server of a bound one: what was looked up or made over that one may not be on others yet. Throws
   * as open.
   */
  async openBeside(session: Session, signal: AbortSignal): Promise<Session> {
    return this.openOne(this.#serverOf.get(session)!, signal);
  }

  /** As open, but not bound, and whether a password may be sent over it. */
  async connect(signal: AbortSignal): Promise<{ session: Session; isPrivate: boolean }> {
    return this.#first(signal, async (server) => {
      const session = await connectTo(server, this.#options, signal);
      return { session, isPrivate: isPrivateTo(server) };
    });
  }

  async #first<T>(signal: AbortSignal, open: (server: LdapServer) => Promise<T>): Promise<T> {
    const failures: DirpostError[] = [];
    for (const server of await this.#inOrder(signal)) {
      if (signal.aborted)
        throw new DirpostError('interrupted', 'Interrupted.', { retry: 'later', cause: signal.reason });
      try {
        const opened = await open(server);
        this.#failed.delete(shownServer(server));
        return opened;
      } catch (error) {
        if (!isDirpostError(error, 'directory-failed') || signal.aborted || isRefusedLogin(error)) throw error;
        failures.push(error);
        this.#failed.set(shownServer(server), this.#system.now());
      }
    }
    throw summary(this.#options.name, failures);
  }

  /**
   * Why the other configured ones could not take the place of a bound one; for `dirpost check`, since nobody notices else before
   * that day. Of those that DNS names none is tried.
   */
  async unusable(session: Session, signal: AbortSignal): Promise<DirpostError[]> {
    const { servers } = this.#options;
    if (!Array.isArray(servers)) return [];
    const others = servers.filter((server) => server !== this.#serverOf.get(session));
    const tried = others.map(async (server) => {
      try {
        (await this.openOne(server, signal)).close();
        return [];
      } catch (error) {
        if (!isDirpostError(error) || signal.aborted) throw error;
        return [error];
      }
    });
    return (await Promise.all(tried)).flat();
  }

  async openOne(server: LdapServer, signal: AbortSignal): Promise<Session> {
    const session = await connectTo(server, this.#options, signal);
    try {
      this.#serverOf.set(session, server);
      await bind(session, this.#options.bind, { host: server.host, isPrivate: isPrivateTo(server), signal });
      return session;
    } catch (error) {
      session.close();
      throw error;
    }
  }

  async #inOrder(signal: AbortSignal): Promise<LdapServer[]> {
    const { servers } = this.#options;
    const all = Array.isArray(servers) ? servers : await this.#bySrv(servers.domain, servers.tls, signal);
    const nowMs = this.#system.now();
    const isLeftAlone = (server: LdapServer) => {
      const sinceMs = nowMs - (this.#failed.get(shownServer(server)) ?? -Infinity);
      // Below 0 the clock went back meanwhile.
      return sinceMs >= 0 && sinceMs < LEFT_ALONE_MS;
    };
    return [...all.filter((server) => !isLeftAlone(server)), ...all.filter(isLeftAlone)];
  }

  async #bySrv(domain: string, tls: LdapServer['tls'], signal: AbortSignal): Promise<LdapServer[]> {
    const name = `${tls === 'ldaps' ? '_ldaps' : '_ldap'}._tcp.${domain}`;
    let records: SrvRecord[];
    try {
      records = await this.#system.resolveSrv(name, { timeoutMs: this.#options.times.connectMs, signal });
    } catch (cause) {
      if (isDirpostError(cause, 'interrupted')) throw cause;
      const said = cause instanceof Error ? cause.message : String(cause);
      const why = dnsWords[(cause as NodeJS.ErrnoException).code ?? ''] ?? said;
      throw new DirpostError('directory-failed', `DNS names no LDAP server for ${domain} (${name}): ${why}.`, {
        retry: 'later',
        hint: 'Look at DNS on this machine, or name the servers in the configuration.',
        cause,
      });
    }
    // RFC 2782: the name `.` says that there is no such service.
    const named = records.filter(({ name: host }) => host !== '' && host !== '.');
    if (named.length === 0) {
      throw new DirpostError('directory-failed', `DNS says that ${domain} has no LDAP server (${name}).`, {
        retry: 'operator',
        hint: 'Look at the domain, or name the servers in the configuration.',
      });
    }
    return orderBySrv(named, this.#system.random).map(({ name: host, port }) => ({ host, port, tls }));
  }
}

/** RFC 2782, "Usage rules": within a priority each is drawn with a chance that is its weight's part of the sum. */
export function orderBySrv(records: SrvRecord[], random: () => number): SrvRecord[] {
  const ordered: SrvRecord[] = [];
  const priorities = [...new Set(records.map(({ priority }) => priority))].sort((a, b) => a - b);
  for (const priority of priorities) {
    // Those of weight 0 first, so that they too have a small chance.
    const left = records.filter((one) => one.priority === priority).sort((a, b) => a.weight - b.weight);
    while (left.length > 0) {
      const sum = left.reduce((total, { weight }) => total + weight, 0);
      let drawn = Math.floor(random() * (sum + 1));
      const at = left.findIndex(({ weight }) => (drawn -= weight) <= 0);
      ordered.push(...left.splice(Math.max(at, 0), 1));
    }
  }
  return ordered;
}

function summary(directory: string, failures: DirpostError[]): DirpostError {
  const [first] = failures;
  if (failures.length === 1) return first!;
  const message = `No server of ${directory} answers: ${failures.map((one) => one.message).join(' ')}`;
  // If an administrator can mend one of them, he is to know.
  const telling = failures.find(({ retry }) => retry === 'operator') ?? first;
  return new DirpostError('directory-failed', message, {
    retry: failures.every(({ retry }) => retry === 'operator') ? 'operator' : 'later',
    ...(telling?.hint !== undefined && { hint: telling.hint }),
    cause: telling,
  });
}

/** TLS, ldapi or loopback. */
function isPrivateTo({ tls, host }: LdapServer): boolean {
  return tls !== 'none' || isLoopback(host);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}
