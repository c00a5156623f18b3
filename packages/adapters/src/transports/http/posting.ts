/**
 * Message files that are posted: whole ones, slices of larger ones, and enrolments. The answer that a file was taken is
 * given only once `collect` has spooled it.
 */
import { timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Fate } from './arrivals.ts';
import { badRequest, isOffence, type Refusal, unknownSender } from './refusal.ts';
import { type Desk, type Passed, refuse } from './routes.ts';
import type { Upload } from './uploads.ts';
import { ADMISSION_BYTES, bodyHashOf, header, isMessageId, parseContentRange, type Slice } from './wire.ts';

type Answer = (passed: Passed, request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

/** All strangers are one sender: fair to those who are known. */
const STRANGERS = '';

const notAMessage: Refusal = { status: 400, why: 'not-a-message' };
const badSignature: Refusal = { status: 400, why: 'bad-signature' };
const wrongSender: Refusal = { ...unknownSender, why: 'wrong-sender' };

const fates: Record<Exclude<Fate, 'taken'>, Refusal> = {
  left: { status: 409, why: 'other-incarnation' },
  late: { status: 503, why: 'not-collected', retryAfterS: 30 },
  closed: { status: 503, why: 'closing', retryAfterS: 10 },
};

export function takeSlice(desk: Desk): Answer {
  return async (passed, request, reply) => {
    const body = bodyOf(request);
    const slice = parseContentRange(request.headers['content-range'] ?? '');
    const isWellFormed = isMessageId(passed.id) && slice !== undefined && slice.end - slice.start === body.length;
    if (!isWellFormed || !timingSafeEqual(bodyHashOf(body), passed.bodyHash)) return refused(badRequest);
    if (slice.total === 0) return refused(notAMessage);
    if (slice.start === 0 && slice.end === slice.total) return settle(await takeWhole(desk, passed, body, true));
    return settle(await takePart(desk, passed, slice, body));

    function settle(outcome: 'taken' | Upload | Refusal): FastifyReply {
      if (outcome === 'taken') return reply.code(204).send();
      if ('status' in outcome) return refused(outcome);
      return reply.code(202).header(header.uploadOffset, outcome.offset).send();
    }

    function refused(refusal: Refusal): FastifyReply {
      if (isOffence(refusal)) desk.onRefused(passed.postoffice, refusal.why);
      return refuse(reply, refusal);
    }
  };
}

export function takeEnrolment(desk: Desk): Answer {
  return async ({ id, gone }, request, reply) => {
    const body = bodyOf(request);
    const admitted = isMessageId(id) ? desk.admission.admit(body) : null;
    if (admitted === null || !desk.admission.authenticate(body)) {
      desk.onRefused(admitted?.from ?? null, admitted === null ? 'unknown-sender' : 'bad-signature');
      // What is not an enrolment, has no invitation or was altered: a stranger is not told which.
      return refuse(reply, unknownSender);
    }
    const fate = await desk.arrivals.add(STRANGERS, body, gone());
    return fate === 'taken' ? reply.code(204).send() : refuse(reply, fates[fate]);
  };
}

/** `isNew`: its beginning was not looked at yet. */
async function takeWhole(desk: Desk, passed: Passed, file: Buffer, isNew: boolean): Promise<'taken' | Refusal> {
  const refusal = isNew ? refusalOf(desk, passed.postoffice, file) : undefined;
  if (refusal !== undefined) return refusal;
  if (!desk.admission.authenticate(file)) return badSignature;
  const fate = await desk.arrivals.add(passed.postoffice, file, passed.gone());
  return fate === 'taken' ? fate : fates[fate];
}

async function takePart(desk: Desk, passed: Passed, slice: Slice, bytes: Buffer): Promise<'taken' | Upload | Refusal> {
  const { postoffice, id } = passed;
  if (slice.start === 0 && slice.end > 0) {
    if (bytes.length < ADMISSION_BYTES) return badRequest;
    const refusal = refusalOf(desk, postoffice, bytes);
    if (refusal !== undefined) return refusal;
  }
  const isQuestion = slice.start === slice.end;
  const upload = await (isQuestion
    ? desk.uploads.find(postoffice, id)
    : desk.uploads.append(postoffice, id, slice, bytes));
  const isAsSaid = upload !== undefined && upload.total === slice.total && upload.offset === slice.end;
  if (!isAsSaid) return { status: 409, why: 'offset', uploadOffset: upload?.offset ?? 0 };
  return upload.offset < upload.total ? upload : finish(desk, passed, upload);
}

/** The upload stays until its file is taken or found bad, so that nothing has to be sent again. */
async function finish(desk: Desk, passed: Passed, upload: Upload): Promise<'taken' | Refusal> {
  const release = desk.load.reserve(upload.total);
  if (typeof release !== 'function') return release;
  try {
    const outcome = await takeWhole(desk, passed, await desk.uploads.read(passed.postoffice, upload), false);
    const isOver = outcome === 'taken' || outcome.status < 500;
    if (isOver) await desk.uploads.remove(passed.postoffice, upload);
    return outcome;
  } finally {
    release();
  }
}

function refusalOf({ admission }: Desk, postoffice: string, start: Buffer): Refusal | undefined {
  const admitted = admission.admit(start);
  if (admitted === null) return notAMessage;
  return admitted.from === postoffice ? undefined : wrongSender;
}

function bodyOf({ body }: FastifyRequest): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0);
}
