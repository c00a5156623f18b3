/** Groups that lack members, on a server that takes none who is not there: OpenLDAP with a strict memberof, and Active Directory. */
import type { DirectoryChange } from '@dirpost/core';
import { expect, it } from 'vitest';
import type { LdapDirectory } from '../../packages/adapters/src/directories/ldap/directory.ts';
import type { LdapTarget } from '../../packages/adapters/src/directories/ldap/options.ts';
import { idOf, person, range, writeAll } from './ldap-directory.ts';
import { foretoldOf, group } from './ldap-foretold.ts';

export interface MembersSite {
  directory(policies?: LdapTarget['policies']): LdapDirectory;
  /** Below which all is written; it is there. */
  network: string;
  kind: 'person' | 'contact';
  /** Names of the members of a group, sorted. */
  membersOf(cn: string): Promise<string[]>;
}

const codesOf = async (directory: LdapDirectory, changes: DirectoryChange[]) => {
  const outcomes = await writeAll(directory, changes);
  return { outcomes, codes: outcomes.map(({ code, result }) => code ?? result) };
};

export function lackingMembers(site: () => MembersSite): void {
  const dnOf = (cn: string) => `cn=${cn},${site().network}`;
  const someone = (name: string): DirectoryChange => ({ ...person(name, {}, site().network), kind: site().kind });
  const groupOf = (name: string, members: string[]) => group(name, members, site().network);

  it('lacks a member on another server, and what is behind it is written', async () => {
    const { directory, membersOf, network } = site();
    const elsewhere = 'uid=x,dc=elsewhere';
    const changes = [
      someone('e0'),
      groupOf('mixed', [dnOf('e0'), elsewhere]),
      groupOf('broken', [dnOf('e0'), `uid=x,dc=other,dc=elsewhere`, `uid=lost,${network}`]),
      groupOf('behind', [dnOf('e0')]),
    ];
    const foretold = await foretoldOf(directory(), changes);
    expect(foretold.get(dnOf('behind'))).toBe('written');
    const { codes, outcomes } = await codesOf(directory(), changes);
    expect(codes).toEqual(['written', 'membersMissing', 'membersMissing', 'written']);
    expect(outcomes[1]!.reason).toContain(elsewhere);
    expect(await membersOf('mixed')).toEqual(['e0']);
    expect(await membersOf('broken')).toEqual(['e0']);
  });

  it('of more than 50 lacks one until he is there, however often it is written', async () => {
    const { directory, membersOf } = site();
    const names = range(60).map((i) => `m${i}`);
    const all = groupOf('all', [...names, 'late'].map(dnOf));
    const first = await codesOf(directory(), [...names.map(someone), all]);
    expect(first.codes.at(-1)).toBe('membersMissing');
    const again = { ...all, place: first.outcomes.at(-1)!.place! };
    const second = await codesOf(directory(), [again]);
    expect(second.outcomes).toMatchObject([{ code: 'membersMissing', place: again.place }]);
    expect(await membersOf('all')).toEqual(names.toSorted());
    const third = await codesOf(directory(), [someone('late'), again]);
    expect(third.codes).toEqual(['written', 'written']);
    expect(await membersOf('all')).toEqual(['late', ...names].toSorted());
  });

  it('that are members of each other keep them when all get other names, also with a change of their own', async () => {
    const { directory, membersOf } = site();
    const persons = range(60).map((i) => `r${i}`);
    const made = (a: string, b: string, some: string[], more: string[] = []) => [
      { ...groupOf(a, [b, ...some].map(dnOf)), id: idOf('one') },
      { ...groupOf(b, [a, ...some, ...more].map(dnOf)), id: idOf('two') },
    ];
    await writeAll(directory(), [...persons, 'newcomer'].map(someone));
    for (const [turn, some] of [persons.slice(0, 2), persons].entries()) {
      const [a, b] = [`a${turn}`, `b${turn}`] as const;
      const before = made(a, b, some);
      await writeAll(directory(), before);
      const { outcomes } = await codesOf(directory(), before);
      // The first was made when the second was not there.
      const places = (await codesOf(directory(), placed(before, outcomes))).outcomes;
      const after = placed(made(`${a} new`, `${b} new`, some, ['newcomer']), places);
      const { codes } = await codesOf(directory(), after);
      expect(codes).toEqual(['written', 'written']);
      expect(await membersOf(`${a} new`)).toEqual([`${b} new`, ...some].toSorted());
      expect(await membersOf(`${b} new`)).toEqual([`${a} new`, 'newcomer', ...some].toSorted());
      const done = await codesOf(directory(), [
        { ...after[0]!, action: 'remove' },
        { ...after[1]!, action: 'remove' },
      ]);
      expect(done.codes).toEqual(['written', 'written']);
    }
  });

  it('gets whom it lacked at its creation, although its members are left alone otherwise', async () => {
    const { directory, membersOf } = site();
    for (const policy of ['keep', 'default'] as const) {
      const name = `left to ${policy}`;
      const [first, second] = [`${policy} 1`, `${policy} 2`];
      const change = groupOf(name, [first, second].map(dnOf));
      const lacking = await codesOf(directory({ member: policy }), [someone(first), change]);
      expect(lacking.codes).toEqual(['written', 'membersMissing']);
      const { place } = lacking.outcomes[1]!;
      const again = { ...change, place: place!, lackedMembers: true as const };
      expect((await codesOf(directory({ member: policy }), [again])).codes).toEqual(['membersMissing']);
      expect((await codesOf(directory({ member: policy }), [someone(second), again])).codes).toEqual([
        'written',
        'written',
      ]);
      expect(await membersOf(name)).toEqual([first, second]);
      const fewer = { ...groupOf(name, [dnOf(first)]), place: place! };
      expect((await codesOf(directory({ member: policy }), [fewer])).codes).toEqual(['written']);
      expect(await membersOf(name)).toEqual([first, second]);
    }
  });
}

function placed(changes: DirectoryChange[], outcomes: { place?: DirectoryChange['place'] }[]): DirectoryChange[] {
  return changes.map((change, i) => ({ ...change, place: outcomes[i]!.place! }));
}
