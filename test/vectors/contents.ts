/** Changes for the good vectors: every state and kind, and people enough to bring out every encoding of columns. */
import {
  type Attributes,
  type Change,
  deriveEntryId,
  encodeAttributes,
  encodeEntry,
  type EntryKind,
} from '@dirpost/core';
import { organisation, seeded, toDirectoryEntry } from '../bench/organisation.ts';

const octets = (values: (string | Uint8Array)[]): Uint8Array[] => values.map((value) => Buffer.from(value));
const attributes = (fields: Record<string, (string | Uint8Array)[]>): Attributes =>
  new Map(Object.entries(fields).map(([name, values]) => [name, octets(values)]));

function whole(
  number: number,
  kind: EntryKind,
  fields: Record<string, (string | Uint8Array)[]>,
  owner = 'oslo',
): Change {
  const id = Buffer.alloc(16, number);
  return { number, id, owner, state: 'whole', bytes: encodeEntry({ id, owner, kind, attributes: attributes(fields) }) };
}

export const everyState: Change[] = [
  whole(1, 'person', { cn: ['Åse Ødegård'], mail: ['b@example.org', 'a@example.org'], description: [''] }),
  whole(
    2,
    'contact',
    { cn: ['x'], jpegphoto: [Buffer.from([0xff, 0xd8, 0, 10, 13])], 'cn;lang-no': ['y\nz'] },
    'tromsø',
  ),
  whole(3, 'resource', { cn: ['Room 1'], 'x-own-attribute': ['1', '2', '10'] }),
  whole(4, 'edit', { target: ['t'] }),
  whole(5, 'group', {
    cn: ['all'],
    'member;entryid': [Buffer.alloc(16, 1), Buffer.alloc(16, 2), Buffer.alloc(16, 99)],
  }),
  {
    number: 6,
    id: null,
    owner: 'oslo',
    state: 'part',
    bytes: encodeAttributes(attributes({ title: ['Boss'], mail: [] })),
  },
  {
    number: 7,
    id: Buffer.alloc(16, 7),
    owner: 'oslo',
    state: 'part',
    bytes: encodeAttributes(attributes({ l: ['Ås'] })),
  },
  { number: 8, id: null, owner: 'oslo', state: 'removed', bytes: Buffer.alloc(0) },
  { number: 0, id: Buffer.alloc(16, 9), owner: 'tromsø', state: 'removed', bytes: Buffer.alloc(0) },
  { number: 2 ** 40, id: null, owner: 'oslo', state: 'removed', bytes: Buffer.alloc(0) },
];

/** Ids are derived; columns are derived, foretold, masked, in dictionaries; time-based UUIDs; groups of people. */
export function people(count: number): Change[] {
  const random = seeded(7);
  const changes = [...organisation(count, 5)].map((person, i): Change => {
    const { dn, attributes: fields } = toDirectoryEntry(person);
    const time = (0x6f000000 + i * 1_000_003 + Math.floor(random() * 1000)).toString(16);
    fields.set('entrydn', octets([dn]));
    fields.set('entryuuid', octets([`${time}-7ab1-103b-9d0f-0f7c3bb7ad26`]));
    fields.set('objectguid', octets([Buffer.from(Array.from({ length: 16 }, () => Math.floor(random() * 256)))]));
    fields.set('whencreated', octets([`20240131${String(100000 + i * 7)}Z`]));
    if (i % 3 > 0) fields.set('manager', octets([dn.replace(/uid=[^,]*/, 'uid=boss')]));
    const id = deriveEntryId('oslo', 'entryuuid', fields.get('entryuuid')![0]!);
    const bytes = encodeEntry({ id, owner: 'oslo', kind: 'person', attributes: fields });
    return { number: i * 2 + 1, id, owner: 'oslo', state: 'whole', bytes };
  });
  const members = changes.filter((_, i) => i % 4 === 0).map(({ id }) => id!);
  return [
    ...changes,
    whole(count * 2 + 2, 'group', { cn: ['some'], 'member;entryid': [...members, Buffer.alloc(16, 3)] }),
  ];
}
