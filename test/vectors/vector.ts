/**
 * A vector: a text file with a header of `name: value` lines, an empty line, and a message file in base64. The header
 * says what opening it must give.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Change, defaultLimits, type MessageHead } from '@dirpost/core';
import {
  createCodec,
  createSealer,
  parseRecoveryKey,
  type PeerKeys,
  type PrivateKeys,
  publicKeys,
  type Sealer,
} from '@dirpost/message';

export interface Vector {
  name: string;
  /** `ok` or the code of the error. */
  expect: string;
  /** The postoffice whose keys open it. */
  receiver: string;
  /** With `ok`: kind of message, number of changes and their hash. */
  content?: string;
  comment: string;
  bytes: Uint8Array;
}

export const folder = new URL('files/', import.meta.url);
/** Private keys that are public: of no use but here. */
export const keys = JSON.parse(readFileSync(new URL('keys.json', import.meta.url), 'utf8')) as Record<
  string,
  PrivateKeys
>;

export function formatVector({ name, expect, receiver, content, comment, bytes }: Vector): string {
  const header = { name, expect, receiver, ...(content === undefined ? {} : { content }), comment };
  const lines = Object.entries(header).map(([field, value]) => `${field}: ${value}`);
  const base64 =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,76}/g) ?? [];
  return `${[...lines, '', ...base64].join('\n')}\n`;
}

export function parseVector(text: string): Vector {
  const [header, body] = text.split('\n\n', 2) as [string, string];
  const fields = new Map(header.split('\n').map((line) => line.split(/: (.*)/s, 2) as [string, string]));
  const field = (name: string) => fields.get(name) ?? '';
  const content = fields.get('content');
  return {
    name: field('name'),
    expect: field('expect'),
    receiver: field('receiver'),
    ...(content === undefined ? {} : { content }),
    comment: field('comment'),
    bytes: Buffer.from(body, 'base64'),
  };
}

/** What `eve` may join by, at every receiver: its id, and the secret that only she has. */
export const invitation = { id: 'c0c1c2c3c4c5c6c7c8c9cacbcccdcecf', secret: Buffer.alloc(20, 0x5e) };

/** The recovery key that is pinned of every postoffice that is known. Public, like the others here. */
export const recovery = parseRecoveryKey('atj5-i56l-5lfn-lukb-57hb-565f-bhk5-sto6-562s-vrlg-3i6m-eu2l-5464-p6xf');

/** `eve` is a postoffice that nobody knows. */
export async function sealerOf(name: string): Promise<Sealer> {
  const known = new Map<string, PeerKeys>();
  for (const [peer, own] of Object.entries(keys)) {
    const { signing, recipient } = await publicKeys(own);
    if (peer !== 'eve')
      known.set(peer, { signing: [signing], recipients: [recipient], recoveryKey: recovery.publicKey });
  }
  return createSealer({
    name,
    keys: keys[name]!,
    peers: (peer) => known.get(peer),
    isInvited: (peer, id) => peer === 'eve' && id === invitation.id,
    limits: defaultLimits,
  });
}

export const codec = createCodec(defaultLimits);

/** What a reader in another language should find as well: kind, number of changes, SHA-256 over each change. */
export function describeContent(head: MessageHead, changes: Change[]): string {
  const hash = createHash('sha256');
  for (const { number, state, owner, id, bytes } of changes) {
    hash.update(`${number} ${state} ${owner} ${id === null ? '-' : Buffer.from(id).toString('hex')} ${bytes.length}\n`);
    hash.update(bytes);
  }
  return `${head.kind} ${changes.length} ${hash.digest('hex')}`;
}
