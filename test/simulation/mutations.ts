/**
 * Deliberately broken rules. Production code has no switches for them: each is broken from outside, by a codec, a cookie
 * jar, a store or a directory that lies. The checkers have to notice every one of them (mutations.test.ts).
 */
import { createHash } from 'node:crypto';
import {
  type Codec,
  type Cursor,
  type Exchange,
  generationOf,
  type MessageHead,
  type OwnRecord,
  type RequestorRecord,
  type StoreTx,
  type Update,
} from '@dirpost/core';
import type { Postoffice } from '../../packages/agent/src/postoffice.ts';
import { type Mutation, SERVER } from './machine.ts';
import { overriding } from './store.ts';
import type { WorldOptions } from './world.ts';

/** What arrives is read as `change` says. */
function readingAs(codec: Codec, change: (head: MessageHead, payload: Uint8Array) => MessageHead): Codec {
  return { ...codec, head: (payload) => change(codec.head(payload), payload) };
}

function readingUpdatesAs(codec: Codec, change: (head: Update) => Update): Codec {
  return readingAs(codec, (head) => (head.kind === 'update' ? change(head) : head));
}

/** A document is read as `change` says. */
function readingDocuments<T>(tx: StoreTx, prefix: string, change: (value: T) => T): StoreTx {
  return overriding(tx, (method, args) => {
    if (method !== 'getDocument' || !(args[0] as string).startsWith(prefix)) return undefined;
    return tx.getDocument<T>(args[0] as string).then((value) => (value === undefined ? value : change(value)));
  });
}

const OWN_DOCUMENT = 'requestor';
const REQUESTOR_DOCUMENTS = 'server/requestor/';

function readingOwn(tx: StoreTx, change: (own: OwnRecord) => OwnRecord): StoreTx {
  return readingDocuments<OwnRecord>(tx, OWN_DOCUMENT, change);
}

function readingRequestors(
  tx: StoreTx,
  postoffice: string,
  change: (record: RequestorRecord) => RequestorRecord,
): StoreTx {
  return postoffice === SERVER ? readingDocuments<RequestorRecord>(tx, REQUESTOR_DOCUMENTS, change) : tx;
}

function hex(payload: Uint8Array): string {
  return createHash('sha256').update(payload).digest('hex');
}

/** A fresh object each time: some remember what they saw. */
export interface NamedMutation {
  name: string;
  /** Of the design, where it stands. */
  rule: string;
  /** What the checkers say of it. */
  shows: RegExp;
  /** The first seed that is tried. */
  seed?: number;
  /** The weather in which it shows soonest. */
  world?: Partial<WorldOptions>;
  /** It shows in one of hundreds of seeds: not looked for in `npm test`, but with RARE=1. */
  rare?: boolean;
  make(): Mutation;
}

