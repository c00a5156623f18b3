/**
 * A few hundred octets of columns that ask for much work, by letting many cells share one long value, and what else a known
 * postoffice may seal and sign to keep others busy. Each is refused, with a reason, within a second of processor time.
 */
import { brotliCompressSync, constants } from 'node:zlib';
import { type Change, defaultLimits, DirpostError, encodeEntry, isDirpostError } from '@dirpost/core';
import { createCodec } from '@dirpost/message';
import { describe, expect, it } from 'vitest';
import { decryptAgeFile } from '../../packages/message/src/age-file.ts';
import { Octets } from '../../packages/message/src/columns/octets.ts';
import { MAX_COLUMNS } from '../../packages/message/src/columns/table.ts';
import { encodeHead } from '../../packages/message/src/head.ts';
import { x25519Identity } from '../../packages/message/src/x25519.ts';
import { updateHead } from '../vectors/heads.ts';
import { payloadOf } from '../vectors/sealing.ts';

const codec = createCodec(defaultLimits);
const ROWS = 20_000;
const LONG = 200_000;

// What the columns are made of (format.md, "Columns").
const constant = (value: number) => (into: Octets) => {
  into.octet(0);
  into.varint(value);
};
const symbols = (of: number) => (into: Octets) => {
  into.varint(0);
  constant(of)(into);
};

/** Rows of state `part`, each with a cell in all of these columns. */
function top(rows: number, names: readonly string[], idForm = 0): Octets {
  const into = new Octets();
  into.varint(rows);
  into.varint(1);
  into.sized(Buffer.from('hq'));
  into.varint(names.length);
  for (const name of names) {
    into.varint(0);
    into.sized(Buffer.from(name));
  }
  into.varint(1);
  into.octet(1 + 4 * idForm);
  into.varint(names.length);
  for (const _ of names) into.varint(0);
  constant(1)(into);
  symbols(0)(into);
  symbols(0)(into);
  return into;
}

function payload(plain: Octets, packed: Uint8Array = Buffer.alloc(0)): Uint8Array {
  const octets = plain.view();
  const squeezed = brotliCompressSync(octets, { params: { [constants.BROTLI_PARAM_QUALITY]: 3 } });
  const columns = new Octets();
  columns.varint(octets.length);
  columns.varint(squeezed.length);
  columns.raw(squeezed);
  columns.raw(packed);
  return payloadOf(encodeHead(updateHead('delta')), columns.view());
}

const longLine = (into: Octets) => {
  into.octet(0);
  into.raw(Buffer.alloc(LONG, 'a'));
  into.octet(10);
};

/** One cell each of one long value, by a dictionary. */
const sameLongValue = (into: Octets) => {
  into.octet(0);
  constant(1)(into);
  into.octet(3);
  into.varint(1);
  longLine(into);
  symbols(0)(into);
};

const bombs: [string, () => Uint8Array][] = [
  [
    'masks that are one long value',
    () => {
      const into = top(ROWS, ['cn']);
      into.octet(0);
      constant(1)(into);
      into.octet(4);
      into.varint(ROWS);
      into.octet(3);
      into.varint(1);
      longLine(into);
      symbols(0)(into);
      symbols(0)(into);
      return payload(into);
    },
  ],
  [
    'cells of two long values that are alike but for their end',
    () => {
      const into = top(ROWS, ['cn']);
      into.octet(1);
      into.varint(1);
      constant(2)(into);
      longLine(into);
      into.length--;
      into.octet(10);
      into.raw(Buffer.alloc(LONG, 'a'));
      into.octet(0x62);
      into.octet(10);
      symbols(0)(into);
      return payload(into);
    },
  ],
  [
    'one octet each of a long value, by a template',
    () => {
      const into = top(ROWS, ['cn', 'sn']);
      sameLongValue(into);
      // Derived, by one template of one part: the first octet of the first column, folded.
      for (const one of [2, 1, 1, 4, 0, 1]) into.octet(one);
      constant(1)(into);
      constant(0)(into);
      return payload(into);
    },
  ],
  [
    'references that are put in order among millions of values',
    () => {
      const count = 7_000_000;
      const into = top(1, ['member;entryid'], 1);
      into.octet(3);
      constant(1)(into);
      constant(count)(into);
      constant(0)(into);
      into.octet(0);
      into.raw(Buffer.alloc(count, 10));
      return payload(into, Buffer.alloc(16));
    },
  ],
  [
    'columns without end',
    () => {
      const count = 300_000;
      const into = new Octets();
      into.varint(1);
      into.varint(1);
      into.sized(Buffer.from('hq'));
      into.varint(count);
      for (let i = 0; i < count; i++) {
        into.varint(0);
        into.sized(Buffer.from(`a${i.toString(36)}`));
      }
      into.varint(1);
      into.octet(1);
      into.octet(0);
      constant(1)(into);
      symbols(0)(into);
      symbols(0)(into);
      into.raw(Buffer.alloc(count));
      return payload(into);
    },
  ],
];

function cpuMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

it.each(bombs)('%s: refused within a second of processor time', (_, make) => {
  const octets = make();
  let code = 'ok';
  const ms = cpuMs(() => {
    try {
      codec.changes(octets);
    } catch (error) {
      if (!isDirpostError(error)) throw error;
      code = error.code;
    }
  });
  expect(code).toMatch(/^(?:limit-exceeded|message-payload)$/);
  expect(ms).toBeLessThan(1_000);
});

describe('attributes of other names in every entry', () => {
  const changes = (count: number): Change[] =>
    Array.from({ length: count }, (_, i) => {
      const names = Array.from({ length: 150 }, (_unused, k) => `a${(i * 150 + k).toString(36)}`);
      const attributes = new Map(names.map((name) => [name, [Buffer.from('x')]]));
      const id = Buffer.alloc(16, i);
      return {
        number: i,
        id,
        owner: 'hq',
        state: 'whole',
        bytes: encodeEntry({ id, owner: 'hq', kind: 'person', attributes }),
      };
    });

  it('are sent as long as readers take them, and refused above that, so that the part is cut', () => {
    const fits = changes(Math.floor(MAX_COLUMNS / 150));
    expect(codec.changes(codec.encode(updateHead('delta'), fits))).toHaveLength(fits.length);
    const tooMany = () => codec.encode(updateHead('delta'), changes(Math.ceil(MAX_COLUMNS / 150) + 1));
    expect(tooMany).toThrowError(DirpostError);
    expect(tooMany).toThrowError(/attributes/);
  });
});

it('a body that is sealed for a hundred thousand recipients is not tried with each', () => {
  const identities = [x25519Identity(Buffer.alloc(32, 5))];
  const share = Buffer.alloc(32, 9).toString('base64').replace('=', '');
  const body = Buffer.alloc(32, 1).toString('base64').replace('=', '');
  const stanza = `-> X25519 ${share}\n${body}\n`;
  const file = Buffer.from(`age-encryption.org/v1\n${stanza.repeat(100_000)}--- ${body}\n${'x'.repeat(64)}`);
  expect(file.length).toBeLessThan(defaultLimits.maxMessageBytes);
  const ms = cpuMs(() => expect(() => decryptAgeFile(file, identities)).toThrow());
  expect(ms).toBeLessThan(1_000);
});
