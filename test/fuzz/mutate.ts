/** Makes a new input of one that there is: some random changes, of the kinds that readers of formats stumble over. */
import type { SeededRandom } from '../simulation/random.ts';

export interface Material {
  /** Inputs to take pieces of. */
  inputs: readonly Uint8Array[];
  words: readonly Uint8Array[];
  maxBytes: number;
}

const MAX_CHANGES = 6;
const oddOctets = [0x00, 0x01, 0x0a, 0x0d, 0x20, 0x22, 0x2c, 0x30, 0x3a, 0x5c, 0x7f, 0x80, 0xbf, 0xc0, 0xfe, 0xff];
const oddNumbers = [
  0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
];
const oddTexts = [
  '0',
  '-1',
  '1e9',
  '65536',
  '2147483648',
  '9007199254740993',
  '99999999999999999999',
  'NaN',
  '__proto__',
].map((one) => Buffer.from(one));

type Change = (random: SeededRandom, input: Buffer, material: Material) => Buffer;

export function mutate(random: SeededRandom, input: Uint8Array, material: Material): Uint8Array {
  let changed: Buffer = Buffer.from(input);
  for (let left = 1 + random.int(random.chance(0.5) ? 2 : MAX_CHANGES); left > 0; left--) {
    changed = random.pick(changes)(random, changed, material);
    if (changed.length > material.maxBytes) changed = Buffer.from(changed.subarray(0, material.maxBytes));
  }
  return changed;
}

/** From one place to another, not too far away. */
function range(random: SeededRandom, input: Buffer): [number, number] {
  const start = random.int(input.length + 1);
  const most = random.chance(0.7) ? 16 : input.length;
  return [start, Math.min(input.length, start + random.int(most + 1))];
}

function replace(input: Buffer, start: number, end: number, piece: Uint8Array): Buffer {
  return Buffer.concat([input.subarray(0, start), piece, input.subarray(end)]);
}

/** Nothing can be set in nothing. */
function setting(set: (random: SeededRandom, input: Buffer, at: number) => void): Change {
  return (random, input) => {
    if (input.length > 0) set(random, input, random.int(input.length));
    return input;
  };
}

const changes: Change[] = [
  setting((random, input, at) => {
    input[at]! ^= 1 << random.int(8);
  }),
  setting((random, input, at) => {
    input[at] = random.int(256);
  }),
  setting((random, input, at) => {
    input[at] = random.pick(oddOctets);
  }),
  setting((random, input, at) => {
    input[at] = (input[at]! + (random.chance(0.5) ? 1 : 255)) & 0xff;
  }),
  setting((random, input, at) => {
    const width = Math.min(random.pick([2, 4]), input.length - at);
    const number = random.pick(oddNumbers) % 2 ** (8 * width);
    if (random.chance(0.8)) input.writeUIntBE(number, at, width);
    else input.writeUIntLE(number, at, width);
  }),
  (random, input) => replace(input, ...range(random, input), Buffer.alloc(0)),
  (random, input) => {
    const at = random.int(input.length + 1);
    return replace(input, at, at, random.bytes(1 + random.int(8)));
  },
  (random, input) => {
    const [start, end] = range(random, input);
    const at = random.int(input.length + 1);
    return replace(input, at, at, Buffer.from(input.subarray(start, end)));
  },
  repeated,
  (random, input) => Buffer.from(input.subarray(0, random.int(input.length + 1))),
  (random, input, { words }) => {
    if (words.length === 0) return input;
    const at = random.int(input.length + 1);
    return replace(input, at, random.chance(0.5) ? at : Math.min(input.length, at + 4), random.pick(words));
  },
  (random, input, { inputs }) => {
    const other = Buffer.from(random.pick(inputs));
    const [start, end] = range(random, other);
    return replace(input, ...range(random, input), other.subarray(start, end));
  },
  (random, input, { inputs }) => {
    const other = Buffer.from(random.pick(inputs));
    return Buffer.concat([
      input.subarray(0, random.int(input.length + 1)),
      other.subarray(random.int(other.length + 1)),
    ]);
  },
  otherNumber,
];

/** Deep nesting, long lines, many of the same. */
function repeated(random: SeededRandom, input: Buffer, { maxBytes }: Material): Buffer {
  const [start, end] = range(random, input);
  const piece = Buffer.from(input.subarray(start, end));
  if (piece.length === 0) return input;
  const times = 2 ** random.int(12);
  const most = Math.max(1, Math.floor(maxBytes / piece.length));
  return replace(input, end, end, Buffer.concat(Array.from({ length: Math.min(times, most) }, () => piece)));
}

/** A number that is written in digits becomes another one. */
function otherNumber(random: SeededRandom, input: Buffer): Buffer {
  const found = [...input.toString('latin1').matchAll(/\d+/g)];
  if (found.length === 0) return input;
  const { index, 0: digits } = random.pick(found);
  return replace(input, index, index + digits.length, random.pick(oddTexts));
}
