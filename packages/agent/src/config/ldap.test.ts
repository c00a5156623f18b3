import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { DirectoryConfiguration } from './directory.ts';
import type { PublishLdap, SubscribeLdap } from './ldap.ts';
import { configurationFaults, parseConfiguration } from './load.ts';

const folder = resolve('/srv/dirpost');
const text = (...directories: string[]) =>
  `postoffice: oslo\nrole: requestor\nserver: hq\ntransports: { folder: { path: x } }\ndirectories:\n${directories.map((one) => `  - { type: ldap, ${one} }\n`).join('')}`;
const faults = (...directories: string[]) =>
  configurationFaults(text(...directories), folder).map(({ line, path, message }) => `${line} ${path}: ${message}`);
const parsed = (one: string): DirectoryConfiguration => parseConfiguration(text(one), folder).directories[0]!;

const bind = 'bind: { method: simple, dn: "cn=dirpost,dc=x", password: { file: secret } }';
const server = `servers: ["ldaps://ldap.example.org"], ${bind}`;
const people = (more = '') => `name: people, direction: publish, ${server}, base: "ou=people,dc=x"${more}`;
const network = (more = '') => `name: network, direction: subscribe, ${server}, container: "ou=network,dc=x"${more}`;
const publish = (more = '') => parsed(people(more)) as PublishLdap;

describe('an LDAP directory that is published', () => {
  it('needs servers, a login and a base, and has defaults for the rest', () => {
    expect(publish()).toMatchObject({
      key: 'entryUUID',
      space: 'entryuuid',
      bases: [{ dn: 'ou=people,dc=x', scope: 'sub', filter: expect.stringContaining('(objectClass=inetOrgPerson)') }],
      method: 'auto',
      wholeReadEveryMs: 86_400_000,
      referrals: 'count',
      connection: {
        profile: 'generic',
        servers: [{ host: 'ldap.example.org', port: 636, tls: 'ldaps' }],
        ca: null,
        login: { method: 'simple', dn: 'cn=dirpost,dc=x', password: { file: join(folder, 'secret') } },
      },
    });
  });

  it('never asks for everything, but for what mapping, kinds and exclusions need', () => {
    const { asked } = publish(
      ', ask: [cn, Mail], attributes: { displayName: "{givenName} {sn|upper}", fax: facsimileTelephoneNumber, x: null }, exclude: [{ attribute: employeeType, prefix: ext }, { dn: "ou=a,dc=x" }], kinds: { person: "(&(objectClass=person)(!(status=left)))", group: null, contact: null, resource: null }',
    );
    expect(asked).toEqual([
      'cn',
      'mail',
      'objectclass',
      'status',
      'employeetype',
      'givenname',
      'sn',
      'facsimiletelephonenumber',
    ]);
    expect(publish().asked).toContain('telephonenumber');
    expect(publish().asked).not.toContain('*');
    expect(publish().asked).not.toContain('userpassword');
  });

  it('maps from no password or key, and has none for its key', () => {
    const complaint = (name: string) =>
      `takes values from ${name}, which is a password, key or other secret: those are never published, under no other name either`;
    expect(
      faults(
        people(', attributes: { description: userPassword, title: "{cn} {userPKCS12|trim}", userPassword: null }'),
      ),
    ).toEqual([
      `6 directories[0].attributes.description: ${complaint('userPassword')}`,
      `6 directories[0].attributes.title: ${complaint('userPKCS12')}`,
    ]);
    expect(faults(people(', attributes: { userCertificate: "userCertificate;binary" }'))).toEqual([]);
    expect(faults(people(', key: sshPublicKey'))).toEqual([
      '6 directories[0].key: is a password, key or other secret, which is never published',
    ]);
  });

  it('of Active Directory has other defaults, with matching rules that only the server knows', () => {
    const ad = publish(', profile: ad');
    expect(ad).toMatchObject({ key: 'objectGUID', kinds: { person: '(objectClass=user)' } });
    expect(ad.bases[0]!.filter).toContain('1.2.840.113556.1.4.803');
    expect(ad.asked).toEqual(expect.arrayContaining(['proxyaddresses', 'msexchrecipientdisplaytype']));
    expect(publish(', profile: 389ds').key).toBe('nsuniqueid');
  });

  it('may have several bases, each with its own scope and filter', () => {
    const line = people(', filter: "(mail=*)"').replace(
      'base: "ou=people,dc=x"',
      'bases: [{ dn: "ou=a,dc=x", scope: one }, { dn: "ou=b,dc=x", filter: "(cn=*)" }]',
    );
    expect((parsed(line) as PublishLdap).bases).toEqual([
      { dn: 'ou=a,dc=x', scope: 'one', filter: '(mail=*)' },
      { dn: 'ou=b,dc=x', scope: 'sub', filter: '(cn=*)' },
    ]);
  });

  it.each([
    ['ldap://h', 'starttls', { host: 'h', port: 389, tls: 'starttls' }],
    ['ldap://127.0.0.1:3890/', 'none', { host: '127.0.0.1', port: 3890, tls: 'none' }],
    ['ldaps://[::1]:6360', 'starttls', { host: '::1', port: 6360, tls: 'ldaps' }],
    ['ldapi:///', 'starttls', { host: '/var/run/slapd/ldapi', port: 0, tls: 'ldapi' }],
    ['ldapi://%2Frun%2Fldapi', 'starttls', { host: '/run/ldapi', port: 0, tls: 'ldapi' }],
  ])('takes the server %s (tls: %s)', (url, tls, wanted) => {
    const line = people(`, tls: ${tls}`).replace('ldaps://ldap.example.org', url);
    expect((parsed(line) as PublishLdap).connection.servers).toEqual([wanted]);
  });

  it('finds its servers by DNS', () => {
    const line = people(', tls: ldaps').replace('servers: ["ldaps://ldap.example.org"]', 'domain: example.org');
    expect((parsed(line) as PublishLdap).connection.servers).toEqual({ domain: 'example.org', tls: 'ldaps' });
  });
});

