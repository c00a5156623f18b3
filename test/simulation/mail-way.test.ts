/** What sending makes of a transport whose files a person may see, and whose mails may come back; with real postoffices. */
import type { MessageFile, Transport } from '@dirpost/core';
import { DirpostError } from '@dirpost/core';
import type { Bounce } from '@dirpost/adapters';
import { beforeEach, describe, expect, it } from 'vitest';
import { Bounces } from '../../packages/agent/src/bounces.ts';
import type { CycleEvent } from '../../packages/agent/src/events.ts';
import type { Postoffice } from '../../packages/agent/src/postoffice.ts';
import { Routes } from '../../packages/agent/src/routes.ts';
import { exchangeDueMs, sendOutgoing, submit } from '../../packages/agent/src/send.ts';
import type { Machine } from './machine.ts';
import { newPerson } from './organisation.ts';
import { Play } from './play.ts';

const { signal } = new AbortController();
const MINUTE = 60_000;

let play: Play;
let told: CycleEvent[];

beforeEach(() => {
  play = new Play();
  play.world.around.limits.maxPartChanges = 4;
  told = [];
});

interface Way extends Transport {
  files: MessageFile[];
  works: boolean;
  largest: number;
}

/** Into the network, as mail would. */
function wayBy(name: string): Way {
  const way: Way = {
    name,
    files: [],
    works: true,
    largest: 16 * 1024 * 1024,
    maxMessageBytes: 16 * 1024 * 1024,
    maxMessageBytesTo: () => way.largest,
    async deliver(file) {
      if (!way.works) throw new DirpostError('transport-failed', 'The line is down.', { retry: 'later' });
      way.files.push(file);
      play.world.network.post(file);
    },
    collect: () => Promise.resolve(0),
  };
  return way;
}

/** That postoffice sends by these transports to everybody else. */
async function sendsBy(machine: Machine, ...ways: Way[]): Promise<Postoffice> {
  const { postoffice } = await machine.start();
  const { store, clock, retry } = postoffice;
  const isServer = postoffice.server !== null;
  const bounces = new Bounces({ store, clock, retry, isServer, tell: (event) => told.push(event) });
  const own = postoffice.routes;
  postoffice.bounces = bounces;
  postoffice.routes = new Routes(
    store,
    () => ways,
    isServer,
    (peer, way) => bounces.avoids(peer, way),
  );
  if (isServer) {
    const outside = postoffice.routes;
    postoffice.routes.to = async (peer) => (peer === 'hq' ? own.to(peer) : Routes.prototype.to.call(outside, peer));
  }
  play.world.around.takes = () => Math.min(...ways.map(({ largest }) => largest));
  return postoffice;
}

function bounceOf({ id, to }: MessageFile, more: Partial<Bounce> = {}): Bounce {
  const said = { recipient: 'd@example.org', status: '5.1.1', diagnostic: 'User unknown' };
  return { isAuthentic: true, messageId: id, peer: to, action: 'failed', isTooLarge: false, ...said, ...more };
}

function hires(machine: Machine, count = 10): void {
  for (let i = 0; i < count; i++) {
    const person = newPerson(machine.office, `k${i}`, play.world.random, i + 1);
    person.kind = 'person';
    machine.office.people.set(person.key, person);
    play.world.watch.person(machine.office, person);
  }
}

const aboutOf = (way: Way) => way.files.map(({ about }) => about);

describe('what may be said in the open of a message file', () => {
  it('is its kind and number, and how many changes are in it where that costs little', async () => {
    const mail = wayBy('mail');
    await sendsBy(play.oslo, mail);
    play.joins('k1');
    await play.arrive(await play.arriveAtServer(await play.sends(play.oslo)), play.oslo);
    expect(aboutOf(mail)).toEqual([
      { kind: 'exchange', number: 1, part: 0, parts: 1, changes: 1 },
      { kind: 'verification', number: 1, part: 0, parts: 1, changes: 0 },
    ]);
    hires(play.oslo);
    await play.sends(play.oslo);
    const parts = aboutOf(mail).slice(2);
    expect(parts.length).toBeGreaterThan(1);
    expect(parts).toEqual(
      parts.map((_, part) => ({ kind: 'exchange', number: 2, part, parts: parts.length, changes: null })),
    );
  });

  it('is the same of one that lay sealed in the spool', async () => {
    const mail = wayBy('mail');
    const hq = await sendsBy(play.hq, mail);
    hires(play.hq);
    await play.arriveAtServer(await play.sends(play.hq));
    mail.works = false;
    await play.arriveAtServer(await play.sends(play.oslo));
    expect(await hq.spool.list('outgoing')).toHaveLength(1);
    mail.works = true;
    await sendOutgoing(hq, signal, true);
    expect(aboutOf(mail)).toEqual(
      [0, 1, 2].map((part) => ({ kind: 'update', number: 1, part, parts: 3, changes: 10 })),
    );
    expect(await hq.spool.list('outgoing')).toEqual([]);
  });
});

