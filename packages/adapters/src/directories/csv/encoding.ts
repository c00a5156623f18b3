/**
 * Octets of a CSV file ⇄ text. `auto` takes a byte order mark at its word, else UTF-8 where the whole file is valid
 * UTF-8, else windows-1252, which is what Excel writes in western Europe.
 */
import type { FileHandle } from 'node:fs/promises';
import { DirpostError } from '@dirpost/core';
import iconv from 'iconv-lite';
import type { CsvEncoding } from './encoding-names.ts';
import { CHUNK_BYTES, chunksOf } from '../../still-file.ts';

const LF = 10;
const marks: [CsvEncoding, Buffer][] = [
  ['utf-8', Buffer.from([0xef, 0xbb, 0xbf])],
  ['utf-16le', Buffer.from([0xff, 0xfe])],
  ['utf-16be', Buffer.from([0xfe, 0xff])],
];

/** Reads the file once where that is needed. Throws DirpostError where it is not what `wanted` says. */
export async function findEncoding(
  file: FileHandle,
  path: string,
  wanted: CsvEncoding | 'auto',
  signal: AbortSignal,
): Promise<CsvEncoding> {
  const buffers = [Buffer.allocUnsafeSlow(CHUNK_BYTES), Buffer.allocUnsafeSlow(CHUNK_BYTES)];
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  let lines = 1;
  let first = true;
  for await (const chunk of chunksOf(file, path, signal, (n) => buffers[n % 2]!)) {
    const marked = first ? marks.find(([, mark]) => chunk.subarray(0, mark.length).equals(mark))?.[0] : undefined;
    first = false;
    // The file's own word is better than ours.
    if (marked !== undefined && marked !== 'utf-8') return marked;
    if (marked === undefined && wanted !== 'auto' && wanted !== 'utf-8') return wanted;
    try {
      // Never ended: a character that is cut off at the end of the file is still UTF-8.
      utf8.decode(chunk, { stream: true });
    } catch {
      if (marked === undefined && wanted === 'auto') return 'windows-1252';
      throw notInEncoding(path, 'UTF-8', lines, 'Give the right `encoding`; Excel often writes windows-1252.');
    }
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, at + 1)) lines++;
  }
  return 'utf-8';
}

function notInEncoding(path: string, encoding: string, line: number, hint: string): DirpostError {
  return new DirpostError(
    'directory-failed',
    `${path} is not in ${encoding}: what stands in or after line ${line} is not.`,
    {
      retry: 'operator',
      hint,
      context: { path, line },
    },
  );
}

/** The file as UTF-8, in chunks, without a byte order mark. */
export async function* utf8Chunks(
  file: FileHandle,
  path: string,
  encoding: CsvEncoding,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const decoder = encoding === 'utf-8' ? undefined : iconv.getDecoder(encoding);
  let lines = 1;
  let first = true;
  for await (const chunk of chunksOf(file, path, signal)) {
    const decoded =
      decoder === undefined ? withoutMark(chunk, first) : decode(decoder.write(chunk), path, encoding, lines);
    first = false;
    if (decoded.includes(0)) throw nulOctet(path, lines);
    for (let at = decoded.indexOf(LF); at >= 0; at = decoded.indexOf(LF, at + 1)) lines++;
    if (decoded.length > 0) yield decoded;
  }
}

function withoutMark(chunk: Buffer, first: boolean): Buffer {
  const [, mark] = marks[0]!;
  return first && chunk.subarray(0, mark.length).equals(mark) ? chunk.subarray(mark.length) : chunk;
}

function decode(text: string, path: string, encoding: CsvEncoding, lines: number): Buffer {
  if (text.includes('\uFFFD')) throw notInEncoding(path, encoding, lines, 'Give the right `encoding`.');
  return Buffer.from(text);
}

function nulOctet(path: string, line: number): DirpostError {
  return new DirpostError('directory-failed', `${path} has NUL octets, in or after line ${line}.`, {
    retry: 'operator',
    hint: 'If the file is in UTF-16, say `encoding: utf-16le`. Else it is damaged, or only half of it was written: export it again.',
    context: { path, line },
  });
}

/** The first character of the text that the encoding does not have; undefined if it has all. */
export function unencodable(text: string, encoding: CsvEncoding): string | undefined {
  if (encoding.startsWith('utf-') || iconv.decode(iconv.encode(text, encoding), encoding) === text) return undefined;
  return [...text].find((char) => iconv.decode(iconv.encode(char, encoding), encoding) !== char);
}

/** `mark`: with a byte order mark, without which Excel takes UTF-8 for something else. */
export function encodeText(text: string, encoding: CsvEncoding, mark: boolean): Buffer {
  return iconv.encode(text, encoding, { addBOM: mark && encoding.startsWith('utf-') });
}
