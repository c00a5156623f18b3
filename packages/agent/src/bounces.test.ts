import { type Bounce, createMemoryStore, type MemoryStore } from '@dirpost/adapters';
import { DirpostError, type MessageFile, type Outgoing } from '@dirpost/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { adviceFor, failedWords, said } from './bounce-words.ts';
import { Bounces, loadBounces } from './bounces.ts';
import type { CycleEvent } from './events.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const retry = { exchangeAfterMs: HOUR, exchangeAtMostMs: 24 * HOUR, deliverAfterMs: MINUTE, deliverAtMostMs: HOUR };
const ID = '0123456789abcdef0123456789abcdef';

const unknownUser: Bounce = {
  isAuthentic: true,
  messageId: ID,
  peer: 'oslo',
  number: 12,
  recipient: 'dirpost@oslo.example.org',
  action: 'failed',
  status: '5.1.1',
  diagnostic: 'User unknown',
  isTooLarge: false,
};
const tooLarge: Bounce = { ...unknownUser, status: '5.3.4', diagnostic: 'Message too big', isTooLarge: true };

const part: Outgoing = {
  id: ID,
  to: 'oslo',
  kind: 'update',
  forIncarnation: null,
  incarnation: '0.0000000000000000',
  number: 12,
  part: 1,
  parts: 3,
  payload: Buffer.alloc(100),
  createdMs: 0,
  deliveredMs: 0,
  attempts: 1,
  nextAttemptMs: 0,
  lastError: null,
};

let store: MemoryStore;
let nowMs: number;
let told: CycleEvent[];
let address: string;
const open = (isServer = true) =>
  new Bounces({
    store,
    clock: { now: () => nowMs },
    retry,
    isServer,
    addressOf: (peer) => (peer === 'oslo' ? address : 'dirpost@example.org'),
    tell: (event) => told.push(event),
  });
const kept = async () => store.read(loadBounces);
const put = (message: Outgoing) => store.transaction((tx) => tx.putOutgoing(message));
const outgoing = () => store.read((tx) => tx.outgoing());

async function noted(bounces: Bounces, ...all: Bounce[]): Promise<void> {
  await Promise.all(all.map((bounce) => bounces.note(bounce)));
}

beforeEach(() => {
  store = createMemoryStore();
  nowMs = Date.UTC(2026, 0, 1);
  address = unknownUser.recipient!;
  told = [];
});
afterEach(() => store.close());

