/**
 * T3 into slapd: the names that attributes have on the way and at the server. A server keeps a value under the first name of its
 * type, whatever name it was given by.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { DirectoryChange } from '@dirpost/core';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import {
  container,
  counted,
  entryNamed,
  NETWORK,
  octets,
  openDirectory,
  person,
  readAll,
  targetIn,
  textOf,
  writeAll,
} from './ldap-directory.ts';

const ATTRIBUTES = ['cn', 'sn', 'title', 'street', 'mail', 'description', 'usercertificate'];

describeSlapd('names of attributes on slapd', () => {
  let slapd: Slapd;
  beforeAll(async () => {
    slapd = await startSlapd({ writes: 'nosync' });
  });
  afterAll(() => slapd?.stop());
  beforeEach(() => slapd.reload(''));

  const open = (policies = {}) => openDirectory(slapd, { target: targetIn(NETWORK, { policies }) });
  const read = () =>
    readAll(
      openDirectory(slapd, {
        method: 'whole',
        attributes: ATTRIBUTES,
        bases: [{ dn: NETWORK, scope: 'sub', filter: '(objectClass=person)' }],
      }),
    );
  const streets = async (name: string) =>
    (entryNamed(await read(), name).attributes.get('street') ?? []).map((value) => Buffer.from(value).toString());

  it('a value under another name of its attribute stays when something else of the entry changes', async () => {
    const directory = open();
    const anna = (title: string) => person('anna', { title, streetaddress: 'Storgata 1' });
    const made = await writeAll(directory, [container(NETWORK, 'network'), anna('first')]);
    expect(counted(made)).toEqual({ written: 2 });
    const place = made[1]!.place!;
    for (const title of ['second', 'third']) {
      expect(counted(await writeAll(directory, [{ ...anna(title), place }]))).toEqual({ written: 1 });
      expect(await streets('anna')).toEqual(['Storgata 1']);
    }
    for await (const one of directory.preview([{ ...anna('third'), place }], new AbortController().signal)) {
      expect(one).toMatchObject({ action: 'nothing' });
    }
    const without = person('anna', { title: 'third' });
    expect(counted(await writeAll(directory, [{ ...without, place }]))).toEqual({ written: 1 });
    expect(await streets('anna')).toEqual([]);
  });

  it('values under two names of one attribute are written as one', async () => {
    const bo = person('bo', { street: 'Storgata 1', streetaddress: ['Storgata 1', 'Lillegata 2'] });
    const made = await writeAll(open(), [container(NETWORK, 'network'), bo]);
    expect(counted(made)).toEqual({ written: 2 });
    expect((await streets('bo')).toSorted()).toEqual(['Lillegata 2', 'Storgata 1']);
  });

  it('what is asked for by another name is read under that name, and changed by it', async () => {
    await writeAll(open(), [container(NETWORK, 'network'), person('dora', { street: 'Storgata 1' })]);
    const bases = [{ dn: NETWORK, scope: 'sub' as const, filter: '(objectClass=person)' }];
    for (const method of ['whole', 'modify-timestamp'] as const) {
      const asked = openDirectory(slapd, { method, attributes: ['cn', 'surname', 'streetaddress'], bases });
      const dora = entryNamed(await readAll(asked), 'dora');
      expect([textOf(dora, 'surname'), textOf(dora, 'streetaddress')]).toEqual(['Person', 'Storgata 1']);
      expect([dora.attributes.has('sn'), dora.attributes.has('street')]).toEqual([false, false]);
    }
    const change = { attribute: 'streetaddress', before: octets('Storgata 1'), after: octets('Lillegata 2') };
    const amendment = { dn: `cn=dora,${NETWORK}`, isEntry: () => true, changes: [change] };
    for await (const outcome of open().amend([amendment], new AbortController().signal)) {
      expect(outcome).toEqual({ result: 'written' });
    }
    expect(await streets('dora')).toEqual(['Lillegata 2']);
  });

  it('what is written by another name is looked for by either', async () => {
    await writeAll(open(), [container(NETWORK, 'network')]);
    const { dn, kind, attributes } = person('finn', { streetaddress: 'Storgata 1' });
    const written = (await open().shaping(new AbortController().signal))({ dn, kind: kind!, attributes });
    expect([written.get('street'), written.get('streetaddress')]).toEqual([octets('Storgata 1'), octets('Storgata 1')]);
  });

  it('what is to stay by one name stays by the other', async () => {
    const directory = open({ streetaddress: 'keep' });
    const cy = (street: string) => person('cy', { streetaddress: street });
    const made = await writeAll(directory, [container(NETWORK, 'network'), cy('Storgata 1')]);
    const place = made[1]!.place!;
    expect(counted(await writeAll(directory, [{ ...cy('Lillegata 2'), place }]))).toEqual({ written: 1 });
    expect(await streets('cy')).toEqual(['Storgata 1']);
  });

  it.each(['usercertificate', 'usercertificate;binary'])('a certificate is written, by the name %s', async (name) => {
    const octets = new X509Certificate(readFileSync(slapd.ca)).raw;
    const eli = (title: string): DirectoryChange => {
      const change = person('eli', { title });
      change.attributes.set(name, [octets]);
      return change;
    };
    const directory = open();
    const made = await writeAll(directory, [container(NETWORK, 'network'), eli('first')]);
    expect(made[1]).toMatchObject({ result: 'written' });
    expect(counted(await writeAll(directory, [{ ...eli('second'), place: made[1]!.place! }]))).toEqual({ written: 1 });
    const [found] = (await read()).entries;
    expect(found!.attributes.get('usercertificate;binary')).toEqual([octets]);
  });
});
