/**
 * Vectors that are sealed and signed as they should be, by a sender who is known, around a payload that is not. The
 * columns are written by hand here, octet by octet, as format.md describes them.
 */
import { brotliCompressSync } from 'node:zlib';
import { Octets } from '../../packages/message/src/columns/octets.ts';
import { encodeHead } from '../../packages/message/src/head.ts';
import { pack, unpack } from '../../packages/message/src/scan.ts';
import { everyState } from './contents.ts';
import { columnsOf } from './good-messages.ts';
import { updateHead } from './heads.ts';
import { payloadOf, sealWith } from './sealing.ts';
import { codec, describeContent, type Vector } from './vector.ts';

const head = encodeHead(updateHead('delta'));
const columns = columnsOf(codec.encode(updateHead('delta'), everyState));

export async function badPayloads(): Promise<Vector[]> {
  const payloads = [...badHeads(), ...badStreams(), ...badRows(), ...badColumns(), ...badSizes()];
  const vectors = payloads.map(async ({ name, expect, comment, payload }): Promise<Vector> => {
    return { name: `bad-${name}`, expect, receiver: 'bergen', comment, bytes: await sealWith({ payload }) };
  });
  return [await handMade(), ...(await Promise.all(vectors))];
}

interface Bad {
  name: string;
  expect: string;
  comment: string;
  payload: Uint8Array;
}

const bad = (name: string, comment: string, payload: Uint8Array, expect = 'message-payload'): Bad => {
  return { name, expect, comment, payload };
};

function badHeads(): Bad[] {
  const fields = unpack(head, 8, 'message-payload') as unknown[];
  const withHead = (changed: unknown[]) => payloadOf(pack(changed), columns);
  const deep = Buffer.concat([Buffer.alloc(60, 0x91), Buffer.from([0xc0])]);
  const claimed = Buffer.from(payloadOf(head, columns));
  claimed.set([0xff, 0xff, 0xff, 0xff, 0x0f], 1);
  return [
    bad('payload-empty', 'no payload at all', Buffer.alloc(0)),
    bad('payload-version', 'payload format version 2', payloadOf(head, columns, 2), 'message-critical'),
    bad(
      'head-must-know',
      'one field more than this version knows must be understood',
      withHead([fields[0], (fields[1] as number) + 1, ...fields.slice(2), 1]),
      'message-critical',
    ),
    bad('head-kind', 'a kind of message that is not known', withHead([9, 0]), 'message-critical'),
    bad('head-short', 'the last field is missing', withHead(fields.slice(0, -1))),
    bad('head-negative', 'a negative number of the update', withHead(fields.with(4, -1))),
    bad('head-nesting', 'arrays nested 60 deep', payloadOf(deep, columns)),
    bad('head-count', 'an array that claims 2^32 - 1 items', payloadOf(Buffer.from('ddffffffff', 'hex'), columns)),
    bad('head-length', 'a head that claims 4 GiB', claimed, 'limit-exceeded'),
  ];
}

/** Plain stream (compressed if asked) and packed stream. */
function streams(
  plain: Uint8Array,
  packed: Uint8Array = Buffer.alloc(0),
  claims: { plain?: number; brotli?: boolean } = {},
): Buffer {
  const out = new Octets();
  const stored = claims.brotli === true ? brotliCompressSync(plain) : plain;
  out.varint(claims.plain ?? plain.length);
  out.varint(claims.brotli === true ? stored.length : 0);
  out.raw(stored);
  out.raw(packed);
  return Buffer.from(out.view());
}

function badStreams(): Bad[] {
  const zeros = Buffer.alloc(64 * 1024 * 1024);
  const cutColumns = columns.subarray(0, columns.length - 1);
  return [
    bad(
      'brotli-bomb',
      '64 MiB of zeros that claim to be 100 octets',
      payloadOf(head, streams(zeros, undefined, { plain: 100, brotli: true })),
    ),
    bad(
      'brotli-bomb-admitted',
      '64 MiB of zeros that say so',
      payloadOf(head, streams(zeros, undefined, { brotli: true })),
      'limit-exceeded',
    ),
    bad(
      'brotli-length',
      'inflates to fewer octets than it says',
      payloadOf(head, streams(Buffer.alloc(99), undefined, { plain: 100, brotli: true })),
    ),
    bad(
      'brotli-damaged',
      'the compressed stream is not one',
      payloadOf(head, Buffer.from('6408ffffffffffffffff', 'hex')),
    ),
    bad('columns-cut', 'the packed stream ends early', payloadOf(head, cutColumns)),
    bad('columns-longer', 'octets after the last column', payloadOf(head, Buffer.concat([columns, Buffer.from([0])]))),
  ];
}

