/** Search filters as octets (RFC 4511 §4.5.1.7), from the same reading of RFC 4515 as everywhere in dirpost. */
import type { Filter } from '@dirpost/core';
import type { MessageWriter } from './message-writer.ts';

const OCTET_STRING = 0x04;
const tags = {
  and: 0xa0,
  or: 0xa1,
  not: 0xa2,
  equality: 0xa3,
  substrings: 0xa4,
  'greater-or-equal': 0xa5,
  'less-or-equal': 0xa6,
  present: 0x87,
  approx: 0xa8,
  extensible: 0xa9,
} as const;

export function writeFilterOctets(writer: MessageWriter, filter: Filter): void {
  const tag = tags[filter.kind];
  if (filter.kind === 'present') return writer.writeString(filter.attribute, tag);
  writer.startSequence(tag);
  switch (filter.kind) {
    case 'and':
    case 'or':
      for (const part of filter.filters) writeFilterOctets(writer, part);
      break;
    case 'not':
      writeFilterOctets(writer, filter.filter);
      break;
    case 'substrings':
      writer.writeString(filter.attribute);
      writeSubstrings(writer, filter);
      break;
    case 'extensible':
      writeExtensible(writer, filter);
      break;
    default:
      writer.writeString(filter.attribute);
      writeOctets(writer, filter.value, OCTET_STRING);
  }
  writer.endSequence();
}

function writeSubstrings(writer: MessageWriter, { initial, any, final }: Filter & { kind: 'substrings' }): void {
  writer.startSequence();
  if (initial !== undefined) writeOctets(writer, initial, 0x80);
  for (const value of any) writeOctets(writer, value, 0x81);
  if (final !== undefined) writeOctets(writer, final, 0x82);
  writer.endSequence();
}

function writeExtensible(
  writer: MessageWriter,
  { rule, attribute, value, dnAttributes }: Filter & { kind: 'extensible' },
): void {
  if (rule !== undefined) writer.writeString(rule, 0x81);
  if (attribute !== undefined) writer.writeString(attribute, 0x82);
  writeOctets(writer, value, 0x83);
  if (dnAttributes) writer.writeBoolean(true, 0x84);
}

function writeOctets(writer: MessageWriter, value: Uint8Array, tag: number): void {
  writer.writeBuffer(Buffer.from(value.buffer, value.byteOffset, value.byteLength), tag);
}