describe('a mail that came back', () => {
  it('is kept with what the other side said, and told once as an error', async () => {
    const bounces = open();
    await noted(bounces, unknownUser);
    const { recipient, status, diagnostic, isTooLarge } = unknownUser;
    const failed = [{ id: ID, kind: 'update', number: 12, atMs: nowMs, recipient, status, diagnostic, isTooLarge }];
    expect(await kept()).toEqual(new Map([['oslo', { failed, inARow: 1, inARowMs: nowMs, address }]]));
    expect(told).toMatchObject([{ level: 'error' }]);
    expect(told[0]!.text).toBe(
      'mail: update 12 to oslo came back: 5.1.1 for dirpost@oslo.example.org: User unknown. Is the mail address of oslo in the configuration the right one? Mend it: transports.mail.peers, or at the server: dirpost requestor mail',
    );
    await noted(bounces, { ...unknownUser, messageId: null, number: 13 });
    expect(told.map(({ level }) => level)).toEqual(['error', 'info']);
    await noted(bounces, tooLarge);
    expect(told.map(({ level }) => level)).toEqual(['error', 'info', 'error']);
  });

  it('acknowledges nothing: the outbox stays as it is', async () => {
    await put(part);
    await put({ ...part, id: ID.replace('0', 'f'), part: 2, deliveredMs: null });
    const before = await outgoing();
    await noted(open(), unknownUser);
    expect(await outgoing()).toEqual(before);
  });

  it('is one of the newest 20 of that peer; a message that comes back again counts once', async () => {
    const bounces = open();
    const all = Array.from({ length: 25 }, (_, i) => ({
      ...unknownUser,
      messageId: ID.slice(2) + String(10 + i),
      number: i,
    }));
    await noted(bounces, ...all, all.at(-1)!);
    const { failed, inARow } = (await kept()).get('oslo')!;
    expect(failed.map(({ number }) => number)).toEqual(Array.from({ length: 20 }, (_, i) => i + 5));
    expect(inARow).toBe(26);
  });

  it('is not known by its kind where a requestor sent it in one part', async () => {
    await noted(open(false), { ...unknownUser, peer: 'hq' }, { ...unknownUser, peer: 'lima', number: 0 });
    expect((await kept()).get('hq')!.failed[0]!.kind).toBeNull();
    expect((await kept()).get('lima')!.failed[0]!.kind).toBe('enrolment');
  });

  it('leaves no mark where anybody may have made it up', async () => {
    await put(part);
    const forged = { ...tooLarge, isAuthentic: false };
    await noted(open(), forged, { ...forged, peer: null, messageId: null }, { ...tooLarge, peer: null });
    expect(await kept()).toEqual(new Map());
    expect((await outgoing())[0]).toMatchObject({ deliveredMs: 0 });
    // The transport tells it, and which mail it was.
    expect(told).toEqual([]);
  });

  it('that is only delayed is a warning', async () => {
    await noted(open(), { ...unknownUser, action: 'delayed', status: '4.4.1' });
    expect(await kept()).toEqual(new Map());
    expect(told).toMatchObject([{ level: 'warning' }]);
  });

  it('because a part was too large has that part sent again, after a wait', async () => {
    await put(part);
    await noted(open(), tooLarge);
    expect(await outgoing()).toMatchObject([{ deliveredMs: null, nextAttemptMs: nowMs + MINUTE, number: 12 }]);
    expect((await kept()).get('oslo')).toMatchObject({ inARow: 0, failed: [{ kind: 'update', number: 12 }] });
  });

  it('is written down one after another, also when they come all at once and a store fails', async () => {
    const bounces = open();
    await noted(bounces, unknownUser, { ...unknownUser, peer: 'lima' });
    expect([...(await kept()).keys()]).toEqual(['lima', 'oslo']);
    await store.close();
    await noted(bounces, tooLarge);
    expect(told.at(-1)).toMatchObject({ level: 'error' });
    store = createMemoryStore();
  });
});

