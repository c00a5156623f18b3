import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import type { PublishLdap, SubscribeLdap } from './ldap.ts';
import { configurationFaults, parseConfiguration } from './load.ts';

const folder = resolve('/srv/dirpost');
const text = (...directories: string[]) =>
  `postoffice: oslo\nrole: requestor\nserver: hq\ntransports: { folder: { path: x } }\ndirectories:\n${directories.map((one) => `  - { type: ldap, ${one} }\n`).join('')}`;
const faults = (...directories: string[]) =>
  configurationFaults(text(...directories), folder).map(({ path, message }) => `${path}: ${message}`);

const server = `servers: ["ldaps://ldap.example.org"], bind: { method: anonymous }`;
const both = (more = '', base = 'dc=x') =>
  `name: people, direction: both, ${server}, base: "${base}", container: "ou=network,dc=x"${more}`;
const parsed = (more = '') => parseConfiguration(text(both(more)), folder).directories as [PublishLdap, SubscribeLdap];

it('a directory of both ways is two that share name and connection, and its container is not published', () => {
  const [publish, subscribe] = parsed();
  expect(publish).toMatchObject({ name: 'people', direction: 'publish', exclude: [{ dn: 'ou=network,dc=x' }] });
  expect(subscribe).toMatchObject({
    name: 'people',
    direction: 'subscribe',
    container: 'ou=network,dc=x',
    both: {
      conflicts: { default: 'network-wins', attributes: {} },
      takes: { default: 'owner-wins', attributes: {} },
      edits: [],
      watched: [],
      method: 'auto',
    },
  });
  expect(subscribe.connection).toEqual(publish.connection);
});

it('policies are for all attributes or for each, and only what they name is looked at', () => {
  const [, { both: ways }] = parsed(
    ', conflicts: { default: network-wins, telephoneNumber: directory-wins }, edits: [Mobile, telephoneNumber], takes: { mobile: no-change, Title: never }',
  );
  expect(ways).toMatchObject({
    conflicts: { default: 'network-wins', attributes: { telephonenumber: 'directory-wins' } },
    edits: ['mobile', 'telephonenumber'],
    takes: { default: 'owner-wins', attributes: { mobile: 'no-change', title: 'never' } },
    watched: ['mobile', 'telephonenumber'],
  });
});

it('everything that may be written is looked at where the network does not win by default', () => {
  const { watched } = parsed(', conflicts: no-change, policies: { title: keep }')[1].both!;
  expect(watched).toEqual(expect.arrayContaining(['telephonenumber', 'mail', 'cn']));
  expect(watched).not.toContain('member');
  expect(watched).not.toContain('title');
  expect(parsed(', conflicts: no-change, profile: ad')[1].both!.watched).not.toContain('cn');
});

it.each([
  [both(', edits: [userPassword]'), 'directories[0].edits[0]: userpassword: is never written'],
  [
    both(', edits: ["userCertificate;binary"]'),
    'directories[0].edits[0]: usercertificate;binary: is taken by no owner: servers let people in by their certificates',
  ],
  [both(', conflicts: { member: no-change }'), 'directories[0].conflicts: member: changes of it by hand are not seen'],
  [
    both(', edits: [title], policies: { title: merge }'),
    'directories[0].edits[0]: title: has the policy merge, by which it is not all the network’s; take it out of one',
  ],
  [both('', 'ou=oslo,ou=network,dc=x'), 'directories[0].base: lies in the container, of which nothing is published'],
  [
    both(', removal: { moveTo: "ou=gone,dc=x" }'),
    expect.stringContaining('directories[0].base: the moveTo of "people" lies in it'),
  ],
])('%s is refused', (line, complaint) => {
  expect(faults(line)).toEqual([complaint]);
});

it('another directory of the same server still has to leave the container out', () => {
  const other = `name: all, direction: publish, ${server}, base: "dc=x", filter: "(mail=*)"`;
  expect(faults(both(), other)).toEqual([expect.stringContaining('the container of "people" lies in it')]);
});

it('a policy that there is not is refused with those that there are', () => {
  expect(faults(both(', conflicts: mine'))).toEqual([
    'directories[0].conflicts: "mine" must be directory-wins, network-wins, no-change, or such a policy for each attribute',
  ]);
  expect(faults(both(', direction: x').replace('direction: both, ', ''))).toEqual([
    'directories[0].direction: "x" must be publish, subscribe or both',
  ]);
});
