/** Two postoffices: hq publishes out of an LDIF file, a branch publishes out of its LDAP server and has hq's people written into it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runHere, temporaryFolder } from '../cli/network.ts';
import { makeOffices, type Office } from '../demo/office.ts';
import { readLdif } from '../demo/contents.ts';
import { makeStaff, type Person, type Staff } from '../demo/people.ts';
import type { Login } from '../servers/ldap/commands.ts';
import { setDirectories } from './ldap-offices.ts';

export interface OwnServer {
  profile: '389ds' | 'ad';
  url: string;
  ca: string;
  login: Login;
  base: string;
  /** It is for somebody else to make. */
  container: string;
  firstWrite?: 'held' | 'allowed';
}

export interface OwnOffices {
  hq: Office;
  branch: Office;
}

/** hq has three people, and a group of them. */
export async function ownOffices({
  profile,
  url,
  ca,
  login,
  base,
  container,
  firstWrite = 'held',
}: OwnServer): Promise<OwnOffices> {
  const [hq, branch] = (await makeOffices(await temporaryFolder(), ['hq', 'oslo'], runHere)) as [Office, Office];
  await hq.writePeople(staffWith({}));
  await writeFile(join(branch.data, 'ldap-password'), `${login.password}\n`, { mode: 0o600 });
  const bind = { method: 'simple', dn: login.dn, password: { file: 'ldap-password' } };
  const line = { type: 'ldap', profile, servers: [url], ca, bind };
  const target = { container, makeContainer: false, firstWrite };
  await setDirectories(branch, [
    { name: 'people', direction: 'publish', ...line, base },
    { name: 'network', direction: 'subscribe', ...line, ...target },
  ]);
  return { hq, branch };
}

/** All three people with this. */
export function staffWith(changed: Partial<Person>): Staff {
  const staff = makeStaff('hq', 3, 1);
  return { ...staff, people: staff.people.map((person) => ({ ...person, ...changed })) };
}

/** Both ways, and the word of it back. hq first: else its own people may come after the question for them. */
export async function ownCycle({ hq, branch }: OwnOffices): Promise<void> {
  await hq.must('sync');
  await branch.must('sync', '--wait', '0');
  await hq.must('sync');
  await branch.run('dispatch');
  await hq.must('dispatch');
}

/** What the branch's last read of its people came to. */
export async function takenOf(branch: Office): Promise<{ added: number; removed: number; recognised: number }> {
  const { directories } = (await branch.status()) as unknown as {
    directories: { read: { added: number; removed: number; recognised: number } }[];
  };
  return directories[0]!.read;
}

/** The people and groups of the branch, as hq has them: DN → all that is told of them but `key`. */
export async function publishedAtHq(hq: Office, key: string): Promise<Map<string, Map<string, string[]>>> {
  const all = await readLdif(hq.network);
  for (const [dn, attributes] of all) {
    if (attributes.get('cn') === undefined) all.delete(dn);
    attributes.delete(key);
  }
  return all;
}
