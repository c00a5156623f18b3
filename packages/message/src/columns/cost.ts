/** How large something will be on the wire: what the encoder decides by when it has tried several encodings. */
import { brotliCompressSync, constants } from 'node:zlib';
import { Streams } from './octets.ts';

/** Below this the estimate by entropy is better than a trial: a compressor's own tables would count too much. */
const TRIAL_BYTES = 768;
const SLICES = 4;
const SLICE_BYTES = 3072;

/** Bytes that these octets add to the compressed stream. */
export function compressedCost(octets: Uint8Array): number {
  const entropy = octetEntropyBits(octets) / 8;
  if (octets.length < TRIAL_BYTES) return entropy;
  return Math.min(entropy, quickCompress(octets));
}

export function streamsCost(streams: Streams): number {
  const plain = streams.plain.view();
  const text = plain.length < TRIAL_BYTES ? octetEntropyBits(plain) / 8 : quickCompress(plain);
  return text + streams.packed.length;
}

function quickCompress(octets: Uint8Array): number {
  const tried = octets.length > SLICES * SLICE_BYTES ? slices(octets) : octets;
  const compressed = brotliCompressSync(tried, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 3,
      [constants.BROTLI_PARAM_LGWIN]: 16,
      [constants.BROTLI_PARAM_SIZE_HINT]: tried.length,
    },
  });
  return (compressed.length * octets.length) / tried.length;
}

/** Of much data a trial of evenly spaced slices tells enough. */
function slices(octets: Uint8Array): Uint8Array {
  const step = (octets.length - SLICE_BYTES) / (SLICES - 1);
  const starts = Array.from({ length: SLICES }, (_, i) => Math.floor(i * step));
  return Buffer.concat(starts.map((start) => octets.subarray(start, start + SLICE_BYTES)));
}

/** Order-0 entropy, plus what a code for that many different octets costs to describe. */
function octetEntropyBits(octets: Uint8Array): number {
  const counts = new Uint32Array(256);
  for (let i = 0; i < octets.length; i++) counts[octets[i]!]!++;
  let distinct = 0;
  for (let i = 0; i < 256; i++) if (counts[i]! > 0) distinct++;
  return entropyBits(counts, octets.length) + Math.min(distinct * 4, octets.length);
}

export function entropyBits(counts: ArrayLike<number>, total: number): number {
  let bits = 0;
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i]!;
    if (count > 0) bits -= count * Math.log2(count / total);
  }
  return bits;
}

/** Runs every candidate into streams of its own and keeps the smallest; the first wins a tie. */
export function smallest<T>(candidates: ((into: Streams) => T)[]): { streams: Streams; result: T } {
  let best: { streams: Streams; result: T; cost: number } | undefined;
  for (const candidate of candidates) {
    const streams = new Streams();
    const result = candidate(streams);
    if (candidates.length === 1) return { streams, result };
    const cost = streamsCost(streams);
    if (best === undefined || cost < best.cost) best = { streams, result, cost };
  }
  return best!;
}
