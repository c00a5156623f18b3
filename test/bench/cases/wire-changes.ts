/** 1,000 random changes of one attribute each in 100,000 people on the wire, against xz of the same change LDIF. */
import { type Change, defaultLimits, encodeAttributes } from '@dirpost/core';
import { createCodec } from '@dirpost/message';
import {
  ldifLine,
  mobile,
  organisation,
  OWNER,
  type Person,
  type Random,
  room,
  seeded,
  telephone,
} from '../organisation.ts';
import { compress } from '../peers.ts';
import type { BenchCase, Figure } from '../run.ts';
import { bestOf, codec, makeSealers, seal, updateHead } from '../updates.ts';
import { departments, titles } from '../words.ts';

const ENTRIES = 100_000;
const CHANGES = 1_000;

/** What changes in a directory from day to day, and how often. */
const kinds: [weight: number, name: string, value: (person: Person, random: Random) => string][] = [
  [30, 'telephoneNumber', (person, random) => telephone(random, valueOf(person, 'telephoneNumber').slice(4, 6))],
  [20, 'mobile', (_, random) => mobile(random)],
  [20, 'title', (_, random) => titles[Math.floor(random() * titles.length)]!],
  [20, 'roomNumber', (_, random) => room(random)],
  [10, 'departmentNumber', (_, random) => String(1000 + ((Math.floor(random() * departments.length) * 7919) % 9000))],
];

const bench: BenchCase = {
  name: 'wire-changes',
  describe: `bytes on the wire for ${CHANGES.toLocaleString('en')} single-attribute changes, signed and encrypted`,
  async run() {
    const random = seeded(2);
    const chosen = new Set<number>();
    while (chosen.size < CHANGES) chosen.add(Math.floor(random() * ENTRIES));
    const changes: Change[] = [];
    const ldif: string[] = [];
    let number = 0;
    for (const person of organisation(ENTRIES, 1)) {
      number++;
      if (!chosen.has(number - 1)) continue;
      const [name, value] = drawChange(person, random);
      const bytes = encodeAttributes(new Map([[name.toLowerCase(), [Buffer.from(value)]]]));
      changes.push({ number, id: null, owner: OWNER, state: 'part', bytes });
      ldif.push(`${ldifLine('dn', person.dn)}\nchangetype: modify\nreplace: ${name}\n${ldifLine(name, value)}\n-\n\n`);
    }
    return measure(changes, ldif.join(''));
  },
};
export default bench;

async function measure(changes: Change[], ldif: string): Promise<Figure[]> {
  const { server, requestor } = await makeSealers();
  const encodeMs = 1000 * bestOf(5, () => createCodec(defaultLimits).encode(updateHead({}), changes));
  const again = createCodec(defaultLimits);
  again.encode(updateHead({}), changes);
  const againMs = 1000 * bestOf(5, () => again.encode(updateHead({}), changes));
  const payload = codec.encode(updateHead({}), changes);
  const sealed = await seal(server, payload);
  const opened = await requestor.open(sealed);
  const decoded = codec.changes(opened.payload);
  const decodeMs = 1000 * bestOf(5, () => codec.changes(opened.payload));
  for (const [i, change] of changes.entries()) {
    if (Buffer.compare(decoded[i]!.bytes, change.bytes) !== 0)
      throw new Error(`Change ${i} did not come back as it was.`);
  }
  const each = (bytes: number) => bytes / CHANGES;
  const xz = compress('xz', ['-9'], ldif);
  return [
    { what: 'change LDIF', value: each(Buffer.byteLength(ldif)), unit: 'B/change' },
    { what: 'payload', value: each(payload.length), unit: 'B/change' },
    {
      what: 'sealed',
      value: each(sealed.length),
      unit: 'B/change',
      ...(xz === undefined ? {} : { peer: 'xz -9', peerValue: each(xz.bytes) }),
      goal: { of: 'value', atMost: 5 },
    },
    { what: 'encoding', value: encodeMs, unit: 'ms of CPU' },
    { what: 'encoding for the next requestor', value: againMs, unit: 'ms of CPU' },
    { what: 'decoding', value: decodeMs, unit: 'ms of CPU' },
  ];
}

/** A new value that differs from the old one. */
function drawChange(person: Person, random: Random): [name: string, value: string] {
  for (;;) {
    let left = random() * 100;
    const [, name, make] = kinds.find(([weight]) => (left -= weight) < 0) ?? kinds[0]!;
    const value = make(person, random);
    if (value !== valueOf(person, name)) return [name, value];
  }
}

function valueOf(person: Person, name: string): string {
  return person.attributes.find(([one]) => one === name)![1];
}
