import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultLimits } from '@dirpost/core';
import {
  createSealer,
  fingerprint,
  generateKeys,
  type PrivateKeys,
  publicKeys,
  requestSigner,
  rolledStatement,
} from '@dirpost/message';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Peers } from '../peers.ts';
import { admission, judgeFor } from './admission.ts';
import { Invitations } from './invitations.ts';
import type { Joining } from './joining.ts';

let data: string;
let joining: {
  peers: Peers;
  invitations: Invitations;
  applicants: Joining['applicants'];
};
let [hq, oslo, eve]: PrivateKeys[] = [];

beforeEach(async () => {
  data = mkdtempSync(join(tmpdir(), 'dirpost-admission-'));
  [hq, oslo, eve] = await Promise.all([generateKeys(), generateKeys(), generateKeys()]);
  joining = { peers: await Peers.load(data), invitations: await Invitations.load(data), applicants: new Map() };
  await know();
});
afterEach(() => rmSync(data, { recursive: true, force: true }));

async function know(suspended = false): Promise<void> {
  const keys = await publicKeys(oslo!);
  await joining.peers.save({
    name: 'oslo',
    role: 'requestor',
    signing: [keys.signing],
    recipients: [keys.recipient],
    fingerprint: fingerprint(keys),
    madeAtMs: 0,
    ...(suspended ? { suspended } : {}),
  });
}

/** A message file to hq, of whoever it says. */
async function fileOf(
  from: string,
  keys: PrivateKeys,
  enrolling: string | null = null,
  to = 'hq',
  statements: Uint8Array[] = [],
): Promise<Uint8Array> {
  const { recipient } = await publicKeys(hq!);
  const sealer = createSealer({
    name: from,
    keys,
    peers: () => undefined,
    enrolling: () => enrolling,
    statementsFor: () => statements,
    limits: defaultLimits,
  });
  const envelope = { id: '0'.repeat(32), from, to, forIncarnation: null, createdMs: 0 };
  return sealer.seal(envelope, Buffer.alloc(10_000), [recipient]);
}

const verdict = (file: Uint8Array, refused?: (name: string, why: string) => void) => {
  const gate = admission(joining, defaultLimits, refused);
  return [gate.admit(file.subarray(0, 5_000)), gate.authenticate(file)];
};

describe('a transport that listens takes', () => {
  it('what a known requestor signed', async () => {
    expect(verdict(await fileOf('oslo', oslo!))).toEqual([{ from: 'oslo' }, true]);
  });

  it('no more than the header of what somebody else signed in its name', async () => {
    expect(verdict(await fileOf('oslo', eve!))).toEqual([{ from: 'oslo' }, false]);
    const altered = await fileOf('oslo', oslo!);
    altered[5_000]! ^= 1;
    expect(verdict(altered)).toEqual([{ from: 'oslo' }, false]);
  });

  it('nothing of a stranger or of one who is suspended, and says whom it refused', async () => {
    const refused: string[] = [];
    expect(verdict(await fileOf('eve', eve!), (name, why) => refused.push(`${name}: ${why}`))).toEqual([null, false]);
    await know(true);
    expect(verdict(await fileOf('oslo', oslo!), (name, why) => refused.push(`${name}: ${why}`))).toEqual([null, false]);
    expect(refused).toEqual(['eve: The sender eve is not known here.', 'oslo: oslo is suspended here.']);
  });

  it('nothing that is no message file', () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('GET / HTTP/1.1\r\n'), Buffer.alloc(6_000, 0x41)]) {
      expect(verdict(bytes)).toEqual([null, false]);
    }
  });

  it('nothing with statements of keys that are malformed, or lead from no key that is known', async () => {
    const statement = rolledStatement({ serial: 1, name: 'oslo', signing: (await publicKeys(eve!)).signing }, oslo!);
    const file = (statements: Uint8Array[]) => fileOf('oslo', eve!, null, 'hq', statements);
    expect(verdict(await file([statement]))).toEqual([{ from: 'oslo' }, true]);
    expect(verdict(await file([Buffer.alloc(70, 0xc0)]))).toEqual([null, false]);
    expect(verdict(await file([]))).toEqual([{ from: 'oslo' }, false]);
    const byEve = rolledStatement({ serial: 1, name: 'oslo', signing: (await publicKeys(eve!)).signing }, eve!);
    expect(verdict(await file([byEve]))).toEqual([{ from: 'oslo' }, false]);
  });

  it('an enrolment by an invitation that was given to that name, until it is void', async () => {
    const { given } = await joining.invitations.make({ name: 'lima', publish: {}, nowMs: 0, validMs: 1 });
    expect(verdict(await fileOf('lima', eve!, given.id))).toEqual([{ from: 'lima' }, true]);
    expect(verdict(await fileOf('eve', eve!, given.id))).toEqual([null, false]);
    expect(verdict(await fileOf('lima', eve!, 'f'.repeat(32)))).toEqual([null, false]);
    for (let i = 0; i < 10; i++) await joining.invitations.countWrongProof(joining.invitations.get('lima')!);
    expect(verdict(await fileOf('lima', eve!, given.id))).toEqual([null, false]);
  });
});

