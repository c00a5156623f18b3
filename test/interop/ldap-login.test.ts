/** Login with the password of a directory: against slapd, in the clear on loopback and over StartTLS. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { openDirectory, simple, SUFFIX } from './ldap-directory.ts';

const signal = new AbortController().signal;
const ACCOUNTS = `ou=accounts,${SUFFIX}`;

describeSlapd('a login with the password of slapd', () => {
  let slapd: Slapd;
  beforeAll(async () => {
    slapd = await startSlapd({
      writes: 'nosync',
      accounts: [
        { name: 'anna', password: 'pässword' },
        { name: 'bo', password: 'other' },
      ],
    });
  });
  afterAll(() => slapd?.stop());

  const directory = (tls: 'none' | 'starttls' = 'none') =>
    openDirectory(slapd, {
      servers: [{ host: 'localhost', port: slapd.port, tls }],
      ca: slapd.ca,
      bind: simple(slapd.reader),
      bases: [{ dn: ACCOUNTS, scope: 'sub', filter: '(objectClass=uidObject)' }],
    });
  const accepted = { result: 'accepted', dn: `uid=anna,${ACCOUNTS}` };
  const wrong = { result: 'refused', why: 'wrong' };

  it.each(['none', 'starttls'] as const)(
    'is accepted with the right one (tls: %s), however the name is spelled',
    async (tls) => {
      const people = directory(tls);
      expect(await people.authenticate('anna', 'pässword', signal)).toEqual(accepted);
      expect(await people.authenticate('ANNA', 'pässword', signal)).toEqual(accepted);
    },
  );

  it('is refused with another, with none, and for nobody; and after too many it is not asked any more', async () => {
    const people = directory();
    expect(await people.authenticate('anna', 'other', signal)).toEqual(wrong);
    expect(await people.authenticate('anna', '', signal)).toEqual({ result: 'refused', why: 'empty' });
    expect(await people.authenticate('nobody', 'other', signal)).toEqual(wrong);
    expect(await people.authenticate('*', 'other', signal)).toEqual(wrong);
    for (let i = 0; i < 3; i++) await people.authenticate('anna', 'other', signal);
    expect(await people.authenticate('Anna', 'pässword', signal)).toMatchObject({ why: 'too-many' });
    expect(await people.authenticate('bo', 'other', signal)).toMatchObject({ result: 'accepted' });
  });

  it('while slapd is down is an error, and not counted', async () => {
    const people = directory();
    await slapd.halt();
    for (let i = 0; i < 6; i++) {
      await expect(people.authenticate('anna', 'x', signal)).rejects.toMatchObject({ code: 'directory-failed' });
    }
    await slapd.start();
    expect(await people.authenticate('anna', 'pässword', signal)).toEqual(accepted);
  });
});
