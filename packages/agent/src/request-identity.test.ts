/** A requestor with rolled keys before a server that listens, and knows only those before: over real http, with real keys. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HttpClientTransport, HttpServerTransport } from '@dirpost/adapters';
import { defaultLimits } from '@dirpost/core';
import {
  createSealer,
  fingerprint,
  generateKeys,
  type PrivateKeys,
  publicKeys,
  rolledStatement,
} from '@dirpost/message';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { admission } from './joining/admission.ts';
import { Invitations } from './joining/invitations.ts';
import { Peers } from './peers.ts';
import { RequestIdentity } from './request-identity.ts';

const ID = '0123456789abcdef0123456789abcdef';
const { signal } = new AbortController();
let data: string;
let server: HttpServerTransport;
let client: HttpClientTransport;
let [hq, before, now]: PrivateKeys[] = [];
let statement: Uint8Array;

/** What the branch believes of its server. */
class Believes {
  isKnown = true;
  doubts = 0;

  async doubt(): Promise<boolean> {
    this.doubts++;
    const believed = this.isKnown;
    this.isKnown = false;
    return believed;
  }

  statementsFor(): Uint8Array[] {
    return this.isKnown ? [] : [statement];
  }
}
let believes: Believes;

beforeEach(async () => {
  data = mkdtempSync(join(tmpdir(), 'dirpost-identity-'));
  [hq, before, now] = await Promise.all([generateKeys(), generateKeys(), generateKeys()]);
  const { signing } = await publicKeys(now);
  statement = rolledStatement({ serial: 2, name: 'oslo', signing }, before);
  const peers = await Peers.load(data);
  const known = await publicKeys(before);
  const { recipient } = known;
  const peer = { name: 'oslo', role: 'requestor' as const, signing: [known.signing], recipients: [recipient] };
  await peers.save({ ...peer, fingerprint: fingerprint(known), madeAtMs: 0 });
  const gate = admission({ peers, invitations: await Invitations.load(data), applicants: new Map() }, defaultLimits);
  const listen = { host: '127.0.0.1', port: 0 };
  server = new HttpServerTransport({
    postoffice: 'hq',
    listen,
    folder: join(data, 'http'),
    checker: gate,
    admission: gate,
  });
  believes = new Believes();
});
afterEach(async () => {
  await client.close();
  await server.close();
  rmSync(data, { recursive: true, force: true });
});

async function identity(keys: PrivateKeys, joining: Believes | undefined): Promise<RequestIdentity> {
  const made = new RequestIdentity('oslo', 'hq', keys, joining);
  client = new HttpClientTransport({ url: (await server.listen()).url, signer: made.signer, server: 'hq' });
  return made;
}

const collect = () => client.collect(async () => true, signal);

it('is let in by a server that was restored from before, once it is refused, although its older keys are destroyed', async () => {
  const oslo = await identity(now!, believes);
  await expect(collect()).rejects.toMatchObject({ context: { status: 403 } });
  expect(await oslo.prove(collect)).toBe(0);
  expect(believes.doubts).toBe(1);
  // From then on it is not refused first.
  expect(await collect()).toBe(0);
});

it('sends message files that the same statements prove', async () => {
  const oslo = await identity(now!, believes);
  believes.isKnown = false;
  const { recipient } = await publicKeys(hq!);
  const sealer = createSealer({
    name: 'oslo',
    keys: now!,
    peers: () => ({ signing: [], recipients: [recipient] }),
    statementsFor: () => believes.statementsFor(),
    limits: defaultLimits,
  });
  const envelope = { id: ID, from: 'oslo', to: 'hq', forIncarnation: null, createdMs: 1 };
  const bytes = await sealer.seal(envelope, Buffer.from('payload'));
  const taken: Uint8Array[] = [];
  const over = new AbortController();
  const delivered = oslo.prove(() => client.deliver({ id: ID, from: 'oslo', to: 'hq', bytes }, signal));
  const collecting = (async () => {
    // Also where it is refused: then nothing comes.
    while (taken.length === 0 && !over.signal.aborted) {
      await server.collect(async (file) => taken.push(file) > 0, signal);
      await new Promise((soon) => setImmediate(soon));
    }
  })();
  await Promise.all([delivered.finally(() => over.abort()), collecting]);
  expect(Buffer.from(taken[0]!).equals(bytes)).toBe(true);
});

it('is refused with statements by other keys, or what are none', async () => {
  const other = rolledStatement({ serial: 2, name: 'oslo', signing: (await publicKeys(now!)).signing }, hq!);
  for (const wrong of [other, Buffer.from('nonsense')]) {
    believes = new Believes();
    believes.statementsFor = () => [wrong];
    await identity(now!, believes);
    await expect(collect()).rejects.toMatchObject({ context: { status: 403 } });
    await client.close();
  }
});

it('signs by the key before as long as that is there, where a server reads no statements', async () => {
  const untilMs = Date.now() + 3_600_000;
  const keys = { ...now!, older: { signing: before!.signing, identities: [], untilMs } };
  const oslo = await identity(keys, undefined);
  expect(await oslo.prove(collect)).toBe(0);
});
