import { readFileSync } from 'node:fs';
import { baseOf, decodeEntry, editOf, entryHash, foldEdits } from '@dirpost/core';
import { describe, expect, it, test } from 'vitest';
import { editVectors } from './edits.ts';

const written = JSON.parse(readFileSync(new URL('edits.json', import.meta.url), 'utf8')) as typeof editVectors;
const bytes = (hex: string) => Buffer.from(hex, 'hex');

test('the vectors are those that this version makes', () => {
  expect(editVectors).toEqual(written);
});

describe('edits', () => {
  it.each(written.edits)('are read, and hashed like entries: $hash', (one) => {
    expect(entryHash(bytes(one.bytes))).toEqual(bytes(one.hash));
    expect(editOf(bytes(one.bytes)).target).toEqual(bytes(written.target).subarray(0, 16));
  });

  it.each(written.bases)('are based on the values of $attributes', ({ attributes, base }) => {
    expect(baseOf(decodeEntry(bytes(written.target)).attributes, attributes)).toEqual(bytes(base));
  });

  it.each(written.folded)('are folded over what they are of: $edits', ({ of, edits, gives }) => {
    const all = edits.map((i) => bytes(written.edits[i]!.bytes));
    expect(Buffer.from(foldEdits(bytes(of), all))).toEqual(bytes(gives));
    expect(Buffer.from(foldEdits(bytes(of), all.reverse()))).toEqual(bytes(gives));
  });

  it.each(Object.entries(written.malformed))('are refused: %s', (_, hex) => {
    expect(() => editOf(bytes(hex))).toThrow(expect.objectContaining({ code: 'message-payload' }));
    expect(foldEdits(bytes(written.target), [bytes(hex)])).toEqual(bytes(written.target));
  });
});
