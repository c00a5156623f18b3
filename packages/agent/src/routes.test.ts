import { createMemoryStore, type MemoryStore } from '@dirpost/adapters';
import type { Transport } from '@dirpost/core';
import { beforeEach, expect, it } from 'vitest';
import { Routes } from './routes.ts';

const way = (name: string): Transport => ({
  name,
  maxMessageBytes: 1000,
  deliver: () => Promise.resolve(),
  collect: () => Promise.resolve(0),
});
const ways = [way('http'), way('folder')];
const names = async (routes: Routes, peer = 'oslo') => (await routes.to(peer)).map(({ name }) => name);

let store: MemoryStore;
beforeEach(() => {
  store = createMemoryStore();
});

it('without news the configured order holds', async () => {
  expect(await names(new Routes(store, () => ways))).toEqual(['http', 'folder']);
});

it('an answer goes the way that the last message came, for that peer alone, also after a restart', async () => {
  const routes = new Routes(store, () => ways);
  await routes.arrived('oslo', 'folder');
  expect(await names(routes)).toEqual(['folder', 'http']);
  expect(await names(routes, 'lima')).toEqual(['http', 'folder']);
  expect(await names(new Routes(store, () => ways))).toEqual(['folder', 'http']);
  await routes.arrived('oslo', 'http');
  expect(await names(new Routes(store, () => ways))).toEqual(['http', 'folder']);
});

it('a transport that is no longer configured is no way', async () => {
  await new Routes(store, () => ways).arrived('oslo', 'folder');
  expect(await names(new Routes(store, () => [way('http'), way('mail')]))).toEqual(['http', 'mail']);
});

it('another way is told once, and so is the way back', () => {
  const routes = new Routes(store, () => ways);
  const told = ['http', 'folder', 'folder', 'http', 'http'].map((transport) => routes.taken('oslo', transport));
  expect(told).toEqual([null, 'http', null, 'folder', null]);
});

it('a requestor takes up the preferred way again, whatever way the last message came', async () => {
  const routes = new Routes(store, () => ways, false);
  await routes.arrived('hq', 'folder');
  expect(await names(routes, 'hq')).toEqual(['http', 'folder']);
});

it('what could not be asked the last time comes last, until it can', async () => {
  const routes = new Routes(store, () => ways, false);
  routes.asked('http', false);
  expect(await names(routes, 'hq')).toEqual(['folder', 'http']);
  routes.asked('http', true);
  expect(await names(routes, 'hq')).toEqual(['http', 'folder']);
});

it('a way that is avoided for one peer is taken last, even if his newest message came by it', async () => {
  const routes = new Routes(
    store,
    () => ways,
    true,
    async (peer, name) => peer === 'oslo' && name === 'http',
  );
  await routes.arrived('oslo', 'http');
  await routes.arrived('lima', 'http');
  expect(await names(routes)).toEqual(['folder', 'http']);
  expect(await names(routes, 'lima')).toEqual(['http', 'folder']);
});
