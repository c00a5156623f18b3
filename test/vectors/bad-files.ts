/** Vectors that do not open: what is wrong is outside the payload. */
import { everyState } from './contents.ts';
import { updateHead } from './heads.ts';
import { MESSAGE_ID, sealWith, type SealOptions, sign } from './sealing.ts';
import { codec, type Vector } from './vector.ts';

const payload = codec.encode(updateHead('delta'), everyState);

export async function badFiles(): Promise<Vector[]> {
  const file = await sealWith({ payload });
  return [...cuts(file), ...alterations(file), ...(await wrongHeaders()), ...(await wrongPeople())];
}

function bad(name: string, expect: string, comment: string, bytes: Uint8Array): Vector {
  return { name: `bad-${name}`, expect, receiver: 'bergen', comment, bytes };
}

function cuts(file: Buffer): Vector[] {
  const headerEnd = 14 + file.readUInt16BE(8);
  const places: [name: string, at: number][] = [
    ['empty', 0],
    ['in-magic', 5],
    ['after-magic', 8],
    ['in-lengths', 11],
    ['in-header', headerEnd - 3],
    ['before-body', headerEnd],
    ['in-body', headerEnd + 100],
    ['before-signature', file.length - 64],
    ['in-signature', file.length - 1],
  ];
  return places.map(([name, at]) =>
    bad(`cut-${name}`, 'message-truncated', `${at} octets are left`, file.subarray(0, at)),
  );
}

function alterations(file: Buffer): Vector[] {
  const altered = (at: number, mask = 1): Buffer => {
    const copy = Buffer.from(file);
    copy[at < 0 ? file.length + at : at]! ^= mask;
    return copy;
  };
  const headerEnd = 14 + file.readUInt16BE(8);
  const created = file.indexOf(Buffer.from([0xa1, 0x63])) + 6;
  const huge = Buffer.from(file);
  huge.writeUInt32BE(0xffff_ffff, 10);
  return [
    bad('signature', 'message-signature', 'one bit of the signature is altered', altered(-1)),
    bad('altered-header', 'message-signature', 'one bit of the creation time is altered', altered(created)),
    bad('altered-age-header', 'message-signature', 'one bit of the age header is altered', altered(headerEnd + 40)),
    bad('altered-ciphertext', 'message-signature', 'one bit of the ciphertext is altered', altered(-80)),
    bad(
      'appended',
      'message-signature',
      'a line end was appended on the way',
      Buffer.concat([file, Buffer.from('\r\n')]),
    ),
    bad('foreign', 'message-foreign', 'a ZIP file', Buffer.concat([Buffer.from('PK\u0003\u0004'), file.subarray(4)])),
    bad('foreign-short', 'message-foreign', 'shorter than the magic, and not its beginning', Buffer.from('DIP')),
    bad('later-version', 'message-version', 'DIRPOST2', Buffer.concat([Buffer.from('DIRPOST2'), file.subarray(8)])),
    bad('huge-body', 'message-too-large', 'the prefix claims a body of 4 GiB', huge),
  ];
}

async function wrongHeaders(): Promise<Vector[]> {
  const withHeader = (header: Uint8Array) => sealWith({ payload, header });
  const withFields = (fields: Record<string, unknown>) => sealWith({ payload, fields });
  const nested = Buffer.concat([Buffer.from([0x81, 0xa1, 0x66]), Buffer.alloc(40, 0x91), Buffer.from([0xc0])]);
  const cases: [name: string, expect: string, comment: string, file: Promise<Buffer>][] = [
    [
      'critical',
      'message-critical',
      'the header lists a critical field that is not known',
      withFields({ z: 1, x: ['z'] }),
    ],
    ['header-long', 'message-header', 'the header is longer than 4096 octets', withFields({ z: 'z'.repeat(5000) })],
    ['header-nesting', 'message-header', 'arrays nested 40 deep', withHeader(nested)],
    [
      'header-count',
      'message-header',
      'a map that claims 2^32 - 1 pairs',
      withHeader(Buffer.from('dfffffffff', 'hex')),
    ],
    [
      'header-text',
      'message-header',
      'a text that claims 2^32 - 1 octets',
      withHeader(Buffer.from('81a166dbffffffff61', 'hex')),
    ],
    ['header-array', 'message-header', 'an array, not a map', withHeader(Buffer.from('93010203', 'hex'))],
    ['header-extension', 'message-header', 'a msgpack extension type', withHeader(Buffer.from('81a166d4010a', 'hex'))],
    ['header-empty', 'message-header', 'no header at all', withHeader(Buffer.alloc(0))],
    ['header-no-id', 'message-header', 'the header has no message id', withFields({ i: undefined })],
    ['header-short-id', 'message-header', 'a message id of 15 octets', withFields({ i: Buffer.alloc(15) })],
    ['header-incarnation', 'message-header', 'an incarnation of 3 octets', withFields({ n: Buffer.alloc(3) })],
  ];
  return Promise.all(cases.map(async ([name, expect, comment, file]) => bad(name, expect, comment, await file)));
}

async function wrongPeople(): Promise<Vector[]> {
  const cases: [name: string, expect: string, comment: string, options: Omit<SealOptions, 'payload'>][] = [
    ['recipient', 'message-recipient', 'addressed to another postoffice', { to: 'quantum' }],
    ['sender', 'message-sender', 'from a postoffice that is not known', { from: 'eve' }],
    ['signing-key', 'message-sender', 'signed with a key that the sender has not announced', { signer: 'eve' }],
    ['decrypt', 'message-decrypt', 'sealed for the keys of another', { recipient: 'eve' }],
    ['inner-from', 'message-mismatch', 'the sealed body names another sender', { inner: { from: 'quantum' } }],
    ['inner-to', 'message-mismatch', 'the sealed body names another receiver', { inner: { to: 'quantum' } }],
    [
      'inner-id',
      'message-mismatch',
      'the sealed body has another id',
      { inner: { id: MESSAGE_ID.replace('00', 'ff') } },
    ],
  ];
  const vectors = cases.map(async ([name, expect, comment, options]) =>
    bad(name, expect, comment, await sealWith({ payload, ...options })),
  );
  return [...(await Promise.all(vectors)), await forged()];
}

/** What the inner names are for: somebody who is known takes another's ciphertext and signs it as his own. */
async function forged(): Promise<Vector> {
  const file = await sealWith({ payload });
  const own = await sealWith({ payload, from: 'quantum' });
  const headerEnd = (bytes: Buffer) => 14 + bytes.readUInt16BE(8);
  const body = file.subarray(headerEnd(file), -64);
  const prefix = Buffer.from(own.subarray(0, headerEnd(own)));
  prefix.writeUInt32BE(body.length, 10);
  const bytes = sign(Buffer.concat([prefix, body]), 'quantum');
  return bad('forged', 'message-mismatch', "another's sealed body under a header and signature of one's own", bytes);
}
