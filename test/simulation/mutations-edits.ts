/** Edits of others' entries (design section 5), broken; see mutations.ts. */
import { type EntryRow, entryHash, foldEdits, settledIn, type StoreTx, withSettled } from '@dirpost/core';
import { SERVER } from './machine.ts';
import type { NamedMutation } from './mutations.ts';
import { overriding } from './store.ts';

const edits = true;

/** What is published is read without the marks of edits that were settled. */
function withoutMarks(tx: StoreTx): StoreTx {
  return overriding(tx, (method, args) => {
    if (method !== 'entriesById' || args[0] !== 'published') return undefined;
    return tx.entriesById('published', args[1] as Uint8Array[]).then((rows) => rows.map(unmarked));
  });
}

function unmarked(row: EntryRow | undefined): EntryRow | undefined {
  if (row?.bytes == null || settledIn(row.bytes).length === 0) return row;
  return { ...row, bytes: withSettled(row.bytes, []) };
}

/** Rows of the replica are written with the edits folded in. */
function withFoldsHashed(tx: StoreTx): StoreTx {
  return overriding(tx, (method, args) => {
    if (method !== 'putEntries' || args[0] !== 'replica') return undefined;
    const rows = args[1] as EntryRow[];
    return tx
      .editsOf(
        'replica',
        rows.map(({ id }) => id),
      )
      .then((found) => {
        const folded = rows.map((row, i) => {
          if (row.bytes === null || found[i]!.length === 0) return row;
          const bytes = foldEdits(
            row.bytes,
            found[i]!.map((edit) => edit.bytes!),
          );
          return { ...row, bytes, hash: entryHash(bytes) };
        });
        return tx.putEntries('replica', folded);
      });
  });
}

export const editMutations: NamedMutation[] = [
  {
    name: 'an edit is withdrawn before its owner has settled it',
    rule: '§5',
    shows: /unsettled/,
    world: { edits },
    make: () => ({ withdraws: () => true }),
  },
  {
    name: 'a read forgets that an edit was settled',
    rule: '§5',
    shows: /unmarked/,
    world: { edits },
    make: () => ({ store: withoutMarks }),
  },
  {
    name: 'an edit that was settled is taken once more',
    rule: '§5',
    shows: /twice/,
    world: { edits, weights: { propose: 30, revert: 30 } },
    make: () => ({
      store: (tx) =>
        overriding(withoutMarks(tx), (method, args) => {
          const isMemory = method === 'getDocument' && (args[0] as string).startsWith('settled/');
          return isMemory ? Promise.resolve() : undefined;
        }),
    }),
  },
  {
    name: 'the server takes edits that the list of their editor does not take',
    rule: '§5',
    shows: /allowed/,
    world: { edits },
    make: () => ({
      postoffice(postoffice) {
        const { server } = postoffice;
        if (server === null) return postoffice;
        const lists = server.lists.map((list) => ({ ...list, takesEditsOf: () => true }));
        return { ...postoffice, server: { ...server, lists } };
      },
    }),
  },
  {
    name: 'edits of an entry that leaves the lists stay on them',
    rule: '§5',
    shows: /allowed/,
    world: { edits },
    make: () => ({
      store: (tx, postoffice) =>
        overriding(tx, (method, args) => {
          if (postoffice !== SERVER || method !== 'editsOf' || args[0] !== 'collected') return undefined;
          return Promise.resolve((args[1] as Uint8Array[]).map(() => []));
        }),
    }),
  },
  {
    name: 'what is folded is hashed',
    rule: '§5',
    shows: /mismatch/,
    world: { edits, calm: true },
    make: () => ({ store: withFoldsHashed }),
  },
];