describe('after mails came back because of the address', () => {
  it('the next one waits, twice as long each time, unless somebody sends now', async () => {
    const mail = wayBy('mail');
    const oslo = await sendsBy(play.oslo, mail);
    await play.sends(play.oslo);
    for (const wait of [1, 2, 4]) {
      await oslo.bounces!.note(bounceOf(mail.files.at(-1)!));
      const sent = mail.files.length;
      await submit(oslo);
      await sendOutgoing(oslo, signal);
      play.world.nowMs += wait * MINUTE - 1;
      await sendOutgoing(oslo, signal);
      expect(mail.files).toHaveLength(sent);
      play.world.nowMs += wait * MINUTE + 1;
      await sendOutgoing(oslo, signal);
      expect(mail.files).toHaveLength(sent + 1);
    }
    await oslo.bounces!.note(bounceOf(mail.files.at(-1)!));
    await submit(oslo);
    await sendOutgoing(oslo, signal, true);
    expect(mail.files).toHaveLength(5);
  });

  it('another transport is taken at once', async () => {
    const [mail, folder] = [wayBy('mail'), wayBy('folder')];
    const oslo = await sendsBy(play.oslo, mail, folder);
    await play.sends(play.oslo);
    await oslo.bounces!.note(bounceOf(mail.files[0]!));
    await oslo.bounces!.settled();
    await play.sends(play.oslo);
    expect([mail.files.length, folder.files.length]).toEqual([1, 1]);
  });

  it('an exchange without an answer is not repeated earlier than without them', async () => {
    const mail = wayBy('mail');
    const oslo = await sendsBy(play.oslo, mail);
    await play.sends(play.oslo);
    const due = await exchangeDueMs(oslo);
    await oslo.bounces!.note(bounceOf(mail.files[0]!));
    await oslo.bounces!.settled();
    expect(await exchangeDueMs(oslo)).toBe(due);
  });

  it('they are forgotten when a later mail is acknowledged, and not because the mails of that peer arrive here', async () => {
    const mail = wayBy('mail');
    const hq = await sendsBy(play.hq, mail);
    const letters = await play.sends(play.oslo);
    await play.arriveAtServer(letters);
    await hq.bounces!.note(bounceOf(mail.files[0]!));
    await play.arriveAtServer(letters);
    await play.arriveAtServer(await play.sends(play.oslo));
    expect(await hq.bounces!.avoids('oslo', 'mail')).toBe(true);
    play.world.network.inFlight.splice(0);
    play.world.nowMs += MINUTE;
    await sendOutgoing(hq, signal);
    const answer = play.world.network.inFlight.splice(0);
    expect(mail.files).toHaveLength(2);
    await play.arrive(answer, play.oslo);
    await play.arriveAtServer(await play.sends(play.oslo));
    expect(await hq.bounces!.avoids('oslo', 'mail')).toBe(false);
  });

  it('what goes by another transport and is acknowledged does not bring mail back', async () => {
    const [mail, folder] = [wayBy('mail'), wayBy('folder')];
    const hq = await sendsBy(play.hq, mail, folder);
    await play.arriveAtServer(await play.sends(play.oslo));
    await hq.bounces!.note(bounceOf(mail.files[0]!));
    await hq.bounces!.settled();
    play.world.network.inFlight.splice(0);
    const answer = await play.arriveAtServer(await play.sends(play.oslo));
    expect([mail.files.length, folder.files.length]).toEqual([1, 1]);
    await play.arrive(answer, play.oslo);
    await play.arriveAtServer(await play.sends(play.oslo));
    expect([mail.files.length, folder.files.length]).toEqual([1, 2]);
  });
});

it('a part that came back as too large is cut anew by itself, and all arrives', async () => {
  const mail = wayBy('mail');
  const hq = await sendsBy(play.hq, mail);
  hires(play.hq);
  await play.arriveAtServer(await play.sends(play.hq));
  const letters = await play.arriveAtServer(await play.sends(play.oslo));
  expect(letters).toHaveLength(3);
  await play.arrive(letters.slice(1), play.oslo);
  mail.largest = 780;
  await hq.bounces!.note(bounceOf(mail.files[0]!, { status: '5.3.4', isTooLarge: true, diagnostic: 'too big' }));
  await sendOutgoing(hq, signal);
  expect(mail.files).toHaveLength(3);
  play.world.nowMs += MINUTE;
  await sendOutgoing(hq, signal);
  const again = play.world.network.inFlight.splice(0);
  expect(again.length).toBeGreaterThan(3);
  expect(
    new Set(
      aboutOf(mail)
        .slice(3)
        .map((about) => about!.number),
    ),
  ).toEqual(new Set([2]));
  await play.arrive(again, play.oslo);
  expect((await play.oslo.own()).replica.live).toBe(10);
});
