/** The rules of the exchange (design section 4), broken one by one; see mutations.ts. For rule 5: dead-branch.test.ts. */
import { createHash } from 'node:crypto';
import {
  type Cursor,
  type Exchange,
  generationOf,
  type OutgoingSummary,
  type ServerRecord,
  type Update,
} from '@dirpost/core';
import { SERVER } from './machine.ts';
import type { NamedMutation } from './mutations.ts';
import {
  readingAs,
  readingExchangesAs,
  readingOwn,
  readingRequestors,
  readingUpdatesAs,
  watchingReplica,
  withLive,
  withoutReading,
  withPartsMixed,
} from './lies.ts';
import { overriding } from './store.ts';

/** Restores of servers and requestors, again and again. */
const RESTORES = { restore: 4, backup: 6 };
const COPIES = { clone: 2 };
const EVERYBODY = [SERVER, 'oslo', 'lima', 'bonn', 'riga', 'kiel', 'genf'];

export const exchangeMutations: NamedMutation[] = [
  {
    name: 'what was heard of the server is forgotten',
    rule: '§4.1',
    shows: /heard/,
    make: () => ({ store: (tx) => readingOwn(tx, (own) => ({ ...own, heard: null })) }),
  },
  {
    name: 'heard goes back',
    rule: '§4.1',
    shows: /heard/,
    seed: 2,
    world: { weights: RESTORES },
    make() {
      let arrived: Update | null = null;
      return {
        codec: (codec) => readingUpdatesAs(codec, (head) => (arrived = head)),
        store: (tx) =>
          readingOwn(tx, (own) => {
            const older = generationOf(arrived?.incarnation ?? null) < generationOf(own.heard?.incarnation ?? null);
            return older && arrived !== null ? { ...own, heard: { incarnation: arrived.incarnation, number: 0 } } : own;
          }),
      };
    },
  },
  {
    name: 'a restored server takes no higher generation than the first',
    rule: '§4.1',
    shows: /not converged/,
    world: { weights: RESTORES },
    make: () => ({
      store: (tx, postoffice) =>
        overriding(tx, (method, args) => {
          if (postoffice !== SERVER || method !== 'putDocument' || args[0] !== 'server') return undefined;
          const record = args[1] as ServerRecord;
          return tx.putDocument('server', { ...record, incarnation: record.incarnation.replace(/^\d+/, '0') });
        }),
    }),
  },
  {
    name: 'an exchange that is older than the newest is processed again',
    rule: '§4.4',
    shows: /needless/,
    seed: 8,
    make() {
      let arrived: Exchange | null = null;
      return {
        codec: (codec, postoffice) => readingExchangesAs(codec, postoffice, (head) => (arrived = head)),
        store: (tx, postoffice) =>
          readingRequestors(tx, postoffice, (record) => {
            return { ...record, newest: Math.min(record.newest, (arrived?.number ?? 0) - 1) };
          }),
      };
    },
  },
  {
    name: 'a restored owner replaces before he has read his directories',
    rule: '§4.5',
    shows: /lost/,
    seed: 27,
    world: {
      requestors: 1,
      steps: 250,
      badReads: 0.6,
      weights: { people: 15, cycle: 25, deliver: 90, restore: 5, backup: 6 },
    },
    make: () => ({ postoffice: withoutReading }),
  },
  {
    name: 'two payloads under one number go unnoticed',
    rule: '§4.6',
    shows: /not converged/,
    seed: 30,
    world: { clones: true, weights: COPIES },
    make() {
      let arrived = '';
      return {
        codec: (codec) =>
          readingAs(codec, (head, payload) => {
            if (head.kind === 'exchange') arrived = createHash('sha256').update(payload).digest('hex');
            return head;
          }),
        store: (tx, postoffice) =>
          readingRequestors(tx, postoffice, (record) => ({
            ...record,
            newestHashes: record.newestHashes.map(() => arrived),
          })),
      };
    },
  },
  {
    name: 'a superseded copy is not told',
    rule: '§4.7',
    shows: /not converged/,
    world: { clones: true, weights: COPIES },
    make: () => ({
      codec: (codec) => ({
        ...codec,
        encode: (head, changes) => {
          const silent = head.kind === 'update' && head.mode === 'superseded';
          return codec.encode(silent ? { ...head, mode: 'receipt' } : head, changes);
        },
      }),
    }),
  },
  {
    name: 'a copy whose announcements fail does not stop',
    rule: '§4.7',
    shows: /not converged/,
    seed: 2,
    world: { clones: true, weights: COPIES },
    make: () => ({ store: (tx) => readingOwn(tx, (own) => ({ ...own, told: 0 })) }),
  },
  {
    name: 'a restored server believes every cookie',
    rule: '§4.8',
    shows: /mismatch/,
    world: { calm: true, requestors: 2, steps: 80, weights: { restore: 5, backup: 8 } },
    make() {
      let opened: Cursor | null = null;
      return {
        cookies: (jar) => ({
          seal: (cursor, holder) => jar.seal(cursor, holder),
          open: (cookie, holder) => (opened = jar.open(cookie, holder)),
        }),
        codec: (codec, postoffice) =>
          readingExchangesAs(codec, postoffice, (head) =>
            head.heard === null ? head : { ...head, heard: { ...head.heard, number: 0 } },
          ),
        store: (tx) =>
          overriding(tx, (method, args) => {
            const asked = method === 'checkpoint' && (args[0] as string).startsWith('sent/');
            return asked && opened?.seq === args[1] ? Promise.resolve(opened?.digest) : undefined;
          }),
      };
    },
  },
  {
    name: 'a repair infers removals of owners who have not confirmed themselves',
    rule: '§4.9',
    shows: /lost/,
    seed: 12,
    make: () => ({ codec: (codec) => readingUpdatesAs(codec, (head) => ({ ...head, confirmed: EVERYBODY })) }),
  },
  {
    name: 'an update that does not add up is committed',
    rule: '§4.10',
    shows: /not converged/,
    seed: 4,
    world: { weights: RESTORES },
    make() {
      let present = '';
      return {
        codec: (codec) =>
          readingUpdatesAs(codec, (head) => ({ ...head, to: withLive(head.to, 'digest', () => present) })),
        store: (tx) => watchingReplica(tx, (digest) => (present = digest)),
      };
    },
  },
  {
    name: 'after a failed delta no bucket digests are sent',
    rule: '§4.10',
    shows: /not converged/,
    world: { weights: RESTORES },
    make: () => ({ store: (tx) => readingOwn(tx, (own) => ({ ...own, request: 'changes' })) }),
  },
  {
    name: 'a late exchange is answered as if nothing newer had been sent',
    rule: '§4.10',
    shows: /mismatch/,
    seed: 9,
    world: { calm: true },
    make: () => ({
      store: (tx, postoffice) => readingRequestors(tx, postoffice, (record) => ({ ...record, sentSeq: 0 })),
    }),
  },
  {
    name: 'every part of an update counts as the whole',
    rule: '§4.11',
    shows: /not converged/,
    seed: 2,
    make: () => ({ codec: (codec) => readingUpdatesAs(codec, (head) => ({ ...head, part: 0, parts: 1 })) }),
  },
  {
    name: 'parts that have arrived are forgotten by a crash',
    rule: '§4.11',
    shows: /not converged/,
    seed: 2,
    make: () => ({
      store: (tx) => overriding(tx, (method) => (method === 'putPart' ? Promise.resolve() : undefined)),
    }),
  },
  {
    name: 'parts of two updates are taken for one',
    rule: '§4.11',
    shows: /mismatch|thrown/,
    seed: 9,
    world: { calm: true },
    make: () => ({ store: withPartsMixed }),
  },
  {
    name: 'missing parts are not sent again',
    rule: '§4.11',
    shows: /not converged/,
    seed: 2,
    make: () => ({
      store: (tx) =>
        overriding(tx, (method, args) => {
          const again = method === 'updateOutgoing' && (args[1] as Partial<OutgoingSummary>).deliveredMs === null;
          return again ? Promise.resolve() : undefined;
        }),
    }),
  },
  {
    name: 'parts for a life of a requestor that is over are sent again, and nothing newer',
    rule: '§4.11',
    shows: /not converged/,
    seed: 21,
    world: {
      clones: true,
      requestors: 2,
      weights: { people: 35, cycle: 30, clone: 3, restore: 3, backup: 5, recover: 6 },
    },
    make() {
      let arrived: Exchange | null = null;
      return {
        codec: (codec, postoffice) => readingExchangesAs(codec, postoffice, (head) => (arrived = head)),
        store: (tx, postoffice) =>
          overriding(tx, (method, args) => {
            const filter = args[0] as Parameters<typeof tx.outgoing>[0];
            if (postoffice !== SERVER || method !== 'outgoing' || filter?.kind !== 'update' || arrived === null)
              return undefined;
            const forIncarnation = arrived.incarnation;
            return tx.outgoing(filter).then((kept) => kept.map((message) => ({ ...message, forIncarnation })));
          }),
      };
    },
  },
  {
    name: 'a node takes what is for another incarnation of it',
    rule: '§4.13',
    shows: /runs 0 times/,
    seed: 41,
    world: { clones: true, weights: COPIES },
    make() {
      let present = '';
      return {
        codec: (codec) => readingUpdatesAs(codec, (head) => withLive(head, 'for', () => present)),
        store: (tx) =>
          readingOwn(tx, (own) => {
            present = own.incarnation;
            return own;
          }),
        postoffice: (postoffice) => ({
          ...postoffice,
          sealer: {
            seal: postoffice.sealer.seal.bind(postoffice.sealer),
            open: postoffice.sealer.open.bind(postoffice.sealer),
            outside: () => undefined,
          },
        }),
      };
    },
  },
];
