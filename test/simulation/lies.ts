/**
 * How a rule is broken from outside of the code under test: codecs, stores, seals and directories that lie. What is
 * broken with them is listed in mutations.ts.
 */
import { createHash, createHmac } from 'node:crypto';
import {
  type Codec,
  type Digest,
  type EntryTable,
  type Exchange,
  isDirpostError,
  type ListedEntry,
  type MessageHead,
  type OwnRecord,
  type RequestorRecord,
  type StagedPart,
  type Store,
  type StoreTx,
  type Update,
} from '@dirpost/core';
import { CompleteReads } from '../../packages/agent/src/complete-reads.ts';
import type { Postoffice } from '../../packages/agent/src/postoffice.ts';
import { digestOf } from './checkers.ts';
import { SimulatedCrash } from './gate.ts';
import { SERVER } from './machine.ts';
import { overriding } from './store.ts';

/** What arrives is read as `change` says. */
export function readingAs(codec: Codec, change: (head: MessageHead, payload: Uint8Array) => MessageHead): Codec {
  return { ...codec, head: (payload) => change(codec.head(payload), payload) };
}

export function readingUpdatesAs(codec: Codec, change: (head: Update) => Update): Codec {
  return readingAs(codec, (head) => (head.kind === 'update' ? change(head) : head));
}

/** On the server. */
export function readingExchangesAs(codec: Codec, postoffice: string, change: (head: Exchange) => Exchange): Codec {
  return readingAs(codec, (head) => (postoffice === SERVER && head.kind === 'exchange' ? change(head) : head));
}

