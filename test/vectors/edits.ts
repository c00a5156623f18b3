/**
 * Vectors for edits (docs/format.md, "Edits"): entries and edits as canonical bytes, what is folded of them, and edits that are
 * malformed. They are entries like all others, so nothing here is sealed; one message carries some (good-edits).
 */
import {
  type Attributes,
  baseOf,
  type Change,
  decodeEntry,
  deriveEntryId,
  type Edit,
  encodeEdit,
  encodeEntry,
  entryHash,
  foldEdits,
  withSettled,
} from '@dirpost/core';

const octets = (values: string[]): Uint8Array[] => values.map((value) => Buffer.from(value));
const attributes = (fields: Record<string, string[]>): Attributes =>
  new Map(Object.entries(fields).map(([name, values]) => [name, octets(values)]));

const owner = 'oslo';
const id = deriveEntryId(owner, 'entryuuid', Buffer.from('1'));
const had = attributes({ cn: ['Åse'], mobile: ['+47 1', '+47 2'], title: ['clerk'] });
const target = encodeEntry({ id, owner, kind: 'person', attributes: had });

function edit(editor: string, values: Record<string, string[]>, serial: number): Buffer {
  const names = Object.keys(values);
  const made: Edit = {
    target: id,
    bases: [baseOf(had, names)],
    serial: Buffer.alloc(8, serial),
    values: attributes(values),
  };
  return encodeEntry(encodeEdit(editor, made));
}

const ofTwo = edit('lima', { title: ['chief'], mobile: [] }, 1);
const ofOne = edit('bonn', { title: ['boss'], l: ['Ås'] }, 2);
const settled = Buffer.from(withSettled(target, [entryHash(ofTwo)]));

/** The same edit with something of it otherwise. */
function spoilt(change: (attributes: Attributes) => void, as: Partial<ReturnType<typeof decodeEntry>> = {}): string {
  const entry = decodeEntry(ofTwo);
  change(entry.attributes);
  return encodeEntry({ ...entry, ...as }).toString('hex');
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

export const editVectors = {
  comment:
    'Canonical bytes and hashes in hexadecimal. Each of `malformed` is an edit that is none: a reader shows nothing of it, and refuses it as a server.',
  target: hex(target),
  edits: [ofTwo, ofOne].map((bytes) => ({ bytes: hex(bytes), hash: hex(entryHash(bytes)) })),
  bases: [
    { attributes: ['title'], base: hex(baseOf(had, ['title'])) },
    { attributes: ['mobile', 'title'], base: hex(baseOf(had, ['title', 'mobile'])) },
    { attributes: ['l'], base: hex(baseOf(had, ['l'])) },
  ],
  folded: [
    { of: hex(target), edits: [0], gives: hex(foldEdits(target, [ofTwo])) },
    { of: hex(target), edits: [1, 0], gives: hex(foldEdits(target, [ofOne, ofTwo])) },
    { of: hex(settled), edits: [0, 1], gives: hex(foldEdits(settled, [ofTwo, ofOne])) },
  ],
  malformed: {
    'no target': spoilt((all) => all.delete('x-edit-target')),
    'two targets': spoilt((all) => all.get('x-edit-target')!.push(Buffer.alloc(16))),
    'the id of another edit': spoilt(() => {}, { id: Buffer.alloc(16, 7) }),
    'another editor': spoilt(() => {}, { owner: 'bonn' }),
    'another kind': spoilt(() => {}, { kind: 'person' }),
    'no base': spoilt((all) => all.delete('x-edit-base')),
    'nine bases': spoilt((all) =>
      all.set(
        'x-edit-base',
        Array.from({ length: 9 }, (_, i) => Buffer.alloc(16, i)),
      ),
    ),
    'a short base': spoilt((all) => all.set('x-edit-base', [Buffer.alloc(15)])),
    'no serial': spoilt((all) => all.delete('x-edit-serial')),
    'a long serial': spoilt((all) => all.set('x-edit-serial', [Buffer.alloc(9)])),
    'clears what it sets': spoilt((all) => all.set('x-edit-clear', octets(['title']))),
    'changes nothing': spoilt((all) => {
      all.delete('title');
      all.delete('x-edit-clear');
    }),
    'an object class': spoilt((all) => all.set('objectclass', octets(['person']))),
    'a DN': spoilt((all) => all.set('x-edit-clear', octets(['entrydn']))),
    'a member': spoilt((all) => all.set('member;entryid', [Buffer.alloc(16)])),
    'a password': spoilt((all) => all.set('userpassword;x', octets(['secret']))),
    'a mark': spoilt((all) => all.set('x-edit-settled', [Buffer.alloc(16)])),
    'a name in capitals': spoilt((all) => all.set('x-edit-clear', octets(['Mobile']))),
  },
};

/** As a message carries them. */
export const editChanges: Change[] = [target, ofTwo, ofOne].map((bytes, i) => {
  const entry = decodeEntry(bytes);
  return { number: i + 1, id: entry.id, owner: entry.owner, state: 'whole', bytes };
});
