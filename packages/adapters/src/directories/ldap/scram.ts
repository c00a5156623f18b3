/** SCRAM (RFC 5802, RFC 7677) without channel binding: the password itself never travels, and the server proves that it knows it. */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { DirpostError } from '@dirpost/core';
import { usablePassword } from './bind.ts';
import type { LdapBind } from './options.ts';
import type { LdapResult } from './responses.ts';
import { SASL_BIND_IN_PROGRESS, SUCCESS } from './results.ts';
import type { Session } from './session.ts';

const derive = promisify(pbkdf2);
const digests = { 'sha-1': ['sha1', 20], 'sha-256': ['sha256', 32] } as const;
const MIN_ITERATIONS = 1_000;
const MAX_ITERATIONS = 10_000_000;
const GS2_HEADER = 'n,,';

export type ScramBind = Extract<LdapBind, { method: 'scram' }>;

export async function scram(session: Session, how: ScramBind, signal: AbortSignal): Promise<LdapResult> {
  const mechanism = `SCRAM-${how.hash.toUpperCase()}`;
  const send = (text: string) =>
    session.request({ type: 'sasl-bind', mechanism, credentials: Buffer.from(text) }, { signal });
  const nonce = randomBytes(18).toString('base64');
  // RFC 5802 §5.1: a comma and an equals sign in a name would end it.
  const user = how.user.normalize('NFKC').replaceAll('=', '=3D').replaceAll(',', '=2C');
  const bare = `n=${user},r=${nonce}`;
  const first = await send(GS2_HEADER + bare);
  if (first.code !== SASL_BIND_IN_PROGRESS && first.code !== SUCCESS) return first;
  const challenge = first.value?.toString() ?? '';
  const { m, r, s, i } = fieldsOf(challenge);
  const iterations = Number(i);
  // A success before the server has proven anything, and an extension (m) that must be understood, are no answers either.
  if (first.code === SUCCESS || m !== undefined) throw malformed(session);
  if (!r || !s || !r.startsWith(nonce) || r.length === nonce.length) throw malformed(session);
  if (!Number.isSafeInteger(iterations) || iterations < MIN_ITERATIONS || iterations > MAX_ITERATIONS) {
    throw malformed(session);
  }
  const [digest, length] = digests[how.hash];
  const password = (await usablePassword(how.user, how.password)).normalize('NFKC');
  const salted = await derive(password, Buffer.from(s, 'base64'), iterations, length, digest);
  const hmac = (key: Buffer, text: string) => createHmac(digest, key).update(text).digest();
  const clientKey = hmac(salted, 'Client Key');
  const unproven = `c=${Buffer.from(GS2_HEADER).toString('base64')},r=${r}`;
  const exchanged = `${bare},${challenge},${unproven}`;
  const signature = hmac(createHash(digest).update(clientKey).digest(), exchanged);
  const proof = clientKey.map((octet, at) => octet ^ signature[at]!);
  const last = await send(`${unproven},p=${Buffer.from(proof).toString('base64')}`);
  if (last.code !== SUCCESS && last.code !== SASL_BIND_IN_PROGRESS) return last;
  const proven = Buffer.from(fieldsOf(last.value?.toString() ?? '').v ?? '', 'base64');
  const expected = hmac(hmac(salted, 'Server Key'), exchanged);
  if (proven.length !== expected.length || !timingSafeEqual(proven, expected)) {
    throw new DirpostError('directory-failed', `${session.server} does not know the password that it asked for.`, {
      retry: 'operator',
      hint: 'It is not the server that it says it is, or something stands between.',
    });
  }
  // RFC 4422 §3.3: some give the proof as one more step.
  return last.code === SUCCESS ? last : send('');
}

function fieldsOf(text: string): Partial<Record<string, string>> {
  return Object.fromEntries(text.split(',').map((field) => [field.slice(0, 1), field.slice(2)]));
}

function malformed(session: Session): DirpostError {
  return new DirpostError('directory-failed', `${session.server} answered SCRAM in a way that cannot be right.`, {
    retry: 'operator',
    hint: 'See what stands between this machine and the server.',
  });
}