/** One entry with one attribute, piece by piece. */
const pieces = {
  count: [1],
  owners: [1, 4, ...Buffer.from('oslo')],
  /** `cn` is the fourth of the well-known names. */
  names: [1, 4],
  /** Whole, raw id, person; one column, the first. */
  shapes: [1, 0x14, 1, 0],
  /** Constant: 5. */
  numbers: [0, 5],
  /** Not foretold; constant: 0. */
  shapeOf: [0, 0, 0],
  ownerOf: [0, 0, 0],
  /** A list; constant: one value each; lines. */
  columns: [0, 0, 1, 0, ...Buffer.from('x\n')],
};
type Pieces = typeof pieces;

function byHand(changed: Partial<Pieces>, packed: Uint8Array = Buffer.alloc(16, 1)): Buffer {
  return payloadOf(head, streams(Buffer.from(Object.values({ ...pieces, ...changed }).flat()), packed));
}

async function handMade(): Promise<Vector> {
  const payload = byHand({});
  const content = describeContent(codec.head(payload), codec.changes(payload));
  const comment = 'one entry with one attribute, its columns written by hand: what the bad ones are made from';
  return {
    name: 'good-by-hand',
    expect: 'ok',
    receiver: 'bergen',
    content,
    comment,
    bytes: await sealWith({ payload }),
  };
}

const HUGE = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];

/** As much as count and shape may say, each by itself; the names are a100 to a299. */
const MANY_CELLS: Partial<Pieces> = {
  count: [0x80, 0x80, 0x04],
  names: [0xc8, 0x01, ...Array.from({ length: 200 }, (_, i) => [0, 4, ...Buffer.from(`a${100 + i}`)]).flat()],
  shapes: [1, 0x01, 0xc8, 0x01, ...Array.from({ length: 200 }, () => 0)],
};

function badRows(): Bad[] {
  const limit = 'limit-exceeded';
  return [
    bad('count-bomb', '2^45 changes', byHand({ count: HUGE }), limit),
    bad('cell-count-bomb', '65,536 changes of 200 attributes each', byHand(MANY_CELLS), limit),
    bad('owner-count', '2^45 owners', byHand({ owners: HUGE })),
    bad('owner-unknown', 'a row of an owner that is not in the list', byHand({ ownerOf: [0, 0, 1] })),
    bad('owner-utf8', 'an owner that is not UTF-8', byHand({ owners: [1, 1, 0xff] })),
    bad('name-upper-case', 'an attribute name in upper case', byHand({ names: [1, 0, 2, 0x43, 0x4e] })),
    bad('name-twice', 'an attribute twice', byHand({ names: [2, 4, 4] })),
    bad('name-number', 'a well-known name that there is not', byHand({ names: [1, 120] })),
    bad('shape-state', 'a state that there is not', byHand({ shapes: [1, 0x17, 1, 0] })),
    bad('shape-kind', 'a kind of entry that there is not', byHand({ shapes: [1, 0xf4, 1, 0] })),
    bad('shape-no-id', 'a whole entry without an id', byHand({ shapes: [1, 0x10, 1, 0] }, Buffer.alloc(0))),
    bad('shape-removed', 'a removed entry with attributes', byHand({ shapes: [1, 0x06, 1, 0] })),
    bad('shape-column', 'a shape with a column that there is not', byHand({ shapes: [1, 0x14, 1, 1] })),
    bad('id-not-derivable', 'a derived id without the anchor', byHand({ shapes: [1, 0x18, 1, 0] }, Buffer.alloc(0))),
    bad('numbers-encoding', 'numbers in an encoding that there is not', byHand({ numbers: [7] })),
    bad('numbers-deltas', 'differences of differences', byHand({ numbers: [6, 6, 0, 1] })),
    bad(
      'numbers-huge',
      'an entry number of 2^55',
      byHand({ numbers: [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f] }),
    ),
  ];
}

