/**
 * The head of a payload: everything that a message says but its changes (format.md, "Head").
 *
 * It is a msgpack array [kind, must know, fields…]. Fields are only ever added at the end: a reader leaves out the ones
 * it does not know, unless `must know` (how many fields the reader has to understand) is more than it does.
 */
import {
  type Announcement,
  type AnchorHint,
  type Checkpoint,
  type Digest,
  DirpostError,
  type Enrolment,
  type Exchange,
  type Heard,
  incarnationOfStamp,
  type Limits,
  type MessageHead,
  type PartsHeld,
  type Receipt,
  type Refusal,
  type Report,
  type Request,
  type Stamp,
  type Submission,
  type Update,
  type UpdateMode,
  type Verification,
} from '@dirpost/core';
import { asCount, asText, DIGEST_BYTES, Fields, malformed, tooNew } from './fields.ts';
import { packIncarnation } from './header.ts';
import { pack, unpack } from './scan.ts';

/** The position in the list is the code on the wire. */
const kinds = ['', 'exchange', 'update', 'verification', 'enrolment', 'announcement'] as const;
const requests: Request[] = ['changes', 'repair', 'everything'];
const modes: UpdateMode[] = ['receipt', 'delta', 'repair', 'ask-buckets', 'superseded', 'rolled-back'];

const ID_BYTES = 16;
const BUCKETS_BYTES = 16_384;
const DIFFERING_BYTES = 128;
/** What directories and people put into a reason has no limit; a hundred of these have to fit into a head. */
const MAX_REASON_BYTES = 1_000;
const MAX_REASON_READ = 4_096;

export function encodeHead(head: MessageHead): Buffer {
  const fields = headFields(head);
  return pack([kinds.indexOf(head.kind), fields.length, ...fields, ...furtherFields(head)]);
}

export function decodeHead(bytes: Uint8Array, limits: Limits): MessageHead {
  const fields = new Fields(unpack(bytes, limits.maxNesting, 'message-payload'), limits);
  const kind = kinds[fields.count()];
  const mustKnow = fields.count();
  if (kind === undefined || kind === '') throw tooNew('a kind of message');
  const head = readers[kind](fields);
  if (mustKnow > fields.taken - 2) throw tooNew('a field of the payload');
  return head;
}

function headFields(head: MessageHead): unknown[] {
  switch (head.kind) {
    case 'exchange':
      return exchangeFields(head);
    case 'update':
      return updateFields(head);
    case 'verification':
      return [
        packIncarnation(head.incarnation),
        head.number,
        heardFields(head.answers),
        head.cursor,
        heardFields(head.heard),
        reportFields(head.report),
      ];
    case 'enrolment':
    case 'announcement':
      return [packIncarnation(head.incarnation), head.fields];
  }
}

/** Nobody has to understand these, and where there is nothing to say they are left out. */
function furtherFields(head: MessageHead): unknown[] {
  if (head.kind !== 'update') return [];
  const { left, kept, named } = head.receipt.clashes;
  return left + kept + named.length === 0 ? [] : [[left, kept, named.map(refusalFields)]];
}

function exchangeFields(head: Exchange): unknown[] {
  const { submission, partsHeld } = head;
  return [
    packIncarnation(head.incarnation),
    head.number,
    head.part,
    head.parts,
    head.cursor,
    heardFields(head.heard),
    partsHeld === null ? null : [packIncarnation(partsHeld.incarnation), partsHeld.number, partsHeld.held],
    ...checkpointFields(submission.from),
    ...checkpointFields(submission.to),
    submission.full,
    submission.replaces === null ? null : packStamp(submission.replaces),
    submission.certified,
    head.anchors.map(anchorFields),
    requests.indexOf(head.request),
    packDigest(head.replicaDigest),
    head.buckets,
    reportFields(head.report),
    head.version,
  ];
}

function updateFields(head: Update): unknown[] {
  const { receipt } = head;
  return [
    packIncarnation(head.incarnation),
    packIncarnation(head.for),
    head.number,
    head.answers,
    ...checkpointFields(receipt.accepted),
    receipt.newest,
    packStamp(receipt.stamp),
    receipt.wantFull,
    receipt.missingOf,
    receipt.missing,
    receipt.refusedCount,
    receipt.refused.map(refusalFields),
    receipt.heldCount,
    modes.indexOf(head.mode),
    head.part,
    head.parts,
    head.removals,
    head.total,
    head.list,
    ...checkpointFields(head.base),
    ...checkpointFields(head.to),
    head.cursor,
    head.differing,
    head.confirmed,
    head.anchors.map(anchorFields),
  ];
}

const checkpointFields = (at: Checkpoint): unknown[] => [at.seq, packDigest(at.digest)];
const anchorFields = (hint: AnchorHint): unknown[] => [hint.owner, hint.space, hint.attribute];
const refusalFields = (refusal: Refusal): unknown[] => [refusal.id, refusal.code, clipped(refusal.reason)];
function clipped(reason: string): string {
  if (reason.length * 3 <= MAX_REASON_BYTES || Buffer.byteLength(reason) <= MAX_REASON_BYTES) return reason;
  const kept = Buffer.from(reason).toString('utf8', 0, MAX_REASON_BYTES - 6);
  // What is left of a character that was cut.
  return `${kept.replace(/\ufffd+$/, '')}…`;
}
const reportFields = (report: Report): unknown[] => [
  report.writtenUpTo,
  report.refusedCount,
  report.refused.map(refusalFields),
  report.heldCount,
  report.nextContactMs,
];
const heardFields = (heard: Heard | null): unknown =>
  heard === null ? null : [packIncarnation(heard.incarnation), heard.number];

