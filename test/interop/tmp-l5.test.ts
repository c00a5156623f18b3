import { expect, it } from 'vitest';
import { startSlapd } from '../servers/ldap/slapd.ts';
import { ldif, people, personLdif, range, NETWORK, PEOPLE } from './ldap-directory.ts';
import { ldapOffices } from './ldap-offices.ts';
it('big', async () => {
  const N = 20_000;
  const source = await startSlapd({ writes: 'nosync', ldif: ldif([people, ...range(N).map((i) => personLdif(`p${i}`, `title: T${i}\n`))]) });
  const target = await startSlapd({ writes: 'nosync' });
  try {
    const o = await ldapOffices(source, target);
    const t = async (what: string, work: () => Promise<unknown>) => { const b = Date.now(); await work(); console.log(what, Date.now() - b, 'ms'); };
    await t('oslo sync (whole)', () => o.oslo.must('sync', '--wait', '0'));
    await t('hq sync (write all)', () => o.hq.must('sync'));
    await t('hq dispatch idle', () => o.hq.must('dispatch'));
    await t('oslo sync (delta, nothing)', () => o.oslo.must('sync', '--wait', '0'));
    await source.modify(range(1000).map((i) => `dn: cn=p${i},${PEOPLE}\nchangetype: modify\nreplace: title\ntitle: N\n`).join('\n'));
    await t('oslo sync (1000 changes)', () => o.oslo.must('sync', '--wait', '0'));
    await t('hq sync (1000 changes)', () => o.hq.must('sync'));
    expect((await target.search('(title=N)', ['dn'], NETWORK)).match(/^dn:/gm)).toHaveLength(1000);
  } finally { await source.stop(); await target.stop(); }
}, 300_000);
