/** What preview says of changes, beside what a write comes to. */
import type { DirectoryChange } from '@dirpost/core';
import type { LdapDirectory } from '../../packages/adapters/src/directories/ldap/directory.ts';
import { attributesOf, idOf, writeAll } from './ldap-directory.ts';

const signal = new AbortController().signal;

/** By DN, what each of them comes to: `written`, or the code of the refusal. */
export async function foretoldOf(directory: LdapDirectory, changes: DirectoryChange[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { dn, action, code } of directory.preview(changes, signal)) {
    found.set(dn, action === 'refused' ? code! : 'written');
  }
  return found;
}

export async function wroteOf(directory: LdapDirectory, changes: DirectoryChange[]): Promise<Map<string, string>> {
  const outcomes = await writeAll(directory, changes);
  return new Map(outcomes.map(({ code, result }, i) => [changes[i]!.dn, code ?? result]));
}

export const group = (name: string, members: string[], within: string): DirectoryChange => ({
  id: idOf(name),
  action: 'put',
  kind: 'group',
  dn: `cn=${name},${within}`,
  attributes: attributesOf({ cn: name, ...(members.length > 0 && { member: members }) }),
});

export function takenOf(wrote: Map<string, string>): number {
  return [...wrote.values()].filter((code) => code === 'written').length;
}