function badColumns(): Bad[] {
  const x = [...Buffer.from('x\n')];
  const column = (...octets: number[]) => byHand({ columns: octets });
  return [
    bad('column-mode', 'a column in a mode that there is not', column(9)),
    bad('values-none', 'a whole entry with an attribute without values', column(0, 0, 0)),
    bad('values-order', 'two values that are not in order', column(0, 0, 2, 0, ...Buffer.from('b\na\n'))),
    bad('values-equal', 'the same value twice', column(0, 0, 2, 0, ...x, ...x)),
    bad('values-count', '2^45 values', column(0, 0, ...HUGE), 'limit-exceeded'),
    bad('list-encoding', 'a list in an encoding that there is not', column(0, 0, 1, 8)),
    bad('list-line', 'a line that does not end', column(0, 0, 1, 0, 0x78)),
    bad('list-length', 'a value of 2^45 octets', column(0, 0, 1, 1, 0, ...HUGE)),
    bad(
      'list-nesting',
      'a dictionary in a dictionary in a dictionary in a dictionary',
      column(0, 0, 1, 3, 1, 3, 1, 3, 1, 3, 1, 0, ...x),
    ),
    bad('dictionary-count', 'a dictionary larger than its list', column(0, 0, 1, 3, 2, 0, ...x, ...x, 0, 0, 0)),
    bad('dictionary-symbol', 'a symbol beyond its dictionary', column(0, 0, 1, 3, 1, 0, ...x, 0, 0, 1)),
    bad('foretold', 'symbols foretold by a column that there is not', column(0, 0, 1, 3, 1, 0, ...x, 1)),
    bad(
      'digits',
      'packed digits of which one group is above 999',
      byHand(
        { columns: [0, 0, 1, 4, 1, 0, 1, 1, 1, 10, 0, 0, 0] },
        Buffer.concat([Buffer.alloc(16, 1), Buffer.from([0xff, 0xff])]),
      ),
    ),
    bad('front', 'a value that repeats 9 octets of the one before, which has none', column(0, 0, 1, 7, 0, 9, 0, ...x)),
    bad('template-column', 'a template of a later column', column(2, 1, 1, 2, 0, 0)),
    bad('template-holes', 'a template with two holes', column(2, 1, 2, 0, 0)),
    bad('templates', 'five templates', column(2, 5)),
    bad('template-used', 'a template in use that is not there', column(2, 1, 1, 1, 1, 0x78, 0, 2, 0, 0)),
    bad('reference', 'a reference to a row that there is not', column(3, 0, 1, 0, 0, 0, 7)),
  ];
}

/** Small files that would be large if one believed them. */
function badSizes(): Bad[] {
  const rows = 60_000;
  const many = {
    count: [0xe0, 0xd4, 0x03],
    shapes: [1, 0x01, 1, 0],
    numbers: [0, 1],
    shapeOf: [0, 0, 0],
  };
  const long = 'y'.repeat(1000);
  const dictionary = [3, 1, 0, ...Buffer.from(`${long}\n`), 0, 0, 0];
  const doubling = Array.from({ length: 20 }, (_, i) => [2, 1, 2, 2, i, 0, 2, i, 0, 0, 1, 0, 0]);
  const names = Array.from({ length: 21 }, (_, i) => [0, 2, 0x61, 0x61 + i]);
  const shape = [1, 0x14, 21, ...Array.from({ length: 21 }, () => 0)];
  return [
    bad(
      'repeated-value',
      `a value of 1,000 octets in each of ${rows} rows`,
      byHand({ ...many, columns: [0, 0, 1, ...dictionary] }, Buffer.alloc(0)),
      'limit-exceeded',
    ),
    bad(
      'value-bomb',
      `100,000 empty values in each of ${rows} rows`,
      byHand({ ...many, columns: [0, 0, 0xa0, 0x8d, 0x06, 0] }, Buffer.alloc(0)),
      'limit-exceeded',
    ),
    bad(
      'template-bomb',
      '20 columns, each twice the one before',
      byHand({
        names: [21, ...names.flat()],
        shapes: shape,
        columns: [0, 0, 1, 0, ...Buffer.from(`${long}\n`), ...doubling.flat()],
      }),
      'limit-exceeded',
    ),
  ];
}