describe('an LDAP directory that is written', () => {
  it('needs a container, and has defaults for the rest', () => {
    expect(parsed(network())).toMatchObject({
      dn: 'container',
      container: 'ou=network,dc=x',
      firstWrite: 'held',
      rdn: null,
      target: {
        container: 'ou=network,dc=x',
        makeContainer: true,
        shape: 'inetorgperson',
        removal: 'delete',
        policies: {},
        allowed: { create: true, update: true, rename: true, delete: true },
      },
    } satisfies Partial<SubscribeLdap>);
  });

  it('of Active Directory merges proxyAddresses, unless it says otherwise', () => {
    const policiesOf = (more: string) => (parsed(network(`, profile: ad${more}`)) as SubscribeLdap).target.policies;
    expect(policiesOf('')).toEqual({ proxyaddresses: 'merge' });
    expect(policiesOf(', policies: { proxyAddresses: force }')).toEqual({ proxyaddresses: 'force' });
    expect(policiesOf(', shape: inetorgperson')).toEqual({});
  });

  it('of Active Directory gets contacts, named by CN', () => {
    expect(
      parsed(network(', profile: ad, policies: { Title: keep }, removal: { moveTo: "ou=old,dc=x" }')),
    ).toMatchObject({
      rdn: 'cn',
      target: { shape: 'ad-contact', policies: { title: 'keep' }, removal: { moveTo: 'ou=old,dc=x' } },
    });
  });
});

describe('faults are told', () => {
  it.each([
    [people().replace('ldaps://ldap.example.org', 'ldap.example.org'), 'servers[0]: must be a server such as ldaps://'],
    [people(', domain: example.org'), 'must have exactly one of servers and domain'],
    [people(', bases: [{ dn: "dc=y" }]'), 'must have exactly one of base and bases'],
    [people(', tls: none').replace('ldaps:', 'ldap:'), 'tls: none is for servers on this machine'],
    [people(', filter: "(mail=*"'), 'filter: '],
    [people(', method: sync'), 'method: '],
    [people().replace('{ file: secret }', 'secret'), 'a password does not stand in the configuration'],
    [people().replace('method: simple', 'method: plain'), 'must be simple, external, scram, gssapi or anonymous'],
    [people(', container: "dc=x"'), 'container: is for direction: subscribe or both only'],
    [network(', base: "dc=x"'), 'base: is for direction: publish or both only'],
    [network().replace(', container: "ou=network,dc=x"', ''), 'container: is missing'],
    [network(', policies: { title: never }'), 'policies.title: '],
  ])('%s', (line, fault) => {
    expect(faults(line).join('\n')).toContain(fault);
  });

  it('once each', () => {
    expect(faults(network().replace(', container: "ou=network,dc=x"', ''))).toHaveLength(1);
  });

  it('where two read the same entries of one server', () => {
    const more = people().replace('people', 'more').replace('ou=people,dc=x', 'dc=x');
    expect(faults(people(), more)).toEqual([
      '7 directories[1].base: "people" publishes entries of the same place with the same filter; give one of them another base or filter',
    ]);
    expect(faults(people(), `${more}, filter: "(cn=*)"`)).toEqual([]);
    expect(faults(people(), more.replace('ldap.example.org', 'other.example.org'))).toEqual([]);
    expect(faults(people(), more.replace('base: "dc=x"', 'base: "dc=x", scope: one'))).toEqual([]);
  });

  it('where what is written would be published again', () => {
    const all = people().replace('ou=people,dc=x', 'dc=x');
    expect(faults(all, network()).join()).toContain('the container of "network" lies in it');
    expect(faults(`${all}, exclude: [{ dn: "OU=Network, dc=x" }]`, network())).toEqual([]);
  });

  it('where who is gone from the network would be published as one of this postoffice', () => {
    const gone = network(', removal: { moveTo: "ou=gone,ou=people,dc=x" }');
    const complaint = expect.stringContaining(
      'directories[0].base: the moveTo of "network" lies in it, so that who is gone from the network would be published from here; leave it out: exclude: [{ dn: "ou=gone,ou=people,dc=x" }]',
    );
    expect(faults(people(), gone)).toEqual([complaint]);
    expect(faults(people(', scope: one'), gone)).toEqual([]);
    expect(faults(people(', scope: one').replace('ou=people', 'ou=gone,ou=people'), gone)).toHaveLength(1);
    expect(faults(people(', exclude: [{ dn: "OU=Gone, ou=people,dc=x" }]'), gone)).toEqual([]);
    expect(faults(people().replace('ldap.example.org', 'other.example.org'), gone)).toEqual([]);
  });

  it('where two write into one container', () => {
    const more = network().replace('network', 'more').replace('ou=network,dc=x', 'ou=in,ou=network,dc=x');
    expect(faults(network(), more).join()).toContain('each needs a container of its own');
  });
});
