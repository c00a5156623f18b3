/**
 * Message file → payload (T2 and T3), and the sealer, which does both ways for one postoffice. Opening is strict and
 * ordered: every check stands before the dearer one, and nothing is decrypted that is not signed by a known sender.
 */
import { createHash } from 'node:crypto';
import { DirpostError, type Limits } from '@dirpost/core';
import { decryptAgeFile, parseHeader } from './age-file.ts';
import { Authenticator, type Senders, type SignedBy } from './authentication.ts';
import { cut, type EnrolmentMark, type Envelope, MESSAGE_ID_BYTES, type Pieces } from './header.ts';
import {
  isHybrid,
  keyId,
  type PeerKeys,
  type PrivateKeys,
  publicKeys,
  publicSigningKey,
  signingKeyObject,
} from './keys.ts';
import { unpack } from './scan.ts';
import { type SealingKeys, sealMessage } from './seal.ts';
import { ParsedKeys } from './x25519.ts';

export interface OpenedMessage {
  envelope: Envelope;
  payload: Uint8Array;
  /** SHA-256 of the payload, 32 octets. */
  payloadHash: Uint8Array;
  signedBy: SignedBy;
  /** It is signed by a key that nobody vouches for yet: only an enrolment with a right proof may be taken from it. */
  enrolment?: EnrolmentMark;
}

/** Seals and opens for one postoffice. An interface, so that the simulation can seal without randomness. */
export interface Sealer {
  /**
   * Throws DirpostError `peer-unknown` without keys of the receiver, `message-too-large` over the limit. `recipients`: for
   * these in place of those that are known of the receiver.
   */
  seal(envelope: Envelope, payload: Uint8Array, recipients?: string[]): Promise<Uint8Array>;
  /** Throws DirpostError `message-…`; see format.md, "Opening", for the order of the checks. */
  open(bytes: Uint8Array): Promise<OpenedMessage>;
  /** What stands on the outside, authenticated by nothing; undefined where it cannot be read. */
  outside(bytes: Uint8Array): Envelope | undefined;
}

export interface SealerOptions extends Senders {
  /** Of this postoffice. */
  name: string;
  /** The same object for ever, with the content of the moment. */
  keys: PrivateKeys;
  /** What proves the own keys to that peer, where it does not know them yet; oldest first. */
  statementsFor?: (peer: string) => Uint8Array[];
  /** Id of the invitation by which this postoffice is joining, until the server has answered: it stands in every header. */
  enrolling?: () => string | null;
  limits: Limits;
}

export function createSealer(options: SealerOptions): Sealer {
  const { name, limits } = options;
  // The public half is needed at the first use only; computing it is asynchronous.
  let own: { of: string; loaded: Promise<{ sealing: SealingKeys; peer: PeerKeys }> } | undefined;
  const ownKeys = () => {
    const { signing, identities, older } = options.keys;
    const of = [signing, ...identities, older?.signing].join();
    if (own?.of !== of) own = { of, loaded: loadOwnKeys(options.keys) };
    return own.loaded;
  };
  let ownPeer: PeerKeys | undefined;
  const authenticator = new Authenticator({
    peers: (peer) => options.peers(peer) ?? (peer === name ? ownPeer : undefined),
    isInvited: (peer, invitation) => options.isInvited?.(peer, invitation) === true,
  });
  const parsed = new ParsedKeys();
  return {
    outside(bytes) {
      try {
        return cut(bytes, limits).header.envelope;
      } catch {
        return undefined;
      }
    },
    async seal(envelope, payload, recipients) {
      if (envelope.from !== name) throw new DirpostError('wrong-use', `${name} cannot seal for ${envelope.from}.`);
      const own = await ownKeys();
      const peer = options.peers(envelope.to) ?? (envelope.to === name ? own.peer : undefined);
      const invitation = options.enrolling?.() ?? null;
      const enrolment = invitation === null ? null : { invitation, signing: own.peer.signing[0]! };
      const texts = recipients ?? recipientsOf(envelope.to, peer);
      const statements = envelope.to === name ? [] : (options.statementsFor?.(envelope.to) ?? []);
      const sealedFor = { texts, parsed: parsed.recipients(texts) };
      const bytes = await sealMessage(envelope, payload, own.sealing, sealedFor, enrolment, statements);
      if (bytes.length > limits.maxMessageBytes) {
        throw new DirpostError('message-too-large', `A message file of ${bytes.length} bytes is over the limit.`);
      }
      return bytes;
    },
    async open(bytes) {
      const pieces = cut(bytes, limits);
      const { envelope, enrolment } = pieces.header;
      if (envelope.to !== name) {
        throw new DirpostError('message-recipient', `The message file is for ${envelope.to}, not for ${name}.`);
      }
      if (envelope.from === name) ownPeer = (await ownKeys()).peer;
      const signedBy = authenticator.check(pieces);
      const plain = await decrypt(pieces, options.keys.identities, parsed);
      const payload = checkInner(plain, envelope, limits);
      const payloadHash = createHash('sha256').update(payload).digest();
      return { envelope, payload, payloadHash, signedBy, ...(enrolment && { enrolment }) };
    },
  };
}

function recipientsOf(name: string, peer: PeerKeys | undefined): string[] {
  if (peer?.suspended === true) {
    throw new DirpostError('peer-unknown', `${name} is suspended: nothing is sent to it.`, {
      retry: 'operator',
      hint: `When it may come back: dirpost requestor resume ${name}`,
    });
  }
  if (peer !== undefined && peer.recipients.length > 0) {
    const [newest] = peer.recipients;
    // What is also sealed for an X25519 key is no safer than that.
    return isHybrid(newest!) ? peer.recipients.filter(isHybrid) : peer.recipients;
  }
  throw new DirpostError('peer-unknown', `No keys of ${name} are known.`, {
    retry: 'operator',
    hint: 'Exchange public files with it: dirpost peer export, dirpost peer add FILE',
  });
}

async function loadOwnKeys(keys: PrivateKeys): Promise<{ sealing: SealingKeys; peer: PeerKeys }> {
  const announced = await publicKeys(keys);
  const before = keys.older?.signing ?? null;
  const older = before === null ? [] : [publicSigningKey(before)];
  return {
    sealing: { signing: signingKeyObject(keys.signing), signingKeyId: keyId(announced.signing) },
    // What this postoffice sent to itself just before a roll-over.
    peer: { signing: [announced.signing, ...older], recipients: [announced.recipient] },
  };
}

/** Throws DirpostError `message-decrypt`, with the sender in its context: it is proven by then. */
async function decrypt({ header, body }: Pieces, identities: string[], parsed: ParsedKeys): Promise<Uint8Array> {
  try {
    const native = parsed.identities(identities);
    if (native !== null) return decryptAgeFile(body, native);
    // The library reads a header of any length.
    parseHeader(Buffer.from(body.buffer, body.byteOffset, body.byteLength));
    const { Decrypter } = await import('age-encryption');
    const decrypter = new Decrypter();
    for (const identity of identities) decrypter.addIdentity(identity);
    return await decrypter.decrypt(body);
  } catch (cause) {
    const problem = 'The message file cannot be decrypted with the keys of this postoffice.';
    throw new DirpostError('message-decrypt', problem, { cause, context: { from: header.envelope.from } });
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