describe('of what lies in a mailbox, is taken', () => {
  const judged = (file: Uint8Array, server: string | null = null, own = 'hq') =>
    judgeFor({ own, server }, joining, defaultLimits)(file);
  const refused = (why: RegExp) => ({ take: false, why: expect.stringMatching(why) });

  it('what a known requestor signed for this postoffice', async () => {
    expect(judged(await fileOf('oslo', oslo!))).toEqual({ take: true });
  });

  it('nothing that is for another, who may share the mailbox', async () => {
    expect(judged(await fileOf('oslo', oslo!, null, 'lima'))).toEqual({
      take: false,
      why: 'it is for lima; this is hq',
      isForAnother: true,
    });
  });

  it('nothing of strangers, of suspended ones, or signed by somebody else', async () => {
    expect(judged(await fileOf('eve', eve!))).toEqual(refused(/eve is not known here/));
    expect(judged(await fileOf('oslo', eve!))).toEqual(refused(/a key that oslo has not announced/));
    const altered = await fileOf('oslo', oslo!);
    altered[5_000]! ^= 1;
    expect(judged(altered)).toEqual(refused(/the file was altered/));
    expect(judged(Buffer.alloc(6_000, 0x41))).toMatchObject({ take: false });
    await know(true);
    expect(judged(await fileOf('oslo', oslo!))).toEqual(refused(/oslo is suspended here/));
  });

  it('at a requestor only what its server sent', async () => {
    const file = await fileOf('oslo', oslo!, null, 'bergen');
    expect(judged(file, 'oslo', 'bergen')).toEqual({ take: true });
    expect(judged(file, 'hq', 'bergen')).toEqual(refused(/it is from oslo; bergen takes what hq sends/));
  });

  it('an enrolment by an invitation that was given', async () => {
    const { given } = await joining.invitations.make({ name: 'lima', publish: {}, nowMs: 0, validMs: 1 });
    expect(judged(await fileOf('lima', eve!, given.id))).toEqual({ take: true });
    expect(judged(await fileOf('eve', eve!, given.id))).toEqual(refused(/was not given here/));
  });
});

describe('a request', () => {
  const request = Buffer.from('collect 0001');

  it('is believed of a known requestor, and of nobody else', async () => {
    const gate = admission(joining, defaultLimits);
    const signature = requestSigner('oslo', oslo!).sign(request);
    expect(gate.check('oslo', request, signature)).toBe(true);
    expect(gate.check('oslo', Buffer.from('collect 0002'), signature)).toBe(false);
    expect(gate.check('lima', request, signature)).toBe(false);
    expect(gate.check('oslo', request, requestSigner('oslo', eve!).sign(request))).toBe(false);
    await know(true);
    expect(gate.check('oslo', request, signature)).toBe(false);
  });

  it('of one who was told that his invitation is over is believed only where nobody bears the name', async () => {
    const keys = { signing: [(await publicKeys(eve!)).signing], recipients: [] };
    joining.applicants.set('lima', keys);
    joining.applicants.set('oslo', keys);
    const gate = admission(joining, defaultLimits);
    const signature = requestSigner('lima', eve!).sign(request);
    expect(gate.check('lima', request, signature)).toBe(true);
    expect(gate.check('oslo', request, signature)).toBe(false);
  });

  it('never passes for a message file: the same octets are signed differently', async () => {
    const file = await fileOf('oslo', oslo!);
    const [signed, signature] = [file.subarray(0, -64), file.subarray(-64)];
    expect(admission(joining, defaultLimits).check('oslo', signed, signature)).toBe(false);
    const forged = Buffer.concat([signed, requestSigner('oslo', oslo!).sign(signed)]);
    expect(admission(joining, defaultLimits).authenticate(forged)).toBe(false);
  });
});

describe('files that commands change beside a running agent', () => {
  it('are seen without a restart', async () => {
    const { peers, invitations } = joining;
    const seen: (boolean | undefined)[] = [];
    peers.whenChanged((now) => seen.push(now.get('oslo')?.suspended));
    const other = { peers: await Peers.load(data), invitations: await Invitations.load(data) };
    await other.peers.save({ ...other.peers.get('oslo')!, suspended: true });
    await other.invitations.make({ name: 'lima', publish: {}, nowMs: 0, validMs: 1 });
    await peers.refresh();
    await invitations.refresh();
    expect(seen).toEqual([undefined, true]);
    expect(invitations.get('lima')?.name).toBe('lima');
    await other.peers.remove('oslo');
    await peers.refresh();
    expect(peers.get('oslo')).toBeUndefined();
  });
});
