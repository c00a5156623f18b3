/** Many deltas of several readers, each with its own scope and its own pace, while a directory lives: they all stay right. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import type { LdapBase } from '../../packages/adapters/src/directories/ldap/options.ts';
import { ldif, openDirectory, PEOPLE, people, personLdif, range, readAll, SUFFIX } from './ldap-directory.ts';
import { fold, type Known } from './ldap-fold.ts';

const OTHERS = `ou=others,${SUFFIX}`;
const ROUNDS = 60;
const SEED = Number(process.env['LDAP_SEED'] ?? 7);

const base = (dn: string, filter = '(objectClass=person)'): LdapBase => ({ dn, scope: 'sub', filter });
const scopes: LdapBase[][] = [
  [base(PEOPLE)],
  [base(PEOPLE), base(OTHERS)],
  [base(OTHERS), base(PEOPLE)],
  [base(PEOPLE, '(&(objectClass=person)(title=in))')],
  [base(SUFFIX, '(title=in)'), base(OTHERS)],
];

/** Numbers from 0 to 2^32 (mulberry32). */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) % below;
  };
}

describeSlapd('readers of a directory that lives', () => {
  let slapd: Slapd;
  beforeAll(async () => {
    const others = `dn: ${OTHERS}\nobjectClass: organizationalUnit\nou: others\n`;
    // Each change is written down: what a slapd forgets that is killed is tried elsewhere.
    slapd = await startSlapd({ ldif: ldif([people, others]), writes: 'nosync', checkpointChanges: 1 });
  });
  afterAll(() => slapd?.stop());

  it(`know what is there, each time that they read (seed ${SEED})`, async () => {
    const random = randomFrom(SEED);
    const places = new Map<string, string>();
    let made = 0;
    const title = () => ['in', 'out'][random(2)]!;
    const any = () => [...places.keys()][random(places.size)]!;
    const change = (): string => {
      const kind = places.size < 5 ? 0 : random(5);
      const within = [PEOPLE, OTHERS][random(2)]!;
      if (kind === 0) {
        const name = `n${made++}`;
        places.set(name, within);
        return personLdif(name, `title: ${title()}`, within);
      }
      const name = any();
      const dn = `dn: cn=${name},${places.get(name)}\n`;
      if (kind === 1) return `${dn}changetype: modify\nreplace: title\ntitle: ${title()}\n`;
      places.delete(name);
      if (kind === 2) return `${dn}changetype: delete\n`;
      const renamed = kind === 3 ? `n${made++}` : name;
      places.set(renamed, within);
      return `${dn}changetype: modrdn\nnewrdn: cn=${renamed}\ndeleteoldrdn: 1\nnewsuperior: ${within}\n`;
    };
    const readers = scopes.map((bases) => ({ bases, known: new Map() as Known, bookmark: null as string | null }));
    const extents = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      await slapd.modify(ldif(range(1 + random(12)).map(change)));
      if (random(8) === 0) await [() => slapd.restart(), () => slapd.kill().then(() => slapd.start())][random(2)]!();
      for (const [i, reader] of readers.entries()) {
        if (random(3) > 0 && round < ROUNDS - 1) continue;
        const { bases } = reader;
        const read = await readAll(openDirectory(slapd, { bases }), reader.bookmark);
        const everything = await readAll(openDirectory(slapd, { bases, method: 'whole' }));
        // Nothing at all is no answer that anybody believes.
        if (everything.entries.length === 0) continue;
        expect(read.certificate.complete, `${read.certificate.remarks.join()} (round ${round}, reader ${i})`).toBe(
          true,
        );
        reader.known = fold(reader.known, read);
        reader.bookmark = read.certificate.bookmark;
        extents.add(read.certificate.extent!);
        expect(reader.known, `round ${round}, reader ${i}`).toEqual(fold(new Map(), everything));
      }
    }
    expect(extents).toEqual(new Set(['whole', 'delta']));
  });
});
