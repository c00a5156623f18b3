/** Values that must be unique on the network: who keeps one, what the lists show of the others, and who is told. */
import { clashesOf, clashesOfEntry, loadOwn, withdrawOwner } from '@dirpost/core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { UniqueNetwork } from './unique-network.ts';

let network: UniqueNetwork;
beforeEach(async () => {
  network = await new UniqueNetwork().begin();
});
afterEach(() => network.close());

const A = 'anna@a.example';

it('the owner who had a value first keeps it on the lists; the other entry stays, without it', async () => {
  network.people.oslo = { anna: { mail: [A] } };
  network.people.lima = { ana: { mail: ['ANNA@a.example', 'ana@lima.example'] } };
  await network.submit('oslo');
  await network.submit('lima');
  expect(await network.seen()).toEqual({ 'lima ana': ['ana@lima.example'], 'oslo anna': [A] });
});

it('when its holder gives a value up, the one who waits for it has it on the lists', async () => {
  network.people.oslo = { anna: { mail: [A] } };
  network.people.lima = { ana: { mail: [A] } };
  network.people.kiel = { anne: { mail: [A] } };
  for (const owner of ['oslo', 'lima', 'kiel'] as const) await network.submit(owner);
  expect(await network.seen()).toEqual({ 'kiel anne': [], 'lima ana': [], 'oslo anna': [A] });
  network.people.oslo = { anna: { mail: ['anna@oslo.example'] } };
  await network.submit('oslo');
  expect(await network.seen()).toEqual({ 'kiel anne': [], 'lima ana': [A], 'oslo anna': ['anna@oslo.example'] });
  network.people.lima = {};
  await network.submit('lima');
  expect(await network.seen()).toEqual({ 'kiel anne': [A], 'oslo anna': ['anna@oslo.example'] });
});

it('who submits everything anew keeps what he held, also with other entry ids', async () => {
  network.people.oslo = { anna: { mail: [A] } };
  network.people.lima = { ana: { mail: [A] } };
  await network.submit('oslo');
  await network.submit('lima');
  const before = await network.seen();
  await network.submit('lima', true);
  await network.submit('oslo', true);
  expect(await network.seen()).toEqual(before);
  network.people.oslo = { 'anna again': { mail: [A] } };
  await network.submit('oslo');
  expect(await network.seen()).toEqual(before);
  network.people.oslo = { 'anna once-more': { mail: [A] } };
  await network.submit('oslo', true);
  expect(await network.seen()).toEqual(before);
});

it('entries of one owner may share a value; they have it, or wait for it, together', async () => {
  network.people.oslo = { anna: { mail: [A] }, arne: { mail: [A] } };
  network.people.lima = { ana: { mail: [A] }, abel: { mail: [A] } };
  await network.submit('oslo');
  await network.submit('lima');
  expect(await network.seen()).toEqual({ 'lima abel': [], 'lima ana': [], 'oslo anna': [A], 'oslo arne': [A] });
  delete network.people.oslo['anna'];
  await network.submit('oslo');
  expect(await network.seen()).toEqual({ 'lima abel': [], 'lima ana': [], 'oslo arne': [A] });
  network.people.oslo = {};
  await network.submit('oslo');
  expect(await network.seen()).toEqual({ 'lima abel': [A], 'lima ana': [A] });
});

it('an address among proxyAddresses is a mail address', async () => {
  network.people.oslo = { anna: { mail: [A] } };
  network.people.lima = { ana: { proxyaddresses: [`SMTP:${A}`, 'x500:/o=lima/cn=ana'] } };
  await network.submit('oslo');
  await network.submit('lima');
  expect(await network.seen('proxyaddresses')).toMatchObject({ 'lima ana': ['x500:/o=lima/cn=ana'] });
});

