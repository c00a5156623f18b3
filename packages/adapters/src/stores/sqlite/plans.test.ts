/** That no query passes over a whole table because SQLite chose, or had to choose, another way than was meant. */
import { describe, expect, it } from 'vitest';
import { Connection, openMemory } from './connection.ts';
import { operations, type Operations } from './operations.ts';

const id = Buffer.alloc(16);

class RecordingConnection extends Connection {
  readonly texts = new Set<string>();

  override query(sql: string) {
    this.texts.add(sql);
    return super.query(sql);
  }

  override statement(sql: string) {
    this.texts.add(sql);
    return super.statement(sql);
  }
}

function plansOf(work: (tx: Operations) => void): string[] {
  const connection = new RecordingConnection(openMemory(undefined).db);
  work(operations(connection));
  return [...connection.texts].flatMap((sql) => {
    const parameters = Array.from(sql.matchAll(/\?/g), () => null);
    const steps = connection.db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...parameters) as { detail: string }[];
    return steps.map((step) => step.detail);
  });
}

/** Each reaches its rows by an index or a key. */
const direct: Record<string, (tx: Operations) => void> = {
  documents: (tx) => tx.documentNames('peer/'),
  'entries by id': (tx) => tx.entriesById('replica', [id]),
  'entries by number': (tx) => tx.entriesByNumber('collected', [1]),
  'entries by the number of a peer': (tx) => {
    tx.entriesByPeerNumber('replica', null, [1]);
    tx.entriesByPeerNumber('collected', 'oslo', [1]);
  },
  'entries since a seq': (tx) => {
    tx.entriesSince('published', 1, 10);
    tx.entriesSince('collected', 1, 10);
  },
  'held entries': (tx) => {
    tx.heldEntries('replica', 1, 5, 10);
    tx.heldEntries('collected', 1, 5, 10, 'oslo');
  },
  'entries by batches': (tx) => tx.scanHashes('collected', 5, 10),
  'entries of an owner': (tx) => tx.scanEntries('collected', 5, 10, 'oslo'),
  'what changed on a list': (tx) => tx.listSince('all', 1, 'oslo', 10),
  'what is on a list': (tx) => tx.scanList('all', 1, 'oslo', 10),
  'purging a list': (tx) => tx.purgeList('all', 5),
  'purging published tombstones': (tx) => tx.purgePublished(5),
  claims: (tx) => {
    tx.putClaims([{ value: id, owner: 'oslo', number: 1, seq: 1 }]);
    tx.putClaims([{ value: id, owner: 'lima', number: 2, seq: 2 }]);
    tx.claimants([id]);
    tx.claimsOf(id, 'oslo', 0, 10);
    tx.unsettledClaims(10);
    tx.waitingClaims({ owner: 'oslo' }, 10);
    tx.countWaitingClaims({ holder: 'oslo' });
    tx.settleClaims([{ value: id, owner: 'lima', number: 2, holder: 'oslo' }]);
    tx.dropClaims([{ value: id, owner: 'lima', number: 2 }]);
    tx.removeClaims([{ value: id, owner: 'lima', number: 2 }]);
  },
  sums: (tx) => tx.sum('all', 'oslo'),
  checkpoints: (tx) => tx.keepCheckpoints('all', 5),
  'messages of a receiver': (tx) => tx.outgoing({ to: 'oslo', undelivered: true }),
  'payload of a message': (tx) => tx.outgoingPayload('1'),
  'parts of a sender': (tx) => {
    tx.parts('hq', 'update');
    tx.removeParts('hq', 'update', 5);
  },
  'staged entries': (tx) => tx.stagedEntries('people', 0, 10),
  associations: (tx) => {
    tx.associationsById('people', [id]);
    tx.associationsByDn('people', ['cn=a']);
    tx.scanAssociations('people', 'cn=a', 10);
  },
};

describe('plans of queries', () => {
  it.each(Object.entries(direct))('%s', (_, work) => {
    // The index of tombstones is meant to be passed over: it holds nothing else.
    const scans = plansOf(work).filter((step) => step.startsWith('SCAN') && !step.includes('_deleted'));
    // A subquery's few rows are passed over, not a table.
    expect(scans.filter((step) => !/^SCAN \(?subquery/i.test(step))).toEqual([]);
  });

  it('collected tombstones are purged without passing over the collected entries or the lists', () => {
    const scans = plansOf((tx) => tx.purgeCollected()).filter((step) => step.startsWith('SCAN'));
    expect(scans).toEqual([expect.stringContaining('collected_deleted'), expect.stringMatching(/^SCAN list\b/)]);
  });

  it('what a scan of a list needs no sorting for is not sorted', () => {
    const plans = plansOf((tx) => {
      tx.listSince('all', 1, 'oslo', 10);
      tx.scanList('all', 1, 'oslo', 10);
      tx.entriesSince('collected', 1, 10);
      tx.scanAssociations('people', 'cn=a', 10);
      tx.outgoing({ to: 'oslo' });
      tx.heldEntries('replica', 1, 5, 10);
      tx.heldEntries('collected', 1, 5, 10, 'oslo');
      tx.unsettledClaims(10);
      tx.claimants([id]);
      tx.claimsOf(id, 'oslo', 0, 10);
    });
    expect(plans.filter((step) => step.includes('TEMP B-TREE'))).toEqual([]);
  });
});