export const mutations: NamedMutation[] = [
  {
    name: 'what was heard of the server goes back to a dead life of it',
    rare: true,
    rule: '§4.1',
    shows: /not converged|lost|resurrected/,
    world: { weights: { restore: 4, backup: 6 }, steps: 300 },
    make() {
      let newest: Update | null = null;
      return {
        codec: (codec) => readingUpdatesAs(codec, (head) => (newest = head)),
        store: (tx) =>
          readingOwn(tx, (own) => {
            if (newest === null || own.heard === null) return own;
            if (generationOf(own.heard.incarnation) <= generationOf(newest.incarnation)) return own;
            return { ...own, heard: { incarnation: newest.incarnation, number: 0 } };
          }),
      };
    },
  },
  {
    name: 'an exchange that is older than the newest is processed again',
    rule: '§4.4',
    shows: /needless/,
    make() {
      let arrived: Exchange | null = null;
      return {
        codec: (codec) =>
          readingAs(codec, (head) => {
            if (head.kind === 'exchange') arrived = head;
            return head;
          }),
        store: (tx, postoffice) =>
          readingRequestors(tx, postoffice, (record) => {
            return { ...record, newest: Math.min(record.newest, (arrived?.number ?? 0) - 1) };
          }),
      };
    },
  },
  {
    name: 'a submission replaces, whatever stamp it names',
    rare: true,
    rule: '§4.5',
    shows: /not converged|lost/,
    world: { weights: { restore: 4, backup: 6 }, steps: 300 },
    make() {
      let present = '';
      return {
        codec: (codec, postoffice) =>
          readingAs(codec, (head) => {
            if (postoffice !== SERVER || head.kind !== 'exchange' || !head.submission.full) return head;
            const { replaces: _, ...submission } = head.submission;
            return {
              ...head,
              submission: Object.defineProperty(submission, 'replaces', {
                get: () => present,
              }) as Exchange['submission'],
            };
          }),
        store: (tx, postoffice) =>
          readingRequestors(tx, postoffice, (record) => {
            present = record.stamp;
            return record;
          }),
      };
    },
  },
  {
    name: 'two payloads under one number go unnoticed',
    rule: '§4.6',
    shows: /not converged/,
    world: { clones: true },
    make() {
      let arrived = '';
      return {
        codec: (codec) =>
          readingAs(codec, (head, payload) => {
            if (head.kind === 'exchange') arrived = hex(payload);
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
    world: { clones: true },
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
    world: { clones: true },
    make: () => ({ store: (tx) => readingOwn(tx, (own) => ({ ...own, told: 0 })) }),
  },
  {
    name: 'a restored server believes every cookie',
    rare: true,
    rule: '§4.8',
    shows: /not converged|lost/,
    world: { weights: { restore: 4, backup: 6 } },
    make() {
      let opened: Cursor | null = null;
      return {
        cookies: (jar) => ({
          seal: (cursor, holder) => jar.seal(cursor, holder),
          open: (cookie, holder) => (opened = jar.open(cookie, holder)),
        }),
        codec: (codec, postoffice) =>
          postoffice !== SERVER
            ? codec
            : readingAs(codec, (head) => {
                if (head.kind !== 'exchange' || head.heard === null) return head;
                return { ...head, heard: { ...head.heard, number: 0 } };
              }),
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
    make: () => ({
      codec: (codec) =>
        readingUpdatesAs(codec, (head) => ({
          ...head,
          confirmed: [SERVER, 'oslo', 'lima', 'bonn', 'riga', 'kiel', 'genf'],
        })),
    }),
  },
  {
    name: 'every part of an update counts as the whole',
    rule: '§4.11',
    shows: /not converged/,
    make: () => ({ codec: (codec) => readingUpdatesAs(codec, (head) => ({ ...head, part: 0, parts: 1 })) }),
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
    name: 'a list releases what its filter leaves out',
    rule: '§4.12',
    shows: /leaked/,
    make: () => ({ postoffice: withFilterIgnored }),
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
    name: 'parts that have arrived are forgotten by a crash',
    rule: '§4.11',
    shows: /not converged/,
    make: () => ({
      store: (tx) => overriding(tx, (method) => (method === 'putPart' ? Promise.resolve() : undefined)),
    }),
  },
];

function withFilterIgnored(postoffice: Postoffice): Postoffice {
  const { server } = postoffice;
  if (server === null) return postoffice;
  const lists = server.lists.map((list) => ({
    ...list,
    release: (bytes: Uint8Array) =>
      list.release(bytes) ?? { bytes, hash: createHash('sha256').update(bytes).digest().subarray(0, 16) },
  }));
  return { ...postoffice, server: { ...server, lists } };
}

function withCertificatesForced(postoffice: Postoffice): Postoffice {
  const publishing = postoffice.publishing.map(({ directory, mapping }) => ({
    mapping,
    directory: {
      name: directory.name,
      writes: directory.writes,
      write: directory.write.bind(directory),
      async *read(...args: Parameters<typeof directory.read>) {
        for await (const batch of directory.read(...args)) {
          yield batch.certificate === undefined
            ? batch
            : { ...batch, certificate: { ...batch.certificate, complete: true } };
        }
      },
    },
  }));
  return { ...postoffice, publishing };
}

function withoutCorrupt(postoffice: Postoffice): Postoffice {
  const { spool } = postoffice;
  return {
    ...postoffice,
    spool: {
      put: spool.put.bind(spool),
      list: spool.list.bind(spool),
      read: spool.read.bind(spool),
      remove: spool.remove.bind(spool),
      note: spool.note.bind(spool),
      async move(from, name, to, note) {
        if (to !== 'corrupt') return spool.move(from, name, to, note);
        await spool.remove(from, name);
        return name;
      },
    },
  };
}
