/**
 * Rule 11, played: a way takes less than before while the parts of a message are under way. Worlds with `narrow` come to it
 * too, but seldom so that only cutting anew helps.
 */
import { type RequestorRecord, requestorDocument } from '@dirpost/core';
import { beforeEach, describe, expect, it } from 'vitest';
import { sendOutgoing } from '../../packages/agent/src/send.ts';
import type { Machine } from './machine.ts';
import type { Letter } from './network.ts';
import { newPerson } from './organisation.ts';
import { Play } from './play.ts';

const PEOPLE = 10;
const NARROW_BYTES = 780;

let play: Play;
let widths: Map<string, number>;
let linesWork: boolean;

beforeEach(() => {
  play = new Play();
  const { around } = play.world;
  around.limits.maxPartChanges = 4;
  widths = new Map();
  linesWork = true;
  around.takes = (peer) => widths.get(peer) ?? 16 * 1024 * 1024;
  around.turnsOutTooLarge = () => (linesWork ? null : 'refused');
});

function hires(machine: Machine): void {
  for (let i = 0; i < PEOPLE; i++) {
    const person = newPerson(machine.office, `k${i}`, play.world.random, i + 1);
    person.kind = 'person';
    machine.office.people.set(person.key, person);
    play.world.watch.person(machine.office, person);
  }
}

/** The people of the server's office are collected there. */
async function serverHasPeople(): Promise<void> {
  hires(play.hq);
  const letters = await play.arriveAtServer(await play.sends(play.hq));
  await play.arriveAtServer(letters);
}

async function flush(machine: Machine): Promise<Letter[]> {
  const { postoffice } = await machine.start();
  await sendOutgoing(postoffice, new AbortController().signal, true);
  return play.world.network.inFlight.splice(0);
}

const replicaOf = async (machine: Machine) => (await machine.own()).replica.live;
const stagedAt = (machine: Machine, from: string, kind: 'update' | 'exchange') =>
  machine.store.read((tx) => tx.parts(from, kind));

/** The update on its way to oslo, in three parts. */
async function updateFor(machine: Machine): Promise<Letter[]> {
  await serverHasPeople();
  const letters = await play.arriveAtServer(await play.sends(machine));
  expect(letters).toHaveLength(3);
  expect(Math.max(...letters.map(({ bytes }) => bytes.length))).toBeGreaterThan(NARROW_BYTES);
  return letters;
}

describe('an update', () => {
  it('of which no part went is cut anew by itself, and arrives', async () => {
    await serverHasPeople();
    const exchange = await play.sends(play.oslo);
    linesWork = false;
    expect(await play.arriveAtServer(exchange)).toEqual([]);
    linesWork = true;
    widths.set('oslo', NARROW_BYTES);
    const letters = await flush(play.hq);
    expect(letters.length).toBeGreaterThan(3);
    expect(Math.max(...letters.map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(NARROW_BYTES);
    await play.arrive(letters, play.oslo);
    expect(await replicaOf(play.oslo)).toBe(PEOPLE);
    expect(await stagedAt(play.oslo, 'hq', 'update')).toEqual([]);
  });

  it('of which a part was lost is answered anew, in parts that fit', async () => {
    const [first] = await updateFor(play.oslo);
    await play.arrive([first!], play.oslo);
    widths.set('oslo', NARROW_BYTES);
    const letters = await play.arriveAtServer(await play.sends(play.oslo));
    expect(letters.length).toBeGreaterThan(3);
    await play.arrive(letters, play.oslo);
    expect(await replicaOf(play.oslo)).toBe(PEOPLE);
    expect(await stagedAt(play.oslo, 'hq', 'update')).toEqual([]);
  });

  it.each(['before', 'between', 'after'])(
    'whose old parts come late, %s the new ones, is applied once',
    async (when) => {
      const [first, ...late] = await updateFor(play.oslo);
      await play.arrive([first!], play.oslo);
      widths.set('oslo', NARROW_BYTES);
      const letters = await play.arriveAtServer(await play.sends(play.oslo));
      const [one, ...others] = letters;
      const order = {
        before: [...late, ...letters],
        between: [one!, ...late, ...others],
        after: [...letters, ...late],
      };
      for (const letter of order[when as keyof typeof order]) await play.arrive([letter], play.oslo);
      expect(await replicaOf(play.oslo)).toBe(PEOPLE);
      const rest = await play.arriveAtServer(await play.sends(play.oslo));
      await play.arrive(rest, play.oslo);
      expect(await stagedAt(play.oslo, 'hq', 'update')).toEqual([]);
      expect(play.world.watch.violations).toEqual([]);
    },
  );

  it('that still fits is sent again unchanged: only what is missing', async () => {
    const [first] = await updateFor(play.oslo);
    await play.arrive([first!], play.oslo);
    const letters = await play.arriveAtServer(await play.sends(play.oslo));
    // Two parts, and the receipt.
    expect(letters).toHaveLength(3);
    await play.arrive(letters, play.oslo);
    expect(await replicaOf(play.oslo)).toBe(PEOPLE);
  });

  it('of which one change alone is too large waits, and does not run in a circle', async () => {
    await serverHasPeople();
    const exchange = await play.sends(play.oslo);
    linesWork = false;
    await play.arriveAtServer(exchange);
    linesWork = true;
    widths.set('oslo', 300);
    expect(await flush(play.hq)).toEqual([]);
    const waiting = () => play.hq.store.read((tx) => tx.outgoing({ to: 'oslo', undelivered: true }));
    const ids = (await waiting()).map(({ id }) => id);
    expect(ids).toHaveLength(PEOPLE);
    expect(await flush(play.hq)).toEqual([]);
    expect((await waiting()).map(({ id }) => id)).toEqual(ids);
    widths.clear();
    await play.arrive(await flush(play.hq), play.oslo);
    expect(await replicaOf(play.oslo)).toBe(PEOPLE);
  });
});

it('an update for a life of the requestor that is over is not cut anew, but dropped', async () => {
  await serverHasPeople();
  const exchange = await play.sends(play.oslo);
  linesWork = false;
  await play.arriveAtServer(exchange);
  linesWork = true;
  widths.set('oslo', NARROW_BYTES);
  const document = requestorDocument('oslo');
  await play.hq.store.transaction(async (tx) => {
    const record = (await tx.getDocument<RequestorRecord>(document))!;
    await tx.putDocument(document, { ...record, incarnation: '1.0123456789abcdef' });
  });
  expect(await flush(play.hq)).toEqual([]);
  expect(await play.hq.store.read((tx) => tx.outgoing({ to: 'oslo' }))).toEqual([]);
});

describe('an exchange', () => {
  it('of which a part could not go is composed anew, and what was staged of it is dropped', async () => {
    hires(play.oslo);
    const [first, ...others] = await play.sends(play.oslo);
    expect(others).toHaveLength(2);
    expect(await play.arriveAtServer([first!])).toEqual([]);
    // As it is after a bounce: the other parts have to go again.
    await play.oslo.store.transaction(async (tx) => {
      for (const { id, part } of await tx.outgoing({ to: 'hq' })) {
        if (part > 0) await tx.updateOutgoing(id, { deliveredMs: null });
      }
    });
    widths.set('hq', 480);
    const letters = await flush(play.oslo);
    expect(letters.length).toBeGreaterThan(3);
    await play.arriveAtServer(letters);
    const { live } = await play.hq.store.read((tx) => tx.countEntries('collected', 'oslo'));
    expect(live).toBe(PEOPLE);
    expect(await stagedAt(play.hq, 'oslo', 'exchange')).toEqual([]);
  });
});
