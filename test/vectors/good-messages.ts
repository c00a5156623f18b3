/** Vectors that open: each kind and mode of message, each state of a change, and what a reader has to leave out. */
import { type Change, type MessageHead, type UpdateMode } from '@dirpost/core';
import { encodeHead } from '../../packages/message/src/head.ts';
import { pack, unpack } from '../../packages/message/src/scan.ts';
import { uncompressedForTests } from '../../packages/message/src/payload.ts';
import { defaultLimits } from '@dirpost/core';
import { everyState, people } from './contents.ts';
import { editChanges } from './edits.ts';
import { enrolment, exchangeHead, fullSubmission, repairRequest, updateHead, verification } from './heads.ts';
import { payloadOf, sealWith } from './sealing.ts';
import { codec, describeContent, type Vector } from './vector.ts';

export async function goodMessages(): Promise<Vector[]> {
  const seventy = people(70);
  const messages: [name: string, comment: string, head: MessageHead, changes: Change[]][] = [
    ['exchange', 'a submission of one change', exchangeHead(), everyState.slice(5, 6)],
    ['exchange-full', 'a full submission that replaces another, every state and kind', fullSubmission, everyState],
    ['exchange-buckets', 'asks for a repair, with bucket digests', repairRequest, []],
    ['update-delta', 'every state and kind of change', updateHead('delta'), everyState],
    ['update-repair', '70 people and a group: ids derived, columns in many encodings', updateHead('repair'), seventy],
    ['edits', 'an entry, and two edits of it by others', updateHead('delta'), editChanges],
    ['update-part', 'the second of three parts', updateHead('delta', { part: 1, parts: 3 }), everyState.slice(0, 2)],
    ...(['receipt', 'ask-buckets', 'superseded', 'rolled-back'] as UpdateMode[]).map(
      (mode): [string, string, MessageHead, Change[]] => [`update-${mode}`, 'no changes', updateHead(mode), []],
    ),
    ['verification', 'answers an update', verification, []],
    ['enrolment', 'carries a map', enrolment, []],
  ];
  const vectors: Vector[] = [];
  for (const [name, comment, head, changes] of messages) {
    vectors.push(await good(`good-${name}`, comment, codec.encode(head, changes)));
  }
  const delta = codec.encode(updateHead('delta'), everyState);
  const snapshot = codec.encode(updateHead('repair'), seventy);
  vectors.push(
    await good('good-stored', 'the plain stream is not compressed', uncompressedForTests(snapshot, defaultLimits)),
  );
  vectors.push(await good('good-later-head', 'the head has a field that this version does not know', laterHead(delta)));
  vectors.push(
    await good('good-later-header', 'the header has a field that this version does not know', delta, { z: 1 }),
  );
  vectors.push(await good('good-unaddressed', 'the header names no incarnation', delta, { n: undefined }));
  vectors.push(await goodQuantum(delta));
  return vectors;
}

async function good(
  name: string,
  comment: string,
  payload: Uint8Array,
  fields?: Record<string, unknown>,
): Promise<Vector> {
  const bytes = await sealWith({ payload, ...(fields === undefined ? {} : { fields }) });
  return { name, expect: 'ok', receiver: 'bergen', content: contentOf(payload), comment, bytes };
}

async function goodQuantum(payload: Uint8Array): Promise<Vector> {
  const comment = 'sealed for a post-quantum hybrid recipient';
  const bytes = await sealWith({ payload, to: 'quantum' });
  return { name: 'good-hybrid', expect: 'ok', receiver: 'quantum', content: contentOf(payload), comment, bytes };
}

function contentOf(payload: Uint8Array): string {
  return describeContent(codec.head(payload), codec.changes(payload));
}

function laterHead(payload: Uint8Array): Uint8Array {
  const fields = unpack(encodeHead(codec.head(payload)), 8, 'message-payload') as unknown[];
  return payloadOf(pack([...fields, 'of a later version']), columnsOf(payload));
}

/** What stands behind the head. */
export function columnsOf(payload: Uint8Array): Uint8Array {
  const head = encodeHead(codec.head(payload));
  const lengthBytes = head.length < 0x80 ? 1 : head.length < 0x4000 ? 2 : 3;
  return payload.subarray(1 + lengthBytes + head.length);
}
