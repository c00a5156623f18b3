/**
 * How a postoffice gets other signing keys (format.md, "Other keys"): a statement names the new key, signed by the key
 * before it, or by the recovery key that the others have pinned. Statements stand in the header of message files until the
 * receiver has said that it knows the new key; so whatever arrives first proves by itself who it is from.
 *
 *   rolled     signed by the key before: both are taken, until the receiver forgets the older one
 *   recovered  signed by the recovery key: from then on no other key counts
 */
import { createHash, sign, verify } from 'node:crypto';
import { DirpostError } from '@dirpost/core';
import {
  authenticationKeyObject,
  KEY_ID_BYTES,
  keyId,
  type PeerKeys,
  type PrivateKeys,
  publicSigningKey,
  rawSigningKey,
  SIGNING_KEY_BYTES,
  signingKeyObject,
} from './keys.ts';
import { isSignedByRecoveryKey, type RecoveryKey, recoverySigner } from './recovery-key.ts';
import { pack, unpack } from './scan.ts';

const DOMAIN = Buffer.from('dirpost key statement 1\0');
const SIGNATURE_BYTES = 64;
const KINDS = ['rolled', 'recovered'] as const;
/** A header has room for so many, each with the longest name. Older ones are left out. */
export const MAX_STATEMENTS = 6;
export const MAX_STATEMENT_BYTES = 400;

export interface KeyStatement {
  kind: (typeof KINDS)[number];
  /** Grows with every statement of that postoffice. */
  serial: number;
  /** Whose keys: so that it serves no other postoffice of the same administrator. */
  name: string;
  /** The new key: Ed25519, 32 octets in base64. */
  signing: string;
}

/** By the key that counted until now. */
export function rolledStatement(statement: Omit<KeyStatement, 'kind'>, before: Pick<PrivateKeys, 'signing'>): Buffer {
  const key = signingKeyObject(before.signing);
  const by = keyId(publicSigningKey(before.signing));
  return sealed({ ...statement, kind: 'rolled' }, by, (octets) => sign(null, octets, key));
}

export function recoveredStatement(statement: Omit<KeyStatement, 'kind'>, recovery: RecoveryKey): Buffer {
  return sealed({ ...statement, kind: 'recovered' }, keyId(recovery.publicKey), recoverySigner(recovery));
}

function sealed(
  { kind, serial, name, signing }: KeyStatement,
  by: Uint8Array,
  signer: (octets: Uint8Array) => Buffer,
): Buffer {
  const said = pack([KINDS.indexOf(kind), serial, name, rawSigningKey(signing), Buffer.from(by)]);
  return Buffer.concat([said, signer(signatureInput(said))]);
}

function signatureInput(said: Uint8Array): Buffer {
  return createHash('sha512').update(DOMAIN).update(said).digest();
}

interface ReadStatement extends KeyStatement {
  by: Buffer;
  said: Uint8Array;
  signature: Uint8Array;
}

/** Throws DirpostError `message-header`. */
function read(octets: Uint8Array): ReadStatement {
  const said = octets.subarray(0, Math.max(0, octets.length - SIGNATURE_BYTES));
  const fields = unpack(said, 1, 'message-header');
  if (!Array.isArray(fields)) throw malformed();
  const [kind, serial, name, signing, by] = fields as unknown[];
  const word = KINDS[kind as number];
  if (word === undefined || typeof name !== 'string' || !Number.isSafeInteger(serial)) throw malformed();
  if (!(signing instanceof Uint8Array) || signing.length !== SIGNING_KEY_BYTES) throw malformed();
  if (!(by instanceof Uint8Array) || by.length !== KEY_ID_BYTES) throw malformed();
  return {
    kind: word,
    serial: serial as number,
    name,
    signing: Buffer.from(signing).toString('base64'),
    by: Buffer.from(by),
    said,
    signature: octets.subarray(said.length),
  };
}

function malformed(): DirpostError {
  return new DirpostError('message-header', 'A statement of keys in the header has a wrong form.');
}

/** Its serial. Throws DirpostError `message-header`. */
export function statementSerial(octets: Uint8Array): number {
  return read(octets).serial;
}

/** What statements prove beside what is known already. */
export interface Followed {
  /** Signing keys that count now. */
  signing: string[];
  /** Serial of the newest statement by the recovery key that was not known; null: none. */
  recovered: number | null;
}

/**
 * Follows them in their order, from the keys that are known of `name`. What does not follow is passed over: the key that the
 * message is signed with is then not among those that count. One that is forged ends it: strangers write them too, and each
 * signature costs time. Throws DirpostError `message-header` for a malformed one.
 */
export function followStatements(name: string, known: PeerKeys, statements: readonly Uint8Array[]): Followed {
  let signing = [...known.signing];
  let recovered: number | null = null;
  for (const octets of statements) {
    const statement = read(octets);
    if (statement.name !== name) continue;
    const input = signatureInput(statement.said);
    if (statement.kind === 'recovered') {
      const isNew = statement.serial > Math.max(known.recoveredSerial ?? 0, recovered ?? 0);
      const { recoveryKey } = known;
      if (!isNew || recoveryKey === undefined || !keyId(recoveryKey).equals(statement.by)) continue;
      if (!isSignedByRecoveryKey(recoveryKey, input, statement.signature)) break;
      signing = [statement.signing];
      recovered = statement.serial;
    } else {
      // The present key alone: an older one, which is used for a while yet, may be in other hands by now.
      const by = signing[0];
      if (by === undefined || !keyId(by).equals(statement.by) || signing.includes(statement.signing)) continue;
      if (!verify(null, input, authenticationKeyObject(by), statement.signature)) break;
      signing.unshift(statement.signing);
    }
  }
  return { signing, recovered };
}
