/** What a requestor asks for: which message files wait for it (and the long poll), and one of them, or the rest of it. */
import { timingSafeEqual } from 'node:crypto';
import { closeSync, createReadStream } from 'node:fs';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { readFrom } from '../../local-file.ts';
import { badRequest } from './refusal.ts';
import { type Desk, type Passed, refuse } from './routes.ts';
import {
  bodyHashOf,
  type CollectAnswer,
  type CollectRequest,
  isMessageId,
  MAX_FILES_LISTED,
  MAX_NAMED_IDS,
  MAX_SLICE_BYTES,
  MAX_WAIT_SECONDS,
} from './wire.ts';

type Answer = (passed: Passed, request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

export function answerCollect(desk: Desk): Answer {
  return async ({ postoffice, bodyHash }, { body }, reply) => {
    const asked = Buffer.isBuffer(body) && timingSafeEqual(bodyHashOf(body), bodyHash) ? parseCollect(body) : undefined;
    if (asked === undefined) {
      desk.onRefused(postoffice, 'bad-request');
      return refuse(reply, badRequest);
    }
    desk.mailboxes.remove(postoffice, asked.done);
    const leave = new Set(asked.leave);
    const list = () => desk.mailboxes.list(postoffice, leave, MAX_FILES_LISTED);
    if (asked.wait === 0) return reply.send({ files: list() } satisfies CollectAnswer);
    // Waiting begins before the first look, so that what comes in between is not missed.
    const poll = desk.mailboxes.poll(postoffice, asked.wait * 1000);
    // Nobody waits for the answer any more.
    if (reply.raw.destroyed) poll.end();
    else reply.raw.once('close', poll.end);
    let files: CollectAnswer['files'];
    try {
      files = list();
      if (files.length === 0) {
        await poll.woken;
        files = list();
      }
    } finally {
      poll.end();
    }
    return reply.send({ files } satisfies CollectAnswer);
  };
}

export function sendWaiting(desk: Desk): Answer {
  return async ({ postoffice, id }, { headers }, reply) => {
    const waiting = desk.mailboxes.open(postoffice, id);
    if (waiting === undefined) return refuse(reply, { status: 404, why: 'not-here' });
    const { file, bytes } = waiting;
    const start = Number(/^bytes=(\d{1,12})-$/.exec(headers.range ?? '')?.[1] ?? 0);
    if (start > 0 && start >= bytes) {
      closeSync(file);
      return refuse(reply.header('content-range', `bytes */${bytes}`), { status: 416, why: 'not-here' });
    }
    if (start > 0) reply.code(206).header('content-range', `bytes ${start}-${bytes - 1}/${bytes}`);
    reply.header('content-type', 'application/octet-stream');
    // The stream closes the file, also when the line is cut. Never more than was said, should the file grow.
    if (bytes - start > MAX_SLICE_BYTES) {
      return reply
        .header('content-length', bytes - start)
        .send(createReadStream('', { fd: file, start, end: bytes - 1 }));
    }
    try {
      return reply.send(readFrom(file, start, bytes));
    } finally {
      closeSync(file);
    }
  };
}

/** Undefined: not what docs/protocol.md says. */
function parseCollect(body: Buffer): CollectRequest | undefined {
  let asked: unknown;
  try {
    asked = JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof asked !== 'object' || asked === null || Array.isArray(asked)) return undefined;
  const { wait = 0, done = [], leave = [] } = asked as Record<string, unknown>;
  if (typeof wait !== 'number' || !(wait >= 0 && wait <= MAX_WAIT_SECONDS)) return undefined;
  return areIds(done) && areIds(leave) ? { wait, done, leave } : undefined;
}

function areIds(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= MAX_NAMED_IDS && value.every(isMessageId);
}