/** `object`, of which `name` is whatever it is when somebody looks. */
export function withLive<T extends object, K extends keyof T>(object: T, name: K, get: () => T[K]): T {
  return Object.defineProperty({ ...object }, name, { get, enumerable: true });
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

export function readingOwn(tx: StoreTx, change: (own: OwnRecord) => OwnRecord): StoreTx {
  return readingDocuments<OwnRecord>(tx, OWN_DOCUMENT, change);
}

export function readingRequestors(
  tx: StoreTx,
  postoffice: string,
  change: (record: RequestorRecord) => RequestorRecord,
): StoreTx {
  return postoffice === SERVER ? readingDocuments<RequestorRecord>(tx, REQUESTOR_DOCUMENTS, change) : tx;
}

/** What the store says of lists is read as `change` says; `purged` and the like are saved as they were read. */
export function readingLists<T>(tx: StoreTx, change: (record: T) => T): StoreTx {
  return readingDocuments<T>(tx, 'server/list/', change);
}

/** `after` sees the digest of the replica at every moment of a transaction. */
export function watchingReplica(tx: StoreTx, after: (digest: Digest) => void): StoreTx {
  const look = async <T>(done: Promise<T>): Promise<T> => {
    const result = await done;
    after(digestOf(await tx.scanEntries('replica', 0, 100_000)));
    return result;
  };
  return overriding(tx, (method, args) => {
    const [table, value] = args as [EntryTable, never];
    if (method === 'getDocument' && args[0] === OWN_DOCUMENT) return look(tx.getDocument(OWN_DOCUMENT));
    if (table !== 'replica') return undefined;
    if (method === 'putEntries') return look(tx.putEntries(table, value));
    return method === 'removeEntries' ? look(tx.removeEntries(table, value)) : undefined;
  });
}

/** The replica is written in a transaction of its own, after the one that moved the cursor; some crashes come between. */
export function withReplicaLater(store: Store, crashes: () => boolean): Store {
  return {
    read: store.read.bind(store),
    close: store.close.bind(store),
    async transaction(work, options) {
      const later: ((tx: StoreTx) => Promise<unknown>)[] = [];
      const result = await store.transaction(async (tx) => work(puttingOff(tx, later)), options);
      if (later.length === 0) return result;
      if (crashes()) throw new SimulatedCrash('between cursor and data');
      await store.transaction(async (tx) => {
        for (const write of later) await write(tx);
      });
      return result;
    },
  };
}

function puttingOff(tx: StoreTx, later: ((tx: StoreTx) => Promise<unknown>)[]): StoreTx {
  return overriding(tx, (method, args) => {
    const [table, value] = args as [EntryTable, never];
    if (table !== 'replica' || (method !== 'putEntries' && method !== 'removeEntries')) return undefined;
    if ((value as unknown[]).length > 0) later.push((other) => other[method](table, value) as Promise<unknown>);
    return Promise.resolve([]);
  });
}

/** Tombstones of entries that were on no list come with those of the list. */
export function withForeignTombstones(tx: StoreTx): StoreTx {
  return overriding(tx, (method, args) => {
    if (method !== 'listSince') return undefined;
    const [list, after, exceptOwner, limit] = args as [string, number, string, number];
    return (async (): Promise<ListedEntry[]> => {
      const listed = await tx.listSince(list, after, exceptOwner, limit);
      const gone = (await tx.entriesSince('collected', after, limit)).filter(
        (row) => row.deleted && row.owner !== exceptOwner,
      );
      const rows = await tx.listRows(
        list,
        gone.map((row) => row.number),
      );
      const foreign = gone.filter((_, i) => rows[i] === undefined);
      const none = { left: true, first: 0, entered: 0, introduced: 0 };
      return [...listed, ...foreign.map((entry) => ({ row: { ...entry, ...none }, entry }))].sort(
        (one, other) => one.row.seq - other.row.seq,
      );
    })();
  });
}

/** Staged parts of one update count as those of another. */
export function withPartsMixed(tx: StoreTx): StoreTx {
  return overriding(tx, (method, args) => {
    const [from, kind, incarnation, number, part] = args as [string, StagedPart['kind'], string, number, number];
    if (kind !== 'update') return undefined;
    if (method === 'parts')
      return tx.parts(from, kind).then((parts) => {
        const newest = parts.at(-1);
        const last = new Map(parts.map((one) => [one.part, { ...one, number: newest!.number }]));
        return [...last.values()].filter((one) => one.part < newest!.parts);
      });
    if (method !== 'partPayload') return undefined;
    return tx.partPayload(from, kind, incarnation, number, part).then(async (payload) => {
      if (payload !== undefined) return payload;
      const other = (await tx.parts(from, kind)).filter((one) => one.part === part).at(-1);
      return other && tx.partPayload(from, kind, other.incarnation, other.number, part);
    });
  });
}

export function withFilterIgnored(postoffice: Postoffice): Postoffice {
  const { server } = postoffice;
  if (server === null) return postoffice;
  const lists = server.lists.map((list) => ({
    ...list,
    release: (bytes: Uint8Array) =>
      list.release(bytes) ?? { bytes, hash: createHash('sha256').update(bytes).digest().subarray(0, 16) },
  }));
  return { ...postoffice, server: { ...server, lists } };
}

export function withCertificatesForced(postoffice: Postoffice): Postoffice {
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

export function withoutCorrupt(postoffice: Postoffice): Postoffice {
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

const TAG_BYTES = 32;

/** A file whose signature does not match is opened as if its sender had signed it so (sealer.ts has the layout). */
export function withSignaturesIgnored(postoffice: Postoffice): Postoffice {
  const { sealer } = postoffice;
  return {
    ...postoffice,
    sealer: {
      seal: sealer.seal.bind(sealer),
      outside: sealer.outside.bind(sealer),
      async open(bytes) {
        try {
          return await sealer.open(bytes);
        } catch (error) {
          if (!isDirpostError(error, 'message-signature')) throw error;
          const file = Buffer.from(bytes);
          const signed = file.subarray(0, 16 + file.readUInt32BE(8) + file.readUInt32BE(12));
          const from = /"from":"([a-z]+)"/.exec(signed.toString('latin1'))?.[1] ?? '';
          const tag = createHmac('sha256', from).update(signed).digest();
          return sealer.open(Buffer.concat([signed, tag.subarray(0, TAG_BYTES)]));
        }
      },
    },
  };
}

/** Every directory counts as read completely, from the start on. */
export function withoutReading(postoffice: Postoffice): Postoffice {
  const completeReads = new CompleteReads();
  completeReads.covers = () => true;
  return { ...postoffice, completeReads };
}
