/** Vectors of joining: `eve`, whom nobody knows, sends her enrolment to `bergen`, which has invited her. */
import { enrolmentRequest, proofKeyOf, proofOf, publicKeys } from '@dirpost/message';
import { sealWith, type SealOptions } from './sealing.ts';
import { codec, describeContent, invitation, keys, type Vector } from './vector.ts';

async function signingKeyOf(name: string): Promise<Buffer> {
  return Buffer.from((await publicKeys(keys[name]!)).signing, 'base64');
}

async function payloadOfEve(): Promise<Uint8Array> {
  const { signing, recipient } = await publicKeys(keys['eve']!);
  const proven = { invitation: invitation.id, server: 'bergen', name: 'eve', signing, recipient };
  const proof = proofOf(proofKeyOf(invitation.secret), proven);
  return codec.encode(enrolmentRequest('0.e1e2e3e4e5e6e7e8', { signing, recipient, version: '0.1.0', proof }), []);
}

export async function enrolments(): Promise<Vector[]> {
  const payload = await payloadOfEve();
  const id = Buffer.from(invitation.id, 'hex');
  const eve = await signingKeyOf('eve');
  const other = await signingKeyOf('quantum');
  const seal = (e: unknown, x: string[] | undefined, options: Partial<SealOptions> = {}) =>
    sealWith({ payload, from: 'eve', fields: { n: undefined, e, x }, ...options });
  const bad = async (name: string, expect: string, comment: string, bytes: Promise<Uint8Array>): Promise<Vector> => {
    return { name: `bad-enrolment-${name}`, expect, receiver: 'bergen', comment, bytes: await bytes };
  };
  const cut = id.subarray(1);
  return [
    {
      name: 'good-enrolment-by-invitation',
      expect: 'ok',
      receiver: 'bergen',
      content: describeContent(codec.head(payload), codec.changes(payload)),
      comment: 'signed by a key that stands in the header, by an invitation that bergen gave to eve',
      bytes: await seal([id, eve], ['e']),
    },
    await bad(
      'uninvited',
      'message-sender',
      'an invitation that was not given',
      seal([Buffer.alloc(16, 9), eve], ['e']),
    ),
    await bad(
      'other-name',
      'message-sender',
      'an invitation of another',
      seal([id, eve], ['e'], { from: 'mallory', signer: 'eve' }),
    ),
    await bad(
      'not-critical',
      'message-header',
      'the enrolment in the header is not listed in x',
      seal([id, eve], undefined),
    ),
    await bad('missing', 'message-header', 'x lists an enrolment that is not there', seal(undefined, ['e'])),
    await bad('short-id', 'message-header', 'the id of the invitation has 15 octets', seal([cut, eve], ['e'])),
    await bad('short-key', 'message-header', 'the signing key has 31 octets', seal([id, eve.subarray(1)], ['e'])),
    await bad(
      'other-key',
      'message-sender',
      'the key in the header is not the one that k names',
      seal([id, other], ['e']),
    ),
    await bad(
      'signature',
      'message-signature',
      'the last bit of the signature is altered',
      seal([id, eve], ['e']).then(altered),
    ),
  ];
}

function altered(bytes: Buffer): Buffer {
  bytes[bytes.length - 1]! ^= 1;
  return bytes;
}