describe('an address that does not work', () => {
  it('is used after a wait that doubles, up to the longest; other transports and peers are not held up', async () => {
    const bounces = open();
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      await noted(bounces, unknownUser);
      waits.push(((await bounces.waitsUntilMs('oslo', 'mail'))! - nowMs) / MINUTE);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
    expect(await bounces.waitsUntilMs('oslo', 'http')).toBeNull();
    expect(await bounces.waitsUntilMs('lima', 'mail')).toBeNull();
    nowMs += HOUR;
    expect(await bounces.waitsUntilMs('oslo', 'mail')).toBeNull();
    await bounces.delivered('oslo', 'mail');
    expect(await bounces.waitsUntilMs('oslo', 'mail')).toBe(nowMs + HOUR);
    // A clock that went back does not make it wait longer.
    nowMs -= 30 * 24 * HOUR;
    expect(await bounces.waitsUntilMs('oslo', 'mail')).toBeNull();
  });

  it('is avoided, also after a restart, until something that went there by mail is acknowledged', async () => {
    await noted(open(), unknownUser);
    let bounces = open();
    expect(await bounces.avoids('oslo', 'mail')).toBe(true);
    expect(await bounces.avoids('oslo', 'folder')).toBe(false);
    // Update 13 went by another way.
    await bounces.delivered('oslo', 'folder', { kind: 'update', number: 13 });
    await bounces.acknowledged('oslo', 'update', 13);
    await bounces.delivered('lima', 'mail', { kind: 'update', number: 14 });
    await bounces.acknowledged('oslo', 'update', 14);
    expect(await bounces.avoids('oslo', 'mail')).toBe(true);
    await bounces.delivered('oslo', 'mail', { kind: 'update', number: 15 });
    bounces = open();
    expect(await bounces.avoids('oslo', 'mail')).toBe(true);
    await bounces.acknowledged('oslo', 'update', 15);
    expect(await bounces.avoids('oslo', 'mail')).toBe(false);
    expect(await kept()).toEqual(new Map());
  });

  it('is tried first again after a day: the mailbox may have been made meanwhile', async () => {
    const bounces = open();
    await noted(bounces, unknownUser);
    nowMs += 24 * HOUR - 1;
    expect(await bounces.avoids('oslo', 'mail')).toBe(true);
    nowMs += 1;
    expect(await bounces.avoids('oslo', 'mail')).toBe(false);
  });

  it('holds up nothing once another address is known, also when what went to the old one comes back later', async () => {
    const bounces = open();
    await noted(bounces, unknownUser, { ...unknownUser, messageId: null, number: 13 });
    address = 'dirpost@new.example.org';
    expect(await bounces.avoids('oslo', 'mail')).toBe(false);
    expect(await bounces.waitsUntilMs('oslo', 'mail')).toBeNull();
    await noted(bounces, { ...unknownUser, messageId: null, number: 14 });
    expect(await bounces.waitsUntilMs('oslo', 'mail')).toBeNull();
    await noted(bounces, { ...unknownUser, messageId: null, number: 15, recipient: address });
    expect(await bounces.waitsUntilMs('oslo', 'mail')).toBe(nowMs + MINUTE);
  });

  it('is not avoided for what was too large', async () => {
    const bounces = open();
    await noted(bounces, tooLarge);
    expect(await bounces.avoids('oslo', 'mail')).toBe(false);
    expect(await bounces.waitsUntilMs('oslo', 'mail')).toBeNull();
  });
});

describe('a mail that came back for another reason', () => {
  it.each([
    ['5.7.1', 'Rejected by a filter'],
    ['5.2.2', 'Mailbox full'],
    ['5.4.4', 'No route'],
    [null, 'Sorry'],
  ])('%s: mail waits longer each time, and another transport is preferred', async (status, diagnostic) => {
    const bounces = open();
    const waits: number[] = [];
    for (let i = 0; i < 3; i++) {
      await noted(bounces, { ...unknownUser, messageId: null, status, diagnostic });
      waits.push(((await bounces.waitsUntilMs('oslo', 'mail'))! - nowMs) / MINUTE);
    }
    expect(waits).toEqual([1, 2, 4]);
    expect(await bounces.avoids('oslo', 'mail')).toBe(true);
    expect(told.map(({ level }) => level)).toEqual(['error', 'info', 'info']);
  });

  it('too large although nothing smaller is sent: waits, and says what has to pass', async () => {
    await put(part);
    const bounces = open();
    await noted(bounces, tooLarge);
    expect((await outgoing())[0]).toMatchObject({ deliveredMs: null });
    await noted(bounces, { ...tooLarge, neededBytes: 375_109 });
    expect(told.map(({ level }) => level)).toEqual(['error', 'error']);
    expect(told[1]!.text).toContain('have to let mails of 375109 bytes pass');
    expect(await bounces.avoids('oslo', 'mail')).toBe(true);
  });

  it('resolves when it is in the store', async () => {
    await open().note(unknownUser);
    expect((await kept()).get('oslo')!.failed).toHaveLength(1);
  });
});

