/**
 * Walks msgpack bytes before they are decoded: nothing from outside is decoded, and nothing allocated for it, until
 * nesting, counts and lengths were checked against the bytes that are there (format.md, "msgpack").
 * Also the two calls through which everything else packs and unpacks.
 */
import { isUtf8 } from 'node:buffer';
import { DirpostError, type ErrorCode } from '@dirpost/core';
import { Packr } from 'msgpackr';

/** Plain msgpack: no records, no extensions, maps become objects. */
const packr = new Packr({ useRecords: false, mapsAsObjects: true, moreTypes: false, int64AsType: 'number' });

export function pack(value: unknown): Buffer {
  return Buffer.from(packr.pack(value));
}

/** Decodes exactly the bytes given; what is malformed, nested deeper than `maxNesting` or not plain throws `code`. */
export function unpack(bytes: Uint8Array, maxNesting: number, code: ErrorCode): unknown {
  scan(bytes, maxNesting, code);
  try {
    return packr.unpack(bytes);
  } catch (cause) {
    throw new DirpostError(code, 'The msgpack data cannot be decoded.', { cause });
  }
}

/** Throws `code` unless the bytes are one well-formed msgpack value of nil, booleans, numbers, strings, bytes, arrays, maps. */
export function scan(bytes: Uint8Array, maxNesting: number, code: ErrorCode): void {
  const refuse = (what: string): never => {
    throw new DirpostError(code, `The msgpack data hold ${what}.`);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Values still expected at each level; the stack is as deep as the nesting, which is limited.
  const open: { left: number; map: boolean }[] = [{ left: 1, map: false }];
  let at = 0;
  while (open.length > 0) {
    const level = open[open.length - 1]!;
    if (level.left === 0) {
      open.pop();
      continue;
    }
    const isKey = level.map && level.left % 2 === 0;
    level.left--;
    const item = readItem(bytes, view, at) ?? refuse('a value that ends early or a type that is not allowed');
    if (isKey && item.kind !== 'text') refuse('a map key that is not text');
    at = item.next;
    if (at > bytes.length) refuse('a value that is longer than the data');
    if (item.kind === 'text' && !isUtf8(bytes.subarray(item.start, at))) refuse('text that is not UTF-8');
    if (item.kind !== 'array' && item.kind !== 'map') continue;
    const left = item.kind === 'map' ? item.count * 2 : item.count;
    if (left > bytes.length - at) refuse('a count that is larger than the data');
    if (open.length > maxNesting) refuse('values nested too deeply');
    open.push({ left, map: item.kind === 'map' });
  }
  if (at !== bytes.length) refuse('bytes after the value');
}

interface Item {
  kind: 'scalar' | 'text' | 'binary' | 'array' | 'map';
  /** Of the octets of text and binary. */
  start: number;
  next: number;
  /** Of an array or a map. */
  count: number;
}

/** Octets that follow the type octets 0xca..0xd3: floats and integers. */
const scalarBytes = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8];

/** One item; undefined when its own length field ends early, or for extension types, which dirpost does not use. */
function readItem(bytes: Uint8Array, view: DataView, at: number): Item | undefined {
  const type = bytes[at];
  if (type === undefined) return undefined;
  if (type < 0x80 || type >= 0xe0) return scalar(at + 1);
  if (type < 0x90) return { kind: 'map', start: 0, next: at + 1, count: type & 0x0f };
  if (type < 0xa0) return { kind: 'array', start: 0, next: at + 1, count: type & 0x0f };
  if (type < 0xc0) return { kind: 'text', start: at + 1, next: at + 1 + (type & 0x1f), count: 0 };
  if (type === 0xc0 || type === 0xc2 || type === 0xc3) return scalar(at + 1);
  if (type >= 0xc4 && type <= 0xc6) return sized('binary', view, at, 1 << (type - 0xc4));
  if (type >= 0xca && type <= 0xd3) return scalar(at + 1 + scalarBytes[type - 0xca]!);
  if (type >= 0xd9 && type <= 0xdb) return sized('text', view, at, 1 << (type - 0xd9));
  if (type === 0xdc || type === 0xdd) return sized('array', view, at, type === 0xdc ? 2 : 4);
  if (type === 0xde || type === 0xdf) return sized('map', view, at, type === 0xde ? 2 : 4);
  return undefined;
}

function scalar(next: number): Item {
  return { kind: 'scalar', start: 0, next, count: 0 };
}

function sized(kind: Item['kind'], view: DataView, at: number, width: number): Item | undefined {
  const start = at + 1 + width;
  if (start > view.byteLength) return undefined;
  const size = width === 1 ? view.getUint8(at + 1) : width === 2 ? view.getUint16(at + 1) : view.getUint32(at + 1);
  const holds = kind === 'text' || kind === 'binary';
  return { kind, start, next: holds ? start + size : start, count: holds ? 0 : size };
}
