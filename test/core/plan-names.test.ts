/** T3: names in a directory that is written entry by entry: one value for one name, however it is spelt. */
import { beforeEach, expect, it } from 'vitest';
import { CONTAINER, entryOf, Office, textsOf } from './target-tree.ts';

let office: Office;
beforeEach(async () => {
  office = await new Office().begin();
});

const OSLO = `ou=oslo,${CONTAINER}`;

it.each([
  ['with spaces around it', ' Anna Berg ', 'Anna Berg'],
  ['with spaces in it', 'Anna  Berg', 'Anna  Berg'],
])('a name %s is no second value beside that of the DN', async (_, name, rdn) => {
  await office.put(entryOf('anna', { cn: name }));
  const change = (await office.write()).at(-1)!;
  expect(change.dn).toBe(`cn=${rdn},${OSLO}`);
  expect(textsOf(change.attributes)['cn']).toEqual([name]);
});

it('a name at the owner that is spelt otherwise than his DN is written as he has it', async () => {
  const anna = entryOf('anna', { cn: 'Anna Berg' });
  anna.attributes.set('entrydn', [Buffer.from('cn=ANNA BERG,ou=people,dc=oslo')]);
  await office.put(anna);
  const change = (await office.write()).at(-1)!;
  expect(change.dn).toBe(`cn=ANNA BERG,${OSLO}`);
  expect(textsOf(change.attributes)['cn']).toEqual(['Anna Berg']);
});

it('a name that gets other capital letters gets another DN, and is no other entry', async () => {
  await office.put(entryOf('team', { members: ['anna'] }));
  await office.put(entryOf('anna', { cn: 'anna mcdonald' }));
  await office.write();
  await office.put(entryOf('anna', { cn: 'Anna McDonald' }));
  const [change] = await office.write();
  expect(change).toMatchObject({ dn: `cn=Anna McDonald,${OSLO}`, place: { dn: `cn=anna mcdonald,${OSLO}` } });
  expect(textsOf(change!.attributes)['cn']).toEqual(['Anna McDonald']);
  expect(await office.plan()).toEqual([]);
  expect(office.tree.texts().filter((dn) => dn.startsWith('cn=anna'))).toHaveLength(1);
});