const readers: Record<Exclude<(typeof kinds)[number], ''>, (fields: Fields) => MessageHead> = {
  exchange: readExchange,
  update: readUpdate,
  verification: readVerification,
  enrolment: readEnrolment,
  announcement: readAnnouncement,
};

// Object literals evaluate their members in order, which is the order on the wire.

function readExchange(fields: Fields): Exchange {
  return {
    kind: 'exchange',
    incarnation: fields.incarnation(),
    number: fields.count(),
    ...readPlace(fields),
    cursor: fields.bytesOrNull(),
    heard: fields.orNull(readHeard),
    partsHeld: fields.orNull(readPartsHeld),
    submission: readSubmission(fields),
    anchors: fields.list(readAnchor),
    request: fields.oneOf(requests),
    replicaDigest: fields.digest(),
    buckets: fields.bytesOrNull(BUCKETS_BYTES),
    report: readReport(fields.inner()),
    version: fields.text(),
  };
}

function readUpdate(fields: Fields): Update {
  const update = readUpdateFields(fields);
  if (fields.isListNext) update.receipt.clashes = readClashes(fields.inner());
  return update;
}

function readUpdateFields(fields: Fields): Update {
  return {
    kind: 'update',
    incarnation: fields.incarnation(),
    for: fields.incarnation(),
    number: fields.count(),
    answers: fields.count(),
    receipt: readReceipt(fields),
    mode: fields.oneOf(modes),
    ...readPlace(fields),
    removals: fields.count(),
    total: fields.count(),
    list: fields.text(),
    base: readCheckpoint(fields),
    to: readCheckpoint(fields),
    cursor: fields.bytesOrNull(),
    differing: fields.bytesOrNull(DIFFERING_BYTES),
    confirmed: fields.values((value) => asText(value)),
    anchors: fields.list(readAnchor),
  };
}

/** Lists as long as `parts` are made of it. */
function readPlace(fields: Fields): { part: number; parts: number } {
  const place = { part: fields.count(), parts: fields.count() };
  if (place.parts > fields.limits.maxParts) {
    throw new DirpostError('limit-exceeded', `A message of more than ${fields.limits.maxParts} parts.`);
  }
  if (place.part >= place.parts) throw malformed('a part that is among its parts');
  return place;
}

function readVerification(fields: Fields): Verification {
  return {
    kind: 'verification',
    incarnation: fields.incarnation(),
    number: fields.count(),
    answers: readHeard(fields.inner()),
    cursor: fields.bytesOrNull(),
    heard: fields.orNull(readHeard),
    report: readReport(fields.inner()),
  };
}

function readEnrolment(fields: Fields): Enrolment {
  return { kind: 'enrolment', incarnation: fields.incarnation(), fields: fields.map() };
}

function readAnnouncement(fields: Fields): Announcement {
  return { kind: 'announcement', incarnation: fields.incarnation(), fields: fields.map() };
}

function readCheckpoint(fields: Fields): Checkpoint {
  return { seq: fields.count(), digest: fields.digest() };
}

function readSubmission(fields: Fields): Submission {
  return {
    from: readCheckpoint(fields),
    to: readCheckpoint(fields),
    full: fields.flag(),
    replaces: fields.stampOrNull(),
    certified: fields.flag(),
  };
}

function readReceipt(fields: Fields): Receipt {
  return {
    accepted: readCheckpoint(fields),
    newest: fields.count(),
    stamp: fields.stamp(),
    wantFull: fields.flag(),
    missingOf: fields.count(),
    missing: fields.values(asCount),
    refusedCount: fields.count(),
    refused: readRefusals(fields),
    heldCount: fields.count(),
    clashes: { left: 0, kept: 0, named: [] },
  };
}

function readClashes(fields: Fields): Receipt['clashes'] {
  return { left: fields.count(), kept: fields.count(), named: readRefusals(fields) };
}

function readReport(fields: Fields): Report {
  return {
    writtenUpTo: fields.count(),
    refusedCount: fields.count(),
    refused: readRefusals(fields),
    heldCount: fields.count(),
    nextContactMs: fields.countOrNull(),
  };
}

function readRefusals(fields: Fields): Refusal[] {
  const refusals = fields.list((one) => ({
    id: one.bytes(ID_BYTES),
    code: one.text(),
    reason: one.text(MAX_REASON_READ),
  }));
  if (refusals.length > fields.limits.maxRefusedNamed) {
    throw new DirpostError('limit-exceeded', `More than ${fields.limits.maxRefusedNamed} refusals are named.`);
  }
  return refusals;
}

function readHeard(fields: Fields): Heard {
  return { incarnation: fields.incarnation(), number: fields.count() };
}

function readPartsHeld(fields: Fields): PartsHeld {
  return { incarnation: fields.incarnation(), number: fields.count(), held: fields.values(asCount) };
}

function readAnchor(fields: Fields): AnchorHint {
  return { owner: fields.text(), space: fields.text(), attribute: fields.text() };
}

function packDigest(digest: Digest): Buffer {
  const packed = Buffer.from(digest, 'hex');
  if (packed.length !== DIGEST_BYTES) throw new DirpostError('wrong-use', `Not a digest: ${digest}`);
  return packed;
}

/** Hash (16) and incarnation; the empty stamp is null. */
function packStamp(stamp: Stamp): unknown {
  if (stamp === '') return null;
  const incarnation = incarnationOfStamp(stamp)!;
  const hash = Buffer.from(stamp.slice(incarnation.length + 1), 'hex');
  return [hash, packIncarnation(incarnation)];
}
