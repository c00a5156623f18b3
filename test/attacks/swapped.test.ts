/**
 * Message files put together from others: header fields swapped, another's sealed body signed as one's own, parts cut off.
 * That any octet altered and any cut is refused: packages/message/src/open.test.ts; single cases: test/vectors (bad-inner-*,
 * bad-forged, bad-cut-*). That nothing is left of it at a postoffice: test/cli/bad-input.test.ts.
 */
import { isDirpostError } from '@dirpost/core';
import {
  createSealer,
  generateKeys,
  type PeerKeys,
  type PrivateKeys,
  publicKeys,
  requestSigner,
} from '@dirpost/message';
import { defaultLimits } from '@dirpost/core';
import { beforeAll, expect, it } from 'vitest';
import { cut, encodeHeader, encodePrefix, type Header } from '../../packages/message/src/header.ts';
import { keyId, signingKeyObject } from '../../packages/message/src/keys.ts';
import { signMessage } from '../../packages/message/src/seal.ts';

const names = ['hq', 'oslo', 'bergen'] as const;
type Name = (typeof names)[number];
const keys = {} as Record<Name, PrivateKeys>;
const peers = new Map<string, PeerKeys>();

const sealerOf = (name: Name) =>
  createSealer({ name, keys: keys[name], peers: (peer) => peers.get(peer), limits: defaultLimits });

beforeAll(async () => {
  for (const name of names) {
    keys[name] = await generateKeys();
    const { signing, recipient } = await publicKeys(keys[name]);
    peers.set(name, { signing: [signing], recipients: [recipient] });
  }
});

function fileOf(from: Name, to: Name, digit: string, said: string): Promise<Uint8Array> {
  const envelope = {
    id: digit.repeat(32),
    from,
    to,
    forIncarnation: '1.0011223344556677',
    createdMs: 1_790_000_000_000,
  };
  return sealerOf(from).seal(envelope, Buffer.from(said));
}

/** The header and the body, signed by the key of `signer`. */
async function putTogether(header: Header, body: Uint8Array, signer: Name): Promise<Uint8Array> {
  const signingKeyId = keyId((await publicKeys(keys[signer])).signing);
  const octets = encodeHeader({ ...header, signingKeyId });
  const unsigned = Buffer.concat([encodePrefix(octets, body.length), body]);
  return signMessage(unsigned, signingKeyObject(keys[signer].signing));
}

async function codeOf(name: Name, file: Uint8Array): Promise<string> {
  try {
    await sealerOf(name).open(file);
    return 'ok';
  } catch (error) {
    if (!isDirpostError(error)) throw error;
    return error.code;
  }
}

it("a sealed body is nobody else's: whoever signs it as his own is found out", async () => {
  const stolen = cut(await fileOf('oslo', 'hq', 'a', 'all of oslo'), defaultLimits);
  const header = { ...stolen.header, envelope: { ...stolen.header.envelope, from: 'bergen' } };
  expect(await codeOf('hq', await putTogether(header, stolen.body, 'bergen'))).toBe('message-mismatch');
});

it('who may sign for himself may not sign for another', async () => {
  const { header, body } = cut(await fileOf('oslo', 'hq', 'a', 'x'), defaultLimits);
  expect(await codeOf('hq', await putTogether(header, body, 'bergen'))).toBe('message-sender');
});

it.each(['os', 'oslo2', 'osl0', '0slo', 'oslo-', 'o-slo'])('who is called %s is not taken for oslo', async (like) => {
  // He has oslo's own keys, and all else is right.
  const sealer = createSealer({
    name: like,
    keys: keys.oslo,
    peers: (peer) => peers.get(peer),
    limits: defaultLimits,
  });
  const envelope = { id: 'a'.repeat(32), from: like, to: 'hq', forIncarnation: null, createdMs: 1_790_000_000_000 };
  const file = await sealer.seal(envelope, Buffer.from('x')).catch(() => null);
  if (file !== null) expect(['message-sender', 'message-format']).toContain(await codeOf('hq', file));
});

it('who has no key, an empty one, or no signature is nobody', async () => {
  const { header, body } = cut(await fileOf('oslo', 'hq', 'a', 'x'), defaultLimits);
  const unsigned = Buffer.concat([encodePrefix(encodeHeader(header), body.length), body]);
  for (const [octets, code] of [
    [Buffer.alloc(0), 'message-truncated'],
    [Buffer.alloc(64), 'message-signature'],
    [Buffer.alloc(64, 255), 'message-signature'],
  ] as const) {
    expect(await codeOf('hq', Buffer.concat([unsigned, octets]))).toBe(code);
  }
  for (const signing of [[], ['A'.repeat(43) + '=']]) {
    const peer = { signing, recipients: [] };
    const hq = createSealer({ name: 'hq', keys: keys.hq, peers: () => peer, limits: defaultLimits });
    await expect(hq.open(await fileOf('oslo', 'hq', 'a', 'x'))).rejects.toMatchObject({ code: 'message-sender' });
  }
});

it('fields of two headers of one sender cannot be mixed, although he signs both', async () => {
  const [one, two] = await Promise.all([fileOf('oslo', 'hq', 'a', 'one'), fileOf('oslo', 'hq', 'b', 'two')]);
  const [a, b] = [one, two].map((file) => cut(file, defaultLimits));
  const mixed = (fields: Partial<Header['envelope']>) =>
    putTogether({ ...a!.header, envelope: { ...a!.header.envelope, ...fields } }, a!.body, 'oslo');
  expect(await codeOf('hq', await mixed({}))).toBe('ok');
  expect(await codeOf('hq', await mixed({ id: b!.header.envelope.id }))).toBe('message-mismatch');
  expect(await codeOf('hq', await mixed({ to: 'bergen' }))).toBe('message-recipient');
  expect(await codeOf('bergen', await mixed({ to: 'bergen' }))).toBe('message-decrypt');
  // Without his key nothing fits: header of the one, body and signature of the other.
  const spliced = Buffer.concat([encodePrefix(encodeHeader(a!.header), b!.body.length), b!.body, b!.signature]);
  expect(await codeOf('hq', spliced)).toBe('message-signature');
});

it('a signature over an http request is none over a message file, and the other way round', async () => {
  const { signed, signature } = cut(await fileOf('oslo', 'hq', 'a', 'x'), defaultLimits);
  const request = requestSigner('oslo', keys.oslo).sign(signed);
  expect(Buffer.from(request).equals(signature)).toBe(false);
  expect(await codeOf('hq', Buffer.concat([signed, request]))).toBe('message-signature');
});
