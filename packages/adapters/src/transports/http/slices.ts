/**
 * One message file over a bad line: up in slices, which become smaller when the line is slow or breaks and grow again
 * when it is good; down in one body, which goes on where it was cut.
 */
import type { MessageFile } from '@dirpost/core';
import { messageTooLarge } from './addresses.ts';
import { refused, transportFailed } from './failures.ts';
import type { Answer, Line } from './line.ts';
import type { Patience } from './patience.ts';
import { formatContentRange, header, MAX_SLICE_BYTES, MIN_SLICE_BYTES, paths } from './wire.ts';

const SLOW_MS = 10_000;
const QUICK_MS = 3_000;

/** Of one client; what it learnt of its line serves the next file, too. */
export class SliceSize {
  bytes = MAX_SLICE_BYTES;

  /** `answeredMs`: how long one slice took. */
  learn(answeredMs: number): void {
    if (answeredMs > SLOW_MS) this.halve();
    else if (answeredMs < QUICK_MS) this.bytes = Math.min(MAX_SLICE_BYTES, this.bytes * 2);
  }

  halve(): void {
    this.bytes = Math.max(MIN_SLICE_BYTES, this.bytes / 2);
  }
}

/** Resolved: the server has it durably spooled. */
export async function upload(
  line: Line,
  file: MessageFile,
  size: SliceSize,
  patience: Patience,
  signal: AbortSignal,
): Promise<void> {
  const total = file.bytes.length;
  let best = 0;
  // What goes in one slice is not asked for; of anything larger a part may be there from an earlier attempt.
  let offset = total <= size.bytes ? 0 : undefined;
  for (;;) {
    try {
      offset ??= await askOffset(line, file.id, total, signal);
      const next = await putSlice(line, file, offset, size, signal);
      if (next === 'taken') return;
      if (next <= best) throw transportFailed('The server did not keep what it was sent.', { isPassing: true });
      patience.progress();
      best = next;
      offset = next;
    } catch (error) {
      size.halve();
      await patience.after(error);
      offset = undefined;
    }
  }
}

async function askOffset(line: Line, id: string, total: number, signal: AbortSignal): Promise<number> {
  const answer = await line.request({ method: 'HEAD', path: paths.message(id), signal });
  await answer.discard();
  if (answer.status !== 200) throw refusal(line, answer, `post message file ${id}`);
  const offset = offsetIn(answer) ?? 0;
  return offset <= total ? offset : 0;
}

/** How far the server has it now. */
async function putSlice(
  line: Line,
  { id, bytes }: MessageFile,
  start: number,
  size: SliceSize,
  signal: AbortSignal,
): Promise<number | 'taken'> {
  const total = bytes.length;
  const end = Math.min(total, start + size.bytes);
  const startedMs = performance.now();
  const answer = await line.request({
    method: 'PUT',
    path: paths.message(id),
    contentRange: formatContentRange({ start, end, total }),
    body: bytes.subarray(start, end),
    signal,
  });
  await answer.discard();
  if (answer.status === 204) return 'taken';
  if (answer.status === 413) throw messageTooLarge(id, total, null);
  const offset = offsetIn(answer);
  if (answer.status === 202 && offset !== undefined) {
    size.learn(performance.now() - startedMs);
    return offset;
  }
  if (answer.status === 409 && offset !== undefined) return offset;
  throw refusal(line, answer, `post message file ${id}`);
}

/** Undefined: it waits there no more. */
export async function download(
  line: Line,
  { id, bytes }: { id: string; bytes: number },
  patience: Patience,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const file = Buffer.allocUnsafe(bytes);
  let length = 0;
  let most = 0;
  for (;;) {
    try {
      const range = length === 0 ? {} : { range: `bytes=${length}-` };
      const answer = await line.request({ method: 'GET', path: paths.message(id), ...range, signal });
      const isRest =
        answer.status === 206 && answer.header('content-range') === `bytes ${length}-${bytes - 1}/${bytes}`;
      if (answer.status !== 200 && !isRest) {
        await answer.discard();
        if (answer.status === 404) return undefined;
        throw refusal(line, answer, `collect message file ${id}`);
      }
      if (!isRest) length = 0;
      for await (const chunk of answer.chunks()) {
        if (length + chunk.length > bytes) throw changed(id, bytes);
        chunk.copy(file, length);
        length += chunk.length;
        // What a proxy that knows no ranges cuts at the same place each time makes none.
        if (length > most) {
          most = length;
          patience.progress();
        }
      }
      if (length === bytes) return file;
      throw changed(id, bytes);
    } catch (error) {
      await patience.after(error);
    }
  }
}

function changed(id: string, bytes: number): Error {
  return transportFailed(`Message file ${id} does not have the ${bytes} bytes that the server said.`, {
    hint: 'It is asked for again the next time.',
  });
}

export function refusal(line: Line, answer: Answer, doing: string): Error {
  const retryAfter = /^\d{1,6}$/.exec(answer.header('retry-after') ?? '')?.[0];
  return refused(answer.status, retryAfter === undefined ? undefined : Number(retryAfter), doing, line.way);
}

function offsetIn(answer: Answer): number | undefined {
  const text = answer.header(header.uploadOffset) ?? '';
  return /^\d{1,12}$/.test(text) ? Number(text) : undefined;
}
