import { DirpostError, type Transport } from '@dirpost/core';
import { beforeEach, expect, it } from 'vitest';
import { type CollectedInTurn, collectingInTurn } from './arrivals.ts';
import type { Timers } from './timers.ts';

const signal = new AbortController().signal;
const spool = () => Promise.resolve(true);

let nowMs: number;
let asked: number;
let fault: Error | null;
let recovered: string[];
let transport: CollectedInTurn;
beforeEach(() => {
  [nowMs, asked, fault, recovered] = [1_000_000, 0, new DirpostError('transport-failed', 'The line is down.'), []];
  const http: Transport = {
    name: 'http',
    maxMessageBytes: 1000,
    deliver: () => Promise.resolve(),
    watch: (wake) => Promise.resolve(wake()),
    collect: async () => {
      asked++;
      if (fault !== null) throw fault;
      return 0;
    },
  };
  const timers: Timers = { now: () => nowMs, setTimer: () => () => {} };
  transport = collectingInTurn(http, timers, (name) => recovered.push(name));
});

async function collectAfter(ms: number): Promise<string> {
  nowMs += ms;
  return transport.collect(spool, signal).then(String, (error: Error) => error.message);
}

it('a transport that cannot be reached is asked later and later, and says meanwhile why', async () => {
  const told = [await collectAfter(0), await collectAfter(999), await collectAfter(1), await collectAfter(1_999)];
  expect(told).toEqual(Array(4).fill('The line is down.'));
  expect(asked).toBe(2);
  for (let i = 0; i < 10; i++) await collectAfter(60_000);
  expect(asked).toBe(12);
});

it('it is asked at once again after it worked, and tells that it does', async () => {
  await collectAfter(0);
  fault = null;
  expect([await collectAfter(1_000), await collectAfter(0)]).toEqual(['0', '0']);
  expect([asked, recovered]).toEqual([3, ['http']]);
});

it('a clock that goes back makes no wait longer', async () => {
  await collectAfter(0);
  await collectAfter(-3_600_000);
  expect(asked).toBe(2);
});

it('another fault than that of the line is tried again at once', async () => {
  fault = new DirpostError('file-failed', 'The spool cannot be written.');
  await collectAfter(0);
  await collectAfter(0);
  expect(asked).toBe(2);
});

it('a person who asks does not wait, however often it failed', async () => {
  for (let i = 0; i < 10; i++) await collectAfter(60_000);
  transport.askAtOnce();
  fault = null;
  expect(await collectAfter(0)).toBe('0');
  expect(recovered).toEqual(['http']);
});

it('one that delivers or announces something is asked at once', async () => {
  await collectAfter(0);
  await transport.deliver({ id: '', from: 'oslo', to: 'hq', bytes: new Uint8Array() }, signal);
  await collectAfter(0);
  await transport.watch!(() => {}, signal);
  await collectAfter(0);
  expect(asked).toBe(3);
});
