/**
 * Message file → payload (T2 and T3), and the sealer, which does both ways for one postoffice. Opening is strict and
 * ordered: every check stands before the dearer one, and nothing is decrypted that is not signed by a known sender.
 */
import { createHash, type KeyObject, verify } from 'node:crypto';
import { DirpostError, type Limits } from '@dirpost/core';
import { Decrypter } from 'age-encryption';
import { cut, type Envelope, MESSAGE_ID_BYTES, type Pieces } from './header.ts';
import {
  authenticationKeyObject,
  keyId,
  type PeerKeys,
  type PrivateKeys,
  publicKeys,
  signingKeyObject,
} from './keys.ts';
import { unpack } from './scan.ts';
import { type SealingKeys, sealMessage, signatureInput } from './seal.ts';
import { identityOf } from './x25519.ts';

export interface OpenedMessage {
  envelope: Envelope;
  payload: Uint8Array;
  /** SHA-256 of the payload, 32 octets. */
  payloadHash: Uint8Array;
}

/** Seals and opens for one postoffice. An interface, so that the simulation can seal without randomness. */
export interface Sealer {
  /** Throws DirpostError `peer-unknown` without keys of the receiver, `message-too-large` over the limit. */
  seal(envelope: Envelope, payload: Uint8Array): Promise<Uint8Array>;
  /** Throws DirpostError `message-…`; see format.md, "Opening", for the order of the checks. */
  open(bytes: Uint8Array): Promise<OpenedMessage>;
  /** What stands on the outside, authenticated by nothing; undefined where it cannot be read. */
  outside(bytes: Uint8Array): Envelope | undefined;
}

export interface SealerOptions {
  /** Of this postoffice. */
  name: string;
  keys: PrivateKeys;
  /** Undefined for a postoffice that is not known. */
  peers: (name: string) => PeerKeys | undefined;
  limits: Limits;
}

export function createSealer(options: SealerOptions): Sealer {
  const { name, limits } = options;
  const authenticationKeys = new AuthenticationKeys();
  // The public half is needed at the first use only; computing it is asynchronous.
  let own: Promise<{ sealing: SealingKeys; peer: PeerKeys }> | undefined;
  const ownKeys = () => (own ??= loadOwnKeys(options.keys));
  const keysOf = async (peer: string) => options.peers(peer) ?? (peer === name ? (await ownKeys()).peer : undefined);
  return {
    outside(bytes) {
      try {
        return cut(bytes, limits).header.envelope;
      } catch {
        return undefined;
      }
    },
    async seal(envelope, payload) {
      if (envelope.from !== name) throw new DirpostError('wrong-use', `${name} cannot seal for ${envelope.from}.`);
      const peer = await keysOf(envelope.to);
      if (peer === undefined || peer.recipients.length === 0) {
        throw new DirpostError('peer-unknown', `No keys of ${envelope.to} are known.`, {
          retry: 'operator',
          hint: 'Exchange public files with it: dirpost peer export, dirpost peer add FILE',
        });
      }
      const bytes = await sealMessage(envelope, payload, (await ownKeys()).sealing, peer.recipients);
      if (bytes.length > limits.maxMessageBytes) {
        throw new DirpostError('message-too-large', `A message file of ${bytes.length} bytes is over the limit.`);
      }
      return bytes;
    },
    async open(bytes) {
      const pieces = cut(bytes, limits);
      const { envelope } = pieces.header;
      if (envelope.to !== name) {
        throw new DirpostError('message-recipient', `The message file is for ${envelope.to}, not for ${name}.`);
      }
      checkSignature(pieces, await keysOf(envelope.from), authenticationKeys);
      const plain = await decrypt(pieces.body, options.keys.identities);
      const payload = checkInner(plain, envelope, limits);
      return { envelope, payload, payloadHash: createHash('sha256').update(payload).digest() };
    },
  };
}

async function loadOwnKeys(keys: PrivateKeys): Promise<{ sealing: SealingKeys; peer: PeerKeys }> {
  const announced = await publicKeys(keys);
  return {
    sealing: { signing: signingKeyObject(keys.signing), signingKeyId: keyId(announced.signing) },
    peer: { signing: [announced.signing], recipients: [announced.recipient] },
  };
}

/** Parsed signing keys of peers by their text: parsing one costs as much as using it. */
class AuthenticationKeys {
  readonly #keys = new Map<string, { id: Buffer; key: KeyObject }>();

  get(signing: string): { id: Buffer; key: KeyObject } {
    let known = this.#keys.get(signing);
    if (known === undefined) {
      known = { id: keyId(signing), key: authenticationKeyObject(signing) };
      if (this.#keys.size >= 10_000) this.#keys.clear();
      this.#keys.set(signing, known);
    }
    return known;
  }
}

function checkSignature(pieces: Pieces, peer: PeerKeys | undefined, keys: AuthenticationKeys): void {
  const { envelope, signingKeyId } = pieces.header;
  if (peer === undefined) throw new DirpostError('message-sender', `The sender ${envelope.from} is not known here.`);
  const known = peer.signing.map((signing) => keys.get(signing)).find(({ id }) => id.equals(signingKeyId));
  if (known === undefined) {
    throw new DirpostError(
      'message-sender',
      `The message file is signed with a key that ${envelope.from} has not announced.`,
    );
  }
  if (!verify(null, signatureInput(pieces.signed), known.key, pieces.signature)) {
    throw new DirpostError(
      'message-signature',
      `The signature of ${envelope.from} does not match: the file was altered.`,
    );
  }
}

async function decrypt(body: Uint8Array, identities: string[]): Promise<Uint8Array> {
  try {
    const decrypter = new Decrypter();
    for (const identity of identities) decrypter.addIdentity(identityOf(identity));
    return await decrypter.decrypt(body);
  } catch (cause) {
    throw new DirpostError(
      'message-decrypt',
      'The message file cannot be decrypted with the keys of this postoffice.',
      {
        cause,
      },
    );
  }
}

/** The payload, once from, to and id inside the sealed body are those of the header. */
function checkInner(plain: Uint8Array, envelope: Envelope, limits: Limits): Uint8Array {
  const length = plain.length < 2 ? 0 : (plain[0]! << 8) | plain[1]!;
  if (plain.length < 2 || 2 + length > plain.length || length > limits.maxHeaderBytes) throw mismatch();
  const inner = unpack(plain.subarray(2, 2 + length), limits.maxNesting, 'message-mismatch');
  if (!Array.isArray(inner)) throw mismatch();
  const [from, to, id] = inner as unknown[];
  const sameId =
    id instanceof Uint8Array && id.length === MESSAGE_ID_BYTES && Buffer.from(id).toString('hex') === envelope.id;
  if (from !== envelope.from || to !== envelope.to || !sameId) throw mismatch();
  return plain.subarray(2 + length);
}

function mismatch(): DirpostError {
  return new DirpostError(
    'message-mismatch',
    'Sender, receiver or id inside the sealed body are not those of the header.',
  );
}
