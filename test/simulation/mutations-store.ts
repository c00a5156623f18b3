/** What must always hold (design section 3), broken rule by rule; see mutations.ts. */
import type { ListRecord, Update } from '@dirpost/core';
import { SERVER } from './machine.ts';
import type { NamedMutation } from './mutations.ts';
import {
  readingLists,
  readingOwn,
  readingUpdatesAs,
  withCertificatesForced,
  withFilterIgnored,
  withForeignTombstones,
  withoutCorrupt,
  withReplicaLater,
  withSignaturesIgnored,
} from './lies.ts';
import { overriding } from './store.ts';

export const storeMutations: NamedMutation[] = [
  {
    name: 'an altered message file is believed',
    rule: '§3.1',
    shows: /corrupt/,
    make: () => ({ postoffice: withSignaturesIgnored }),
  },
  {
    name: 'an older update is applied over a newer one',
    rule: '§3.2',
    shows: /mismatch/,
    world: { calm: true },
    make() {
      let arrived: Update | null = null;
      return {
        codec: (codec) => readingUpdatesAs(codec, (head) => (arrived = head)),
        store: (tx) =>
          readingOwn(tx, (own) => {
            if (own.cursor === null || arrived === null) return own;
            return { ...own, cursor: { ...own.cursor, number: 0, seq: Math.min(own.cursor.seq, arrived.to.seq) } };
          }),
      };
    },
  },
  {
    name: 'an update is half applied and the cursor moves',
    rule: '§3.3',
    shows: /not converged/,
    make: () => ({
      store: (tx) =>
        overriding(tx, (method, args) => {
          return method === 'removeEntries' && args[0] === 'replica' ? Promise.resolve() : undefined;
        }),
    }),
  },
  {
    name: 'the data of an update commit after its cursor',
    rule: '§3.3',
    shows: /not converged/,
    make() {
      let updates = 0;
      const crashes = () => ++updates % 7 === 0;
      return {
        postoffice: (postoffice) => ({ ...postoffice, store: withReplicaLater(postoffice.store, crashes) }),
      };
    },
  },
  {
    name: 'tombstones of a list are forgotten before anybody has verified them',
    rule: '§3.4',
    shows: /mismatch/,
    world: { calm: true },
    make: () => ({
      store: (tx) =>
        overriding(tx, (method, args) => {
          return method === 'purgeList' ? tx.purgeList(args[0] as string, Number.MAX_SAFE_INTEGER) : undefined;
        }),
    }),
  },
  {
    name: 'a cursor below the purge horizon is good for a delta',
    rule: '§3.4',
    shows: /mismatch/,
    world: { calm: true, weights: { clock: 6 } },
    make: () => ({ store: (tx) => readingLists<ListRecord>(tx, (record) => ({ ...record, purged: 0 })) }),
  },
  {
    name: 'an incomplete read counts as complete',
    rule: '§3.5',
    shows: /lost/,
    make: () => ({ postoffice: withCertificatesForced }),
  },
  {
    name: 'what cannot be opened is thrown away',
    rule: '§3.6',
    shows: /corrupt/,
    make: () => ({ postoffice: withoutCorrupt }),
  },
  {
    name: 'checkpoints are never forgotten',
    rule: '§3.7',
    shows: /growth/,
    make: () => ({
      store: (tx) =>
        overriding(tx, (method, args) => {
          return method === 'keepCheckpoints' ? tx.keepCheckpoints(args[0] as string, 1_000_000) : undefined;
        }),
    }),
  },
  {
    name: 'parts of an exchange stay staged when it is overtaken or complete',
    rule: '§3.7',
    shows: /growth/,
    seed: 3,
    make: () => ({
      store: (tx) =>
        overriding(tx, (method, args) => {
          return method === 'removeParts' && args[1] === 'exchange' && args[2] !== undefined
            ? Promise.resolve()
            : undefined;
        }),
    }),
  },
  {
    name: 'a list releases what its filter leaves out',
    rule: '§4.12',
    shows: /leaked/,
    make: () => ({ postoffice: withFilterIgnored }),
  },
  {
    name: 'a list sends tombstones of what was never on it',
    rule: '§4.12',
    shows: /leaked/,
    seed: 36,
    make: () => ({ store: (tx, postoffice) => (postoffice === SERVER ? withForeignTombstones(tx) : tx) }),
  },
  {
    name: "a requestor's own entries come back to it",
    rule: '§4',
    shows: /own/,
    make: () => ({
      store: (tx) =>
        overriding(tx, (method, args) => {
          const [list, after, , limit] = args as [string, number, string, number];
          return method === 'listSince' ? tx.listSince(list, after, '', limit) : undefined;
        }),
    }),
  },
];