describe('a message file that the own mail server refuses', () => {
  const file: MessageFile = {
    id: ID,
    from: 'hq',
    to: 'oslo',
    bytes: new Uint8Array(),
    about: { kind: 'update', number: 12, part: 0, parts: 1, changes: 1 },
  };
  const refusal = { server: 'mx:25', recipient: 'dirpost@oslo.example.org', status: '5.7.1', said: '550 5.7.1 no' };
  const failure = (context: object, retry: 'later' | 'operator' | 'never' = 'operator') =>
    new DirpostError('transport-failed', 'It did not take the mail.', {
      retry,
      hint: 'Ask the postmaster.',
      context: { ...refusal, reply: 550, isTooLarge: false, ...context },
    });

  it('for good is marked like one that came back, and told as an error once', async () => {
    const bounces = open();
    expect(await bounces.refused(file, 'mail', failure({}))).toBe(true);
    expect(await bounces.refused(file, 'mail', failure({}))).toBe(true);
    const { failed, inARow } = (await kept()).get('oslo')!;
    expect(failed).toMatchObject([
      { id: ID, kind: 'update', number: 12, status: '5.7.1', hint: 'Ask the postmaster.' },
    ]);
    expect(inARow).toBe(2);
    expect(told.map(({ level }) => level)).toEqual(['error', 'info']);
    expect(told[0]!.text).toBe(
      'mail: update 12 to oslo was refused: 5.7.1 for dirpost@oslo.example.org: 550 5.7.1 no. Ask the postmaster.',
    );
    expect(await bounces.waitsUntilMs('oslo', 'mail')).toBe(nowMs + 2 * MINUTE);
    expect(await bounces.avoids('oslo', 'mail')).toBe(true);
  });

  it.each([
    ['for now', failure({ reply: 451 }, 'later')],
    ['because of the login', failure({ isLoginRefused: true, recipient: null, reply: 535 })],
    ['because it is cut smaller from now on', failure({ isTooLarge: true, reply: 552 }, 'never')],
    ['without a word', failure({ reply: null })],
  ])('%s is not', async (_, error) => {
    expect(await open().refused(file, 'mail', error)).toBe(false);
    expect([await kept(), told]).toEqual([new Map(), []]);
  });

  it('as too large although nothing smaller is sent says what has to pass', async () => {
    const error = failure({ isTooLarge: true, reply: 552, neededBytes: 375_109 }, 'never');
    expect(await open().refused(file, 'mail', error)).toBe(true);
    expect(told).toMatchObject([{ level: 'error', text: expect.stringContaining('mails of 375109 bytes') as string }]);
  });

  it('by another transport is not its matter', async () => {
    expect(await open().refused(file, 'http', failure({}))).toBe(false);
  });
});

describe('what came back is forgotten', () => {
  it('when it is acknowledged after all, but the address is not believed for that', async () => {
    const bounces = open();
    await noted(bounces, unknownUser, { ...unknownUser, messageId: null, number: 14 });
    await bounces.acknowledged('oslo', 'exchange', 99);
    expect((await kept()).get('oslo')!.failed).toHaveLength(2);
    await bounces.acknowledged('oslo', 'update', 13);
    expect((await kept()).get('oslo')!.failed).toMatchObject([{ number: 14 }]);
    await bounces.acknowledged('oslo', 'update', 14);
    expect((await kept()).get('oslo')).toMatchObject({ failed: [], inARow: 2 });
  });

  it('when it is older than 30 days', async () => {
    const bounces = open();
    await noted(bounces, unknownUser);
    nowMs += 29 * 24 * HOUR;
    await noted(bounces, { ...tooLarge, peer: 'lima' });
    await bounces.forgetOld();
    expect([...(await kept()).keys()]).toEqual(['lima', 'oslo']);
    nowMs += 2 * 24 * HOUR;
    await bounces.forgetOld();
    expect([...(await kept()).keys()]).toEqual(['lima']);
  });
});

it('there are words for what says little', () => {
  const bare = {
    id: null,
    kind: null,
    number: null,
    atMs: 0,
    recipient: null,
    status: null,
    diagnostic: '',
    isTooLarge: false,
  };
  expect(failedWords(bare)).toBe('a message file');
  expect(failedWords({ ...bare, number: 3 })).toBe('message 3');
  expect(said(bare)).toBe('without a reason.');
  const advice = [null, '5.0.0', '5.1.1', '5.2.2', '5.4.4', '5.7.1'].map((status) =>
    adviceFor({ ...bare, status }, 'oslo'),
  );
  expect(new Set(advice).size).toBe(5);
});
