/** Sealing as the package does it, with every piece open to be made wrong. */
import { publicKeys } from '@dirpost/message';
import { Encrypter } from 'age-encryption';
import { Octets } from '../../packages/message/src/columns/octets.ts';
import { encodePrefix, packIncarnation } from '../../packages/message/src/header.ts';
import { keyId, signingKeyObject } from '../../packages/message/src/keys.ts';
import { pack } from '../../packages/message/src/scan.ts';
import { encodeInner, signMessage } from '../../packages/message/src/seal.ts';
import { keys } from './vector.ts';

export const MESSAGE_ID = '000102030405060708090a0b0c0d0e0f';

export interface SealOptions {
  payload: Uint8Array;
  /** As the header says. */
  from?: string;
  to?: string;
  /** Whose keys sign; `from` if not given. */
  signer?: string;
  /** Whose keys open; `to` if not given. */
  recipient?: string;
  /** As the sealed body says. */
  inner?: { id?: string; from?: string; to?: string };
  /** Header fields in place of the usual ones; undefined leaves a field out. */
  fields?: Record<string, unknown>;
  /** The header's octets in place of its fields. */
  header?: Uint8Array;
}

export async function sealWith(options: SealOptions): Promise<Buffer> {
  const { payload, from = 'oslo', to = 'bergen', signer = from, recipient = to } = options;
  const inner = encodeInner({ id: MESSAGE_ID, from, to, forIncarnation: null, createdMs: 0, ...options.inner });
  const encrypter = new Encrypter();
  encrypter.addRecipient((await publicKeys(keys[recipient]!)).recipient);
  const body = await encrypter.encrypt(Buffer.concat([inner, payload]));
  const header = options.header ?? (await encodeFields(from, to, signer, options.fields));
  return sign(Buffer.concat([encodePrefix(header, body.length), body]), signer);
}

async function encodeFields(
  from: string,
  to: string,
  signer: string,
  fields: Record<string, unknown> = {},
): Promise<Buffer> {
  const usual = {
    f: from,
    t: to,
    n: packIncarnation('300.b1b2b3b4b5b6b7b8'),
    i: Buffer.from(MESSAGE_ID, 'hex'),
    c: 1_790_000_000_000,
    k: keyId((await publicKeys(keys[signer]!)).signing),
  };
  const given = Object.entries({ ...usual, ...fields }).filter(([, value]) => value !== undefined);
  return pack(Object.fromEntries(given));
}

export function sign(unsigned: Uint8Array, signer: string): Buffer {
  return signMessage(unsigned, signingKeyObject(keys[signer]!.signing));
}

/** Version, head and columns as they are given. */
export function payloadOf(head: Uint8Array, columns: Uint8Array, version = 1): Buffer {
  const out = new Octets();
  out.octet(version);
  out.sized(head);
  out.raw(columns);
  return Buffer.from(out.view());
}
