/**
 * Whose message file is it? Checked by its signature alone, before anything is decrypted: by `open.ts`, and by a
 * transport that listens, which takes nothing from strangers. Also the signatures with which a transport proves who it
 * speaks for: over a hash of another domain than that of message files, so that one never passes for the other.
 */
import { createHash, type KeyObject, sign, verify } from 'node:crypto';
import { DirpostError, isDirpostError, type Limits, type RequestSigner } from '@dirpost/core';
import { cut, type Header, type Pieces } from './header.ts';
import { followStatements, type Followed, MAX_STATEMENTS } from './key-statement.ts';
import { authenticationKeyObject, keyId, type PeerKeys, type PrivateKeys, signingKeyObject } from './keys.ts';
import { signatureInput } from './seal.ts';

const REQUEST_DOMAIN = Buffer.from('dirpost http request 1\0');
const MAX_PARSED_KEYS = 10_000;

export interface Senders {
  /** Undefined for a postoffice that is not known. */
  peers(name: string): PeerKeys | undefined;
  /** Whether that postoffice was given the invitation of that id, and it is not void. */
  isInvited?(name: string, invitation: string): boolean;
}

export interface SignedBy {
  /** Public signing key, 32 octets in base64. */
  signing: string;
  /** The header proves by the recovery key that no earlier key counts: the serial of that word; null: nothing new. */
  recovered: number | null;
}

/** A request of a transport that has an authorisation of its own. */
export interface SignedRequest {
  request: Uint8Array;
  signature: Uint8Array;
  statements?: readonly Uint8Array[] | undefined;
}

interface ParsedKey {
  text: string;
  id: Buffer;
  key: KeyObject;
}

export class Authenticator {
  /** Parsed signing keys by their text: parsing one costs as much as using it. */
  readonly #parsed = new Map<string, ParsedKey>();

  constructor(readonly senders: Senders) {}

  /** The keys that count for a message with this header. Throws DirpostError `message-sender` where it is nobody's. */
  keysFor(header: Header): PeerKeys & Pick<Followed, 'recovered'> {
    const { envelope, enrolment, statements } = header;
    const peer = this.senders.peers(envelope.from);
    if (peer?.suspended === true) throw new DirpostError('message-sender', `${envelope.from} is suspended here.`);
    if (enrolment !== null) {
      if (this.senders.isInvited?.(envelope.from, enrolment.invitation) === true) {
        return { signing: [enrolment.signing], recipients: [], recovered: null };
      }
      const problem = `${envelope.from} wants to join by an invitation that it was not given here, or that is void.`;
      throw new DirpostError('message-sender', problem);
    }
    if (peer !== undefined) return { ...peer, ...followStatements(envelope.from, peer, statements) };
    throw new DirpostError('message-sender', `The sender ${envelope.from} is not known here.`);
  }

  /** By which key it is signed. Throws DirpostError `message-sender`, `message-signature`. */
  check({ header, signed, signature }: Pieces): SignedBy {
    const { from } = header.envelope;
    const { recovered, ...keys } = this.keysFor(header);
    const known = this.#announced(keys).find(({ id }) => id.equals(header.signingKeyId));
    if (known === undefined) {
      throw new DirpostError('message-sender', `The message file is signed with a key that ${from} has not announced.`);
    }
    if (!verify(null, signatureInput(signed), known.key, signature)) {
      throw new DirpostError('message-signature', `The signature of ${from} does not match: the file was altered.`);
    }
    return { signing: known.text, recovered };
  }

  /** A whole message file. Throws as `check`, and as cutting it does. */
  checkFile(bytes: Uint8Array, limits: Limits): void {
    this.check(cut(bytes, limits));
  }

  /** Whether one of the keys of `name` signed the request, or one to which these statements lead. */
  checkRequest(name: string, keys: PeerKeys, { request, signature, statements = [] }: SignedRequest): boolean {
    const input = requestInput(request);
    const isBy = (peer: PeerKeys) => this.#announced(peer).some(({ key }) => verify(null, input, key, signature));
    if (isBy(keys)) return true;
    if (statements.length === 0 || statements.length > MAX_STATEMENTS) return false;
    try {
      const { signing } = followStatements(name, keys, statements);
      return isBy({ ...keys, signing: signing.filter((key) => !keys.signing.includes(key)) });
    } catch (error) {
      // One in a wrong form, which a stranger may have written.
      if (!isDirpostError(error)) throw error;
      return false;
    }
  }

  #announced(peer: PeerKeys): ParsedKey[] {
    return peer.signing.map((signing) => {
      let known = this.#parsed.get(signing);
      if (known === undefined) {
        known = { text: signing, id: keyId(signing), key: authenticationKeyObject(signing) };
        if (this.#parsed.size >= MAX_PARSED_KEYS) this.#parsed.clear();
        this.#parsed.set(signing, known);
      }
      return known;
    });
  }
}

/** `which`: the private signing key of the moment; other ones come with a roll-over. `statements`: see RequestSigner. */
export function requestSigner(
  name: string,
  keys: PrivateKeys,
  which: () => string = () => keys.signing,
  statements: () => Uint8Array[] = () => [],
): RequestSigner {
  let parsed: { text: string; key: KeyObject } | undefined;
  return {
    name,
    statements,
    sign(request) {
      const text = which();
      if (parsed?.text !== text) parsed = { text, key: signingKeyObject(text) };
      return sign(null, requestInput(request), parsed.key);
    },
  };
}

function requestInput(request: Uint8Array): Buffer {
  return createHash('sha512').update(REQUEST_DOMAIN).update(request).digest();
}
