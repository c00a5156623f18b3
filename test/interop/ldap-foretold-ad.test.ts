/** Active Directory as Samba does it: what it refuses is foretold by preview, and groups that name each other come with one write. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DirectoryChange } from '@dirpost/core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Status } from '../../packages/agent/src/status.ts';
import { describeSamba } from '../servers/ldap/presence.ts';
import { type Samba, startSamba } from '../servers/ldap/samba.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { attributesOf, container, openDirectory, person, targetIn, type Texts, writeAll } from './ldap-directory.ts';
import { foretoldOf, group, takenOf, wroteOf } from './ldap-foretold.ts';
import { ldapCycle, ldapOffices, setDirectories } from './ldap-offices.ts';
import { membersIn, ringContent, rings } from './ldap-rings.ts';

describeSamba('what is written into Samba AD', () => {
  let samba: Samba;
  let source: Slapd;
  const network = 'OU=network,DC=probe,DC=test';
  beforeAll(async () => {
    [samba, source] = await Promise.all([startSamba({}), startSlapd({ writes: 'nosync', ldif: ringContent })]);
  }, 180_000);
  afterAll(async () => {
    await Promise.all([samba?.stop(), source?.stop()]);
  });
  const contact = (name: string, texts: Texts = {}, within = network): DirectoryChange => ({
    ...person(name, texts, within),
    kind: 'contact',
  });
  const unit = (ou: string, texts: Texts): DirectoryChange => ({
    ...container(`OU=${ou},${network}`, ou),
    attributes: attributesOf({ objectclass: 'organizationalUnit', ou, ...texts }),
  });

  it('is foretold with lengths and with who is not there, and nothing else is', async () => {
    const directory = openDirectory(samba, {
      servers: [{ host: samba.host, port: samba.ldapsPort, tls: 'ldaps' }],
      ca: samba.ca,
      anchor: 'objectguid',
      profile: 'ad',
      bases: [],
      target: targetIn(network, { shape: 'ad-contact' }),
    });
    const right: Texts[] = [
      { title: '😀'.repeat(64), mail: 'grüße@example.com', telephonenumber: '030/12*34', description: ['a', 'b'] },
      { manager: `cn=right0,${network}`, wwwhomepage: 'ä', facsimiletelephonenumber: 'ä', jpegphoto: 'x' },
      { title: 'x', 'displayname;lang-ja': 'y' },
      { title: ['one', 'two'], uid: 'x', proxyaddresses: ['SMTP:a@x.test', 'smtp:b@x.test'], company: '' },
    ];
    const wrong: Texts[] = [
      { title: 'x'.repeat(129) },
      { title: '😀'.repeat(65) },
      { manager: 'the boss' },
      { manager: `cn=nobody,${network}` },
      { c: 'Norway' },
      { thumbnailphoto: 'x'.repeat(102_401) },
    ];
    const changes = [
      container(network, 'network'),
      ...right.map((one, i) => contact(`right${i}`, one)),
      ...wrong.map((one, i) => contact(`wrong${i}`, one)),
      contact('y'.repeat(65)),
      contact('lost', {}, `OU=nowhere,${network}`),
      { ...contact('named'), dn: `uid=named,${network}` },
      unit('hidden', { showinadvancedviewonly: 'TRUE' }),
      unit('strange', { showinadvancedviewonly: 'yes' }),
      unit('unknown', { nosuchattribute: 'x' }),
      unit('not allowed', { member: network }),
      unit('several', { displayname: ['a', 'b'] }),
      group('crew', [`cn=right0,${network}`, `cn=later,${network}`], network),
      group('later', [`cn=crew,${network}`], network),
      group('lacking', [`cn=right0,${network}`, `cn=wrong0,${network}`], network),
    ];
    const foretold = await foretoldOf(directory, changes);
    await writeAll(directory, changes);
    // What is in a ring comes with a second pass (write-differences.ts).
    const wrote = await wroteOf(directory, changes);
    expect(Object.fromEntries(foretold)).toEqual(Object.fromEntries(wrote));
    expect(takenOf(wrote)).toBe(1 + right.length + 1 + 2);
    expect(wrote.get(`cn=lacking,${network}`)).toBe('membersMissing');
  });

  it('has groups complete after one cycle although they are members of each other, or come before theirs', async () => {
    const offices = await ldapOffices(source, source);
    const container = `OU=rings,${samba.suffix}`;
    await writeFile(join(offices.hq.data, 'samba'), `${samba.admin.password}\n`, { mode: 0o600 });
    const line = { type: 'ldap', profile: 'ad', servers: [`ldaps://${samba.host}`], ca: samba.ca };
    const bind = { method: 'simple', dn: samba.admin.dn, password: { file: 'samba' } };
    const target = { name: 'network', direction: 'subscribe', ...line, bind, container, firstWrite: 'allowed' };
    await setDirectories(offices.hq, [target]);
    await ldapCycle(offices);
    expect(membersIn(await samba.search('(objectClass=group)', ['member'], container))).toEqual(rings);
    const status = (await offices.hq.json('status')) as Status;
    expect(status.directories[0]!.write).toMatchObject({ refusedCount: 0, entries: 7 });
  }, 60_000);
});