it('both owners are told, without a word about entries of the other', async () => {
  network.people.oslo = { anna: { mail: [A] } };
  network.people.lima = { ana: { mail: [A] } };
  await network.submit('oslo');
  await network.submit('lima');
  await network.cycle('oslo');
  const [oslo, lima] = [await network.stores.oslo.read(loadOwn), await network.stores.lima.read(loadOwn)];
  expect(lima.clashes).toMatchObject({ left: 1, kept: 0, entries: [{ code: 'not-unique' }] });
  expect(lima.clashes.entries[0]!.reason).toBe(`mail ${A}: oslo had it first, so the lists show this entry without it`);
  expect(oslo.clashes).toMatchObject({ left: 0, kept: 1, entries: [{ code: 'wanted' }] });
  expect(oslo.clashes.entries[0]!.reason).toBe(
    `mail ${A}: lima has it, too; the lists show it of this entry, and not there`,
  );
  const told = await network.stores.hq.read(async (tx) => {
    const rows = await tx.scanEntries('collected', 0, 10);
    return Promise.all(rows.map(async (row) => (await clashesOfEntry(tx, row, ['mail'])).map(({ code }) => code)));
  });
  expect(told).toEqual([['wanted'], ['not-unique']]);
  network.people.lima = { ana: { mail: ['ana@lima.example'] } };
  await network.submit('lima');
  await network.cycle('oslo');
  expect((await network.stores.oslo.read(loadOwn)).clashes).toEqual({ left: 0, kept: 0, entries: [] });
});

it('an owner who is withdrawn, or may not publish any more, holds nothing', async () => {
  network.people.oslo = { anna: { mail: [A] } };
  network.people.lima = { ana: { mail: [A] } };
  network.people.kiel = { anne: { mail: [A] } };
  for (const owner of ['oslo', 'lima', 'kiel'] as const) await network.submit(owner);
  network.rules = new Map([['oslo', { mailDomains: ['oslo.example'] }]]);
  await network.define();
  expect(await network.seen()).toEqual({ 'kiel anne': [], 'lima ana': [A] });
  await network.stores.hq.transaction((tx) => withdrawOwner(tx, network.server(), 'lima'));
  expect(await network.seen()).toEqual({ 'kiel anne': [A] });
  network.rules = new Map();
  await network.define();
  expect(await network.seen()).toEqual({ 'kiel anne': [A], 'oslo anna': [] });
});

it('a store that knew no unique values learns them at a start, and forgets them when they are switched off', async () => {
  network.unique = [];
  await network.define();
  network.people.lima = { ana: { mail: [A], uid: ['a1'] } };
  network.people.oslo = { anna: { mail: [A], uid: ['A1'] } };
  await network.submit('lima');
  await network.submit('oslo');
  expect(await network.seen()).toEqual({ 'lima ana': [A], 'oslo anna': [A] });
  network.unique = ['mail'];
  await network.define();
  expect(await network.seen()).toEqual({ 'lima ana': [A], 'oslo anna': [] });
  network.unique = ['mail', 'uid'];
  await network.define();
  expect(await network.seen()).toEqual({ 'lima ana': [A], 'oslo anna': [] });
  expect(await network.seen('uid')).toEqual({ 'lima ana': ['a1'], 'oslo anna': [] });
  network.unique = [];
  await network.define();
  expect(await network.seen()).toEqual({ 'lima ana': [A], 'oslo anna': [A] });
  expect(await network.seen('uid')).toEqual({ 'lima ana': ['a1'], 'oslo anna': ['A1'] });
  expect(await network.stores.hq.read((tx) => clashesOf(tx, 'oslo', 10))).toEqual({ left: 0, kept: 0, named: [] });
});

it('more values than one batch come and go', async () => {
  const many = Object.fromEntries(Array.from({ length: 2_500 }, (_, i) => [`p${i}`, { mail: [`p${i}@a.example`] }]));
  network.people.oslo = many;
  network.people.lima = many;
  await network.submit('oslo');
  await network.submit('lima');
  const showing = async () => {
    const shown = Object.entries(await network.seen()).filter(([, mails]) => mails.length > 0);
    return [new Set(shown.map(([who]) => who.slice(0, 4))), shown.length];
  };
  expect(await showing()).toEqual([new Set(['oslo']), 2_500]);
  await network.stores.hq.transaction((tx) => withdrawOwner(tx, network.server(), 'oslo'));
  expect(await showing()).toEqual([new Set(['lima']), 2_500]);
});
