/** Heads of every kind and mode for the vectors, with every field set to something that can be told from the others. */
import type { Exchange, MessageHead, Update, UpdateMode, Verification } from '@dirpost/core';

const server = '4.a1a2a3a4a5a6a7a8';
const requestor = '300.b1b2b3b4b5b6b7b8';
const digest = (octet: string): string => octet.repeat(16);
const report = {
  writtenUpTo: 77,
  refusedCount: 2,
  refused: [{ id: Buffer.alloc(16, 0xee), code: 'objectClassViolation', reason: 'no structural class: æøå' }],
  heldCount: 3,
  nextContactMs: 1_790_000_000_000,
};

export const anchors = [{ owner: 'oslo', space: 'entryuuid', attribute: 'entryuuid' }];

export function exchangeHead(fields: Partial<Exchange> = {}): Exchange {
  return {
    kind: 'exchange',
    incarnation: requestor,
    number: 12,
    part: 0,
    parts: 1,
    cursor: Buffer.from('a cookie of the server, unread'),
    heard: { incarnation: server, number: 9 },
    partsHeld: { incarnation: server, number: 10, held: [0, 2] },
    submission: {
      from: { seq: 40, digest: digest('11') },
      to: { seq: 44, digest: digest('22') },
      full: false,
      replaces: null,
      certified: true,
    },
    anchors,
    request: 'changes',
    replicaDigest: digest('33'),
    buckets: null,
    report,
    version: '0.1.0',
    ...fields,
  };
}

export const fullSubmission: Exchange = exchangeHead({
  submission: {
    from: { seq: 0, digest: digest('00') },
    to: { seq: 44, digest: digest('22') },
    full: true,
    replaces: `299.c1c2c3c4c5c6c7c8#${digest('44')}`,
    certified: true,
  },
  request: 'everything',
  cursor: null,
  heard: null,
  partsHeld: null,
});

export const repairRequest: Exchange = exchangeHead({ request: 'repair', buckets: Buffer.alloc(16_384, 7) });

export function updateHead(mode: UpdateMode, fields: Partial<Update> = {}): Update {
  return {
    kind: 'update',
    incarnation: server,
    for: requestor,
    number: 11,
    answers: 12,
    receipt: {
      accepted: { seq: 44, digest: digest('22') },
      newest: 12,
      stamp: `${requestor}#${digest('55')}`,
      wantFull: false,
      missingOf: 8,
      missing: [1, 3],
      refusedCount: 1,
      refused: [{ id: Buffer.alloc(16, 0xdd), code: 'duplicate', reason: 'two entries have this id' }],
      heldCount: 4,
      clashes: { left: 0, kept: 0, named: [] },
    },
    mode,
    part: 0,
    parts: 1,
    removals: 1,
    total: 5,
    list: 'everyone',
    base: { seq: 1000, digest: digest('66') },
    to: { seq: 2_000_000_000_000, digest: digest('77') },
    cursor: Buffer.from('the next cookie'),
    differing: mode === 'repair' ? Buffer.alloc(128, 0x81) : null,
    confirmed: ['tromsø'],
    anchors,
    ...fields,
  };
}

export const verification: Verification = {
  kind: 'verification',
  incarnation: requestor,
  number: 12,
  answers: { incarnation: server, number: 11 },
  cursor: Buffer.from('the next cookie'),
  heard: { incarnation: server, number: 11 },
  report,
};

export const enrolment: MessageHead = {
  kind: 'enrolment',
  incarnation: '0.d1d2d3d4d5d6d7d8',
  fields: { secret: Buffer.from('once'), address: 'dirpost@bergen.example', list: ['everyone'] },
};
