/** Requests with very many members, cut into several. */
import { describe, expect, it } from 'vitest';
import type { Modification, Operation } from './requests.ts';
import { splitMembers } from './split-members.ts';

const dns = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => Buffer.from(`cn=${from + i},ou=people,dc=example`));
const texts = (values: Iterable<Uint8Array>) => Array.from(values, (value) => Buffer.from(value).toString());
const changesOf = (operations: Operation[]) => operations.flatMap((one) => (one.type === 'modify' ? one.changes : []));

describe('a group that is made', () => {
  const description = Buffer.alloc(500);
  const members = dns(0, 100);
  const add: Operation = {
    type: 'add',
    dn: 'cn=all',
    attributes: new Map([
      ['cn', [Buffer.from('all')]],
      ['description', [description]],
      ['member', members],
    ]),
  };

  it('has everything but some of its members with the first, and those with the others', () => {
    const parts = splitMembers(add, 1_500)!;
    const [first, ...rest] = parts;
    if (first?.type !== 'add') throw new Error('it is made first');
    const attributes = new Map(first.attributes);
    expect([...attributes.keys()]).toEqual(['cn', 'description', 'member']);
    expect(changesOf(rest).every(({ kind, attribute }) => kind === 'add' && attribute === 'member')).toBe(true);
    const all = [...attributes.get('member')!, ...changesOf(rest).flatMap(({ values }) => values)];
    expect(texts(all)).toEqual(texts(members));
    expect(attributes.get('member')!.length).toBeLessThan(changesOf(rest)[0]!.values.length);
  });

  it('has a member with the first, although all else is larger than a part', () => {
    const [first] = splitMembers(add, 100)!;
    expect(first?.type === 'add' && new Map(first.attributes).get('member')!.length).toBe(1);
  });

  it('with one member, or none, is not cut', () => {
    for (const some of [dns(0, 1), []]) {
      expect(splitMembers({ ...add, attributes: new Map([['member', some]]) }, 10)).toBeNull();
    }
  });
});

describe('a group that is changed', () => {
  const modify = (...changes: Modification[]): Operation => ({ type: 'modify', dn: 'cn=all', changes });
  const gone: Modification = { kind: 'delete', attribute: 'member', values: dns(0, 20) };
  const came: Modification = { kind: 'add', attribute: 'member', values: dns(100, 20) };
  const title: Modification = { kind: 'replace', attribute: 'description', values: [Buffer.from('x')] };

  it('loses the last of those who go when the others have come: it has members all the time', () => {
    const changes = changesOf(splitMembers(modify(title, gone, came), 300)!);
    expect(changes[0]).toEqual(title);
    expect(changes.at(-1)).toEqual({ ...gone, values: gone.values.slice(-1) });
    const valuesOf = (kind: string) =>
      texts(changes.filter((one) => one.kind === kind).flatMap(({ values }) => values));
    expect(valuesOf('delete')).toEqual(texts(gone.values));
    expect(valuesOf('add')).toEqual(texts(came.values));
  });

  it('is replaced by the first part, and gets the others added', () => {
    const replaced: Modification = { kind: 'replace', attribute: 'member', values: dns(0, 30) };
    const kinds = changesOf(splitMembers(modify(replaced), 300)!).map(({ kind }) => kind);
    expect(kinds[0]).toBe('replace');
    expect(new Set(kinds.slice(1))).toEqual(new Set(['add']));
  });

  it('in nothing but other attributes is not cut', () => {
    expect(splitMembers(modify(title), 10)).toBeNull();
    expect(splitMembers(modify({ ...gone, values: gone.values.slice(0, 1) }), 10)).toBeNull();
  });
});
