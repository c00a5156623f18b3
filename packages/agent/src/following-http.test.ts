import { DirpostError, type MessageFile } from '@dirpost/core';
import type { HttpClientTransport } from '@dirpost/adapters';
import { describe, expect, it } from 'vitest';
import { FollowingHttp, isElsewhere, type Moved } from './following-http.ts';

const OLD = 'https://old.example.org';
const NEW = 'https://new.example.org';
const file: MessageFile = { id: '0'.repeat(32), from: 'oslo', to: 'hq', bytes: Buffer.from('x') };

/** Addresses that answer now; what was asked, in order. The lines themselves are tested in test/network/move.test.ts. */
function office(answering: Set<string>, moved: () => Moved | undefined) {
  const asked: string[] = [];
  const ask = (url: string): void => {
    asked.push(url);
    if (!answering.has(url)) throw new DirpostError('transport-failed', `${url} does not answer`, { retry: 'later' });
  };
  const works: number[] = [];
  const looks: number[] = [];
  const http = new FollowingHttp({
    url: OLD,
    moved,
    open: (url, certificate) =>
      ({
        maxMessageBytes: 1_000,
        deliver: async () => ask(certificate === undefined ? url : `${url} ${certificate}`),
        collect: async () => (ask(certificate === undefined ? url : `${url} ${certificate}`), 1),
        close: async () => {},
      }) as unknown as HttpClientTransport,
    onWorks: async () => void works.push(1),
    onLooks: async () => void looks.push(1),
  });
  const signal = new AbortController().signal;
  return {
    asked,
    works,
    looks,
    deliver: () => http.deliver(file, signal),
    collect: () => http.collect(async () => true, signal),
  };
}

describe('http to a server that moves', () => {
  it('goes to the configured address where nothing was announced', async () => {
    const { asked, deliver } = office(new Set([OLD]), () => undefined);
    await deliver();
    expect(asked).toEqual([OLD]);
  });

  it('goes on at the old address while nobody is at the new one, and asks there only now and then', async () => {
    const { asked, works, deliver, collect } = office(new Set([OLD]), () => ({ http: NEW }));
    await collect();
    await deliver();
    await collect();
    await collect();
    expect(asked).toEqual([NEW, OLD, OLD, OLD, OLD]);
    expect(works).toEqual([]);
  });

  it('takes the new address as soon as the old one is gone, and then that alone', async () => {
    const answering = new Set([OLD]);
    let moved: Moved = { http: NEW };
    const { asked, works, deliver, collect } = office(answering, () => moved);
    await collect();
    answering.delete(OLD);
    answering.add(NEW);
    await deliver();
    expect(works).toHaveLength(1);
    moved = { http: NEW, works: true, lookedMs: Date.now() };
    asked.length = 0;
    await deliver();
    await collect();
    expect(asked).toEqual([NEW, NEW]);
  });

  it('asks at the configured address, too: about daily, and whenever the new one fails', async () => {
    const answering = new Set([OLD, NEW]);
    let lookedMs = 0;
    const { asked, looks, deliver, collect } = office(answering, () => ({ http: NEW, works: true, lookedMs }));
    await collect();
    expect(asked).toEqual([NEW, OLD]);
    expect(looks).toHaveLength(1);
    lookedMs = Date.now();
    await collect();
    expect(asked).toEqual([NEW, OLD, NEW]);
    answering.delete(NEW);
    asked.length = 0;
    await deliver();
    await collect();
    expect(asked).toEqual([NEW, OLD, NEW, OLD]);
  });

  it('fails as one line where nobody answers anywhere', async () => {
    const { deliver, collect } = office(new Set(), () => ({ http: NEW }));
    await expect(deliver()).rejects.toMatchObject({ code: 'transport-failed' });
    await expect(collect()).rejects.toMatchObject({ code: 'transport-failed' });
  });

  it('goes back to where it was announced to be before, when it moves once more', async () => {
    const before = { http: 'https://second.example.org' };
    const { asked, deliver } = office(new Set([before.http]), () => ({ http: NEW, before }));
    await deliver();
    expect(asked).toEqual([NEW, before.http]);
  });

  it('takes another certificate at the same address, and what was configured since before all', () => {
    expect(isElsewhere({ http: OLD }, OLD)).toBe(false);
    expect(isElsewhere({ http: OLD, certificate: 'DER', insteadOf: OLD }, OLD)).toBe(true);
    expect(isElsewhere({ http: NEW, insteadOf: OLD }, OLD)).toBe(true);
    expect(isElsewhere({ http: NEW, insteadOf: OLD }, 'https://by-hand.example.org')).toBe(false);
  });
});
