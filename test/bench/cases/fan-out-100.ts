/**
 * What one requestor costs the server: 100 requestors over HTTP follow a list of 100,000 entries of which 1,000 changed;
 * each sends an exchange, takes the update, and verifies it.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { openSqliteStore } from '@dirpost/adapters';
import { createCookieJar, listDigestFor, loadList } from '@dirpost/core';
import { generateKeys, parsePrivateKeys, publicKeys } from '@dirpost/message';
import { addPeer, exportPeer, parsePeer } from 'dirpost';
import { AgentProcess } from '../agent-process.ts';
import { organisation, seeded, telephone, toLdif } from '../organisation.ts';
import type { BenchCase, Figure } from '../run.ts';
import { Relay } from '../relay.ts';
import { ThinRequestor } from '../thin-requestor.ts';

const REQUESTORS = 100;
const ENTRIES = 100_000;
const CHANGES = 1_000;
/** slapd serving the same 1,000 changes by syncrepl refreshOnly, measured once (design figures). */
const PEER_CPU_MS = 21;
const PEER_KB = 473;

const bench: BenchCase = {
  name: 'fan-out-100',
  describe: `${REQUESTORS} requestors over HTTP, each exchange, update of ${CHANGES.toLocaleString('en')} changes, verification; ${ENTRIES.toLocaleString('en')} entries`,
  async run(): Promise<Figure[]> {
    const server = new AgentProcess();
    const relay = new Relay();
    try {
      writePeople(server.folder, 0);
      server.init();
      server.command('sync');
      const join100 = await makeRequestors(server);
      await server.start();
      await relay.listen(server.url);
      const requestors = await join100(relay.url);
      for (const one of requestors) await one.cycle();
      writePeople(server.folder, CHANGES);
      server.command('sync');
      return await measure(server, relay, requestors);
    } finally {
      await relay.close();
      await server.close();
    }
  },
};
export default bench;

async function measure(server: AgentProcess, relay: Relay, requestors: ThinRequestor[]): Promise<Figure[]> {
  for (const one of requestors) one.octets = 0;
  const [cpu, wire, started] = [server.cpuSeconds(), relay.bytes, performance.now()];
  await inTurns(requestors, 8, (one) => one.cycle());
  const seconds = (performance.now() - started) / 1000;
  const cpuMs = ((server.cpuSeconds() - cpu) / REQUESTORS) * 1000;
  const kilobytes = (relay.bytes - wire) / REQUESTORS / 1000;
  const sealed = requestors.reduce((sum, { octets }) => sum + octets, 0) / REQUESTORS / 1000;
  const wrong = requestors.filter(({ changes }) => changes !== CHANGES).length;
  if (wrong > 0) throw new Error(`${wrong} requestors did not get ${CHANGES} changes.`);
  const peer = 'slapd, measured earlier';
  return [
    {
      what: 'CPU of the server per requestor',
      value: cpuMs,
      unit: 'ms',
      peer,
      peerValue: PEER_CPU_MS,
      goal: { of: 'value', atMost: 10 },
    },
    {
      what: 'on the wire per requestor, HTTP included',
      value: kilobytes,
      unit: 'kB',
      peer,
      peerValue: PEER_KB,
      goal: { of: 'value', atMost: 10 },
    },
    { what: 'message files per requestor', value: sealed, unit: 'kB' },
    { what: 'all requestors, eight at a time', value: seconds, unit: 's' },
  ];
}

/** people.ldif of hq; the telephone numbers of the first `changed` people are others. */
function writePeople(folder: string, changed: number): void {
  const random = seeded(11);
  const file = openSync(join(folder, 'people.ldif'), 'w');
  writeSync(file, 'version: 1\n\n');
  let left = changed;
  for (const person of organisation(ENTRIES, 1)) {
    if (left-- > 0)
      for (const pair of person.attributes) if (pair[0] === 'telephoneNumber') pair[1] = telephone(random, '22');
    writeSync(file, toLdif(person));
  }
  closeSync(file);
}

/** Their keys are known to the server before it starts; the requestors themselves are made when it listens. */
async function makeRequestors(server: AgentProcess): Promise<(url: string) => Promise<ThinRequestor[]>> {
  const names = Array.from({ length: REQUESTORS }, (_, i) => `branch-${String(i + 1).padStart(3, '0')}`);
  const keys = await Promise.all(names.map(() => generateKeys()));
  for (const [i, name] of names.entries()) {
    const text = await exportPeer({ postoffice: name, role: 'requestor' }, keys[i]!, Date.now());
    await addPeer(server.folder, parsePeer(text, name), { own: 'hq' });
  }
  const own = parsePrivateKeys(readFileSync(join(server.folder, 'keys.json'), 'utf8'));
  const { signing, recipient } = await publicKeys(own);
  const cookies = createCookieJar(createHash('sha256').update('dirpost cookie secret').update(own.signing).digest());
  const digest = await listDigest(server.folder, names[0]!);
  return async (url) =>
    names.map(
      (name, i) =>
        new ThinRequestor({
          name,
          keys: keys[i]!,
          server: { name: 'hq', url, keys: { signing: [signing], recipients: [recipient] } },
          digest,
          cookies,
        }),
    );
}

async function listDigest(folder: string, requestor: string): Promise<string> {
  const store = await openSqliteStore({ path: join(folder, 'store.db'), readOnly: true });
  try {
    return await store.read(async (tx) => listDigestFor(tx, await loadList(tx, 'all'), requestor));
  } finally {
    await store.close();
  }
}

async function inTurns<T>(items: T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values();
  const worker = async (): Promise<void> => {
    for (const item of waiting) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
