import fc from 'fast-check';
import { BerWriter } from 'ldapts';
import { describe, expect, it } from 'vitest';
import { MessageWriter } from './message-writer.ts';

type Piece =
  | { kind: 'int'; value: number }
  | { kind: 'boolean'; value: boolean }
  | { kind: 'text'; value: string }
  | { kind: 'octets'; value: Uint8Array }
  | { kind: 'sequence'; pieces: Piece[] };

const { piece } = fc.letrec<{ piece: Piece }>((tie) => ({
  piece: fc.oneof(
    { maxDepth: 4 },
    fc.record({ kind: fc.constant('int' as const), value: fc.integer() }),
    fc.record({ kind: fc.constant('boolean' as const), value: fc.boolean() }),
    fc.record({ kind: fc.constant('text' as const), value: fc.string({ unit: 'grapheme', maxLength: 200 }) }),
    fc.record({ kind: fc.constant('octets' as const), value: fc.uint8Array({ maxLength: 400 }) }),
    fc.record({ kind: fc.constant('sequence' as const), pieces: fc.array(tie('piece'), { maxLength: 8 }) }),
  ),
}));

function write(writer: MessageWriter | BerWriter, one: Piece): void {
  switch (one.kind) {
    case 'int':
      return writer.writeInt(one.value);
    case 'boolean':
      return writer.writeBoolean(one.value);
    case 'text':
      return writer.writeString(one.value);
    case 'octets':
      return writer.writeBuffer(Buffer.from(one.value), 0x04);
    case 'sequence':
      writer.startSequence();
      for (const inner of one.pieces) write(writer, inner);
      writer.endSequence();
  }
}

function byLdapts(one: Piece): Buffer {
  const writer = new BerWriter();
  write(writer, one);
  return Buffer.from(writer.buffer);
}

describe('a message', () => {
  it('has the octets that ldapts writes, whatever the same writer wrote before', () => {
    const writer = new MessageWriter();
    fc.assert(
      fc.property(piece, (one) => {
        writer.reset();
        write(writer, one);
        expect(writer.take()).toEqual(byLdapts(one));
      }),
    );
  });

  it.each([0, 127, 128, 255, 256, 65_535, 65_536, 1_000_000])('a content of %d octets', (length) => {
    const writer = new MessageWriter();
    // Twice: memory that grew for one of them is used, or given back, for the other.
    for (let i = 0; i < 2; i++) {
      const one: Piece = { kind: 'sequence', pieces: [{ kind: 'octets', value: Buffer.alloc(length, 7) }] };
      writer.reset();
      write(writer, one);
      expect(writer.take().equals(byLdapts(one))).toBe(true);
    }
  });

  it('stays as it was when the next one is written', () => {
    const writer = new MessageWriter();
    writer.writeString('first');
    const first = writer.take();
    writer.reset();
    writer.writeString('other');
    expect(first.toString()).toContain('first');
  });

  it('that was broken off leaves nothing in the next one', () => {
    const writer = new MessageWriter();
    writer.startSequence();
    writer.writeString('broken');
    writer.reset();
    writer.writeInt(1);
    expect(writer.take()).toEqual(Buffer.from([2, 1, 1]));
  });
});
