import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultLimits, type OutgoingSummary } from '@dirpost/core';
import { createSealer, generateKeys, headerOf, type PrivateKeys, publicKeys, rolledStatement } from '@dirpost/message';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Postoffice } from './postoffice.ts';
import { fileName, sealOutgoing } from './seal-outgoing.ts';
import { FileSpool } from './spool.ts';

const ID = '0123456789abcdef0123456789abcdef';
const payload = Buffer.from('payload');
const message = { id: ID, to: 'hq', forIncarnation: null, createdMs: 1, attempts: 1 } as OutgoingSummary;
let [first, second, third]: PrivateKeys[] = [];
let data: string;
let spool: FileSpool;
let keys: PrivateKeys;
let statements: Uint8Array[];
let postoffice: Postoffice;

beforeAll(async () => {
  [first, second, third] = await Promise.all([generateKeys(), generateKeys(), generateKeys()]);
});
beforeEach(async () => {
  data = mkdtempSync(join(tmpdir(), 'dirpost-sealed-'));
  spool = new FileSpool(data);
  await spool.prepare();
  keys = { ...first! };
  statements = [];
  const recipients = [(await publicKeys(third!)).recipient];
  const statementsFor = () => statements;
  const peers = () => ({ signing: [], recipients });
  const sealer = createSealer({ name: 'oslo', keys, peers, statementsFor, limits: defaultLimits });
  const joining = { keys, statementsFor };
  postoffice = { name: 'oslo', spool, sealer, joining, limits: defaultLimits } as unknown as Postoffice;
});
afterEach(() => rmSync(data, { recursive: true, force: true }));

async function rolled(to: PrivateKeys | undefined, by: PrivateKeys | undefined): Promise<Uint8Array> {
  return rolledStatement({ serial: 2, name: 'oslo', signing: (await publicKeys(to!)).signing }, by!);
}

/** What is sealed at first, and could not be sent. */
async function sealedBefore(): Promise<Uint8Array> {
  const bytes = await sealOutgoing(postoffice, message, payload);
  await spool.put('outgoing', fileName(ID), bytes);
  return bytes;
}

it('a message that could not be sent goes as it was sealed, as long as it proves what it has to', async () => {
  statements = [await rolled(first, second)];
  const before = await sealedBefore();
  expect(Buffer.compare(await sealOutgoing(postoffice, message, payload), before)).toBe(0);
});

it('is sealed anew by the present key, whatever statements are needed', async () => {
  const before = await sealedBefore();
  Object.assign(keys, second!);
  const after = await sealOutgoing(postoffice, message, payload);
  const idOf = (file: Uint8Array) => headerOf(file, defaultLimits).signingKeyId;
  expect(idOf(after)).not.toEqual(idOf(before));
});

it('is sealed anew where as many other statements are needed', async () => {
  statements = [await rolled(first, second)];
  await sealedBefore();
  statements = [await rolled(first, third)];
  const after = await sealOutgoing(postoffice, message, payload);
  expect(headerOf(after, defaultLimits).statements.map((one) => Buffer.from(one))).toEqual(
    statements.map((one) => Buffer.from(one)),
  );
});
