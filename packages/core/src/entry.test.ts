import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  attributeSpans,
  spanValues,
  type Attributes,
  attributePatch,
  checkCanonicalAttributes,
  attributesStart,
  decodeAttributes,
  decodeEntry,
  deriveEntryId,
  differingAttributes,
  encodeAttributes,
  encodeEntry,
  patchEntry,
  selectAttributes,
} from './entry.ts';
import { isDirpostError } from './errors.ts';
import { defaultLimits } from './limits.ts';

const name = fc.constantFrom('cn', 'sn', 'mail', 'jpegphoto', 'cn;lang-no', 'member;entryid', 'description');
const value = fc.uint8Array({ maxLength: 300 });
const attributes: fc.Arbitrary<Attributes> = fc
  .array(fc.tuple(name, fc.array(value, { minLength: 1, maxLength: 5 })), { maxLength: 6 })
  .map((pairs) => new Map(pairs));
const id = deriveEntryId('oslo', 'entryuuid', Buffer.from('x'));
const entryOf = (of: Attributes) => encodeEntry({ id, owner: 'oslo', kind: 'person', attributes: of });

describe('canonical bytes', () => {
  it('do not depend on the order of attributes and values, nor on repeated values', () => {
    fc.assert(
      fc.property(attributes, (given) => {
        const shuffled = new Map([...given].reverse().map(([key, values]) => [key, [...values, ...values].reverse()]));
        expect(entryOf(shuffled).equals(entryOf(given))).toBe(true);
      }),
    );
  });

  it('are read back as they were written', () => {
    fc.assert(
      fc.property(attributes, (given) => {
        const entry = decodeEntry(entryOf(given));
        expect([entry.owner, entry.kind]).toEqual(['oslo', 'person']);
        expect(Buffer.compare(entry.id, id)).toBe(0);
        expect(encodeEntry(entry).equals(entryOf(given))).toBe(true);
      }),
    );
  });

  it('pass their own check', () => {
    fc.assert(
      fc.property(attributes, (given) => {
        const bytes = entryOf(given);
        checkCanonicalAttributes(bytes, attributesStart(bytes), defaultLimits);
      }),
    );
  });

  it('cut anywhere never give anything but an error of our own', () => {
    fc.assert(
      fc.property(attributes, fc.nat(), (given, at) => {
        const bytes = entryOf(given);
        const start = attributesStart(bytes);
        const cut = bytes.subarray(0, start + (at % (bytes.length - start + 1)));
        try {
          checkCanonicalAttributes(cut, start, defaultLimits);
        } catch (error) {
          expect(isDirpostError(error, 'message-payload')).toBe(true);
        }
      }),
    );
  });

  it('that are not canonical are refused', () => {
    const two = Buffer.from(encodeAttributes(new Map([['cn', [Buffer.from('a'), Buffer.from('b')]]])));
    const swapped = Buffer.from(two);
    swapped[two.length - 3] = 'b'.charCodeAt(0);
    swapped[two.length - 1] = 'a'.charCodeAt(0);
    expect(() => checkCanonicalAttributes(two, 0, defaultLimits)).not.toThrow();
    expect(() => checkCanonicalAttributes(swapped, 0, defaultLimits)).toThrow('values out of order');
    const doubled = Buffer.concat([two, two]);
    expect(() => checkCanonicalAttributes(doubled, 0, defaultLimits)).toThrow('attributes out of order');
  });
});

describe('a change of some attributes', () => {
  it('leads from the entry before to the entry after', () => {
    fc.assert(
      fc.property(attributes, attributes, (before, after) => {
        const [old, young] = [entryOf(before), entryOf(after)];
        const patch = attributePatch(young, new Set(differingAttributes(old, young)));
        expect(patchEntry(old, patch).equals(young)).toBe(true);
      }),
    );
  });

  it('twice is the same as once', () => {
    fc.assert(
      fc.property(attributes, attributes, (before, after) => {
        const [old, young] = [entryOf(before), entryOf(after)];
        const patch = attributePatch(young, new Set(differingAttributes(old, young)));
        expect(patchEntry(patchEntry(old, patch), patch).equals(young)).toBe(true);
      }),
    );
  });

  it('is decoded as its spans tell, and not where it ends early', () => {
    fc.assert(
      fc.property(attributes, (given) => {
        const bytes = entryOf(given);
        const spans = [...attributeSpans(bytes)];
        expect([...decodeEntry(bytes).attributes]).toEqual(spans.map((one) => [one.name, spanValues(bytes, one)]));
        const last = spans.at(-1);
        if (last !== undefined) expect(() => decodeEntry(bytes.subarray(0, last.end - 1))).toThrow('ends early');
      }),
    );
  });

  it('names cleared attributes by leaving them without values', () => {
    const patch = attributePatch(entryOf(new Map()), new Set(['mail']));
    expect(decodeAttributes(patch)).toEqual(new Map([['mail', []]]));
  });
});

describe('releasing', () => {
  it('keeps only the wanted attributes', () => {
    fc.assert(
      fc.property(attributes, (given) => {
        const kept = decodeEntry(selectAttributes(entryOf(given), (one) => one === 'cn')).attributes;
        expect([...kept.keys()].filter((one) => one !== 'cn')).toEqual([]);
        expect(kept.has('cn')).toBe(given.has('cn'));
      }),
    );
  });
});

describe('entry ids', () => {
  it('are the same for the same owner, space and anchor, and for nothing else', () => {
    const anchor = Buffer.from('7d2b6f6e');
    expect(deriveEntryId('oslo', 'a', anchor)).toEqual(deriveEntryId('oslo', 'a', anchor));
    expect(deriveEntryId('oslo', 'a', anchor)).not.toEqual(deriveEntryId('osl', 'oa', anchor));
    expect(deriveEntryId('oslo', 'a', anchor)).not.toEqual(deriveEntryId('oslo', 'b', anchor));
  });
});
