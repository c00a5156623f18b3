/**
 * The requests that a server answers (docs/protocol.md, "HTTP"). Each passes in this order: its size by its head, who
 * made it (authorise.ts), how much is in hand already (load.ts); only then its body is read.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Admission, DirpostError } from '@dirpost/core';
import type { Arrivals } from './arrivals.ts';
import { authorise, type Authorised, claimedName, type Gate } from './authorise.ts';
import type { Load, Release } from './load.ts';
import type { Mailboxes } from './mailboxes.ts';
import { badRequest, isOffence, type Refusal, type RefusalReason, tooLarge } from './refusal.ts';
import type { Uploads } from './uploads.ts';
import { header, MAX_COLLECT_BYTES, MAX_ENROLMENT_BYTES, MAX_SLICE_BYTES, parseContentRange } from './wire.ts';
import { answerCollect, sendWaiting } from './collecting.ts';
import { takeEnrolment, takeSlice } from './posting.ts';
import { PROTOCOL_VERSION } from './wire.ts';

/** What the routes work with. */
export interface Desk extends Gate {
  admission: Admission;
  arrivals: Arrivals;
  mailboxes: Mailboxes;
  uploads: Uploads;
  load: Load;
  maxMessageBytes: number;
  isClosing(): boolean;
  onRefused(who: string | null, why: RefusalReason): void;
  onProblem(error: unknown): DirpostError;
}

/** A request that passed, with what the handlers need of it. */
export interface Passed extends Authorised {
  id: string;
  /** Aborts when nobody waits for the answer any more. Made only for requests that wait. */
  gone(): AbortSignal;
}

type Handler = (passed: Passed, request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

const STRANGER_IDLE_MS = 10_000;

export function addRoutes(app: FastifyInstance, desk: Desk): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.addHook('onRequest', async (_request, reply) => {
    reply.header(header.protocol, PROTOCOL_VERSION);
    if (desk.isClosing()) reply.header('connection', 'close');
  });
  app.setNotFoundHandler((_request, reply) => refuse(reply, { status: 404, why: 'not-here' }));
  app.setErrorHandler((error, _request, reply) => {
    const { statusCode = 500 } = error as { statusCode?: number };
    if (statusCode < 500) return refuse(reply, { ...badRequest, status: statusCode });
    const { code } = desk.onProblem(error);
    return refuse(reply, { status: 503, why: 'busy', retryAfterS: code === 'disk-full' ? 60 : 5 });
  });

  app.get('/healthz', { exposeHeadRoute: true }, (_request, reply) => reply.send({ status: 'ok' }));
  app.get('/v1/nonce', (_request, reply) =>
    reply.header('cache-control', 'no-store').send({ nonce: desk.nonces.give() }),
  );
  route(
    app,
    desk,
    { method: 'PUT', url: '/v1/messages/:id', maxBodyBytes: MAX_SLICE_BYTES, posts: true },
    takeSlice(desk),
  );
  route(app, desk, { method: 'HEAD', url: '/v1/messages/:id' }, async ({ postoffice, id }, _request, reply) => {
    const upload = await desk.uploads.find(postoffice, id);
    return reply.header(header.uploadOffset, upload?.offset ?? 0).send();
  });
  route(app, desk, { method: 'GET', url: '/v1/messages/:id' }, sendWaiting(desk));
  route(app, desk, { method: 'POST', url: '/v1/collect', maxBodyBytes: MAX_COLLECT_BYTES }, answerCollect(desk));
  const enrolment = {
    method: 'PUT',
    url: '/v1/enrolments/:id',
    maxBodyBytes: MAX_ENROLMENT_BYTES,
    posts: true,
  } as const;
  route(app, desk, { ...enrolment, isOpen: true }, takeEnrolment(desk));
}

interface RouteOptions {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST';
  url: string;
  maxBodyBytes?: number;
  /** Counts as a posting request of its sender. */
  posts?: boolean;
  /** For strangers: not signed. */
  isOpen?: boolean;
}

function route(app: FastifyInstance, desk: Desk, options: RouteOptions, handler: Handler): void {
  const { method, url, maxBodyBytes = 0 } = options;
  const passed = new WeakMap<FastifyRequest, Passed>();
  app.route({
    method,
    url,
    bodyLimit: Math.max(1, maxBodyBytes),
    exposeHeadRoute: false,
    onRequest: async (request, reply) => {
      const verdict = judge(desk, options, request);
      if ('status' in verdict) {
        // Whoever said that he is somebody without proof is named, too: the agent counts, it does not believe.
        if (isOffence(verdict)) desk.onRefused(claimedName(request.headers), verdict.why);
        if (verdict.status === 401) reply.header(header.nextNonce, desk.nonces.give());
        return refuse(reply, verdict);
      }
      if (verdict.release !== undefined) reply.raw.once('close', verdict.release);
      if (options.isOpen !== true) reply.header(header.nextNonce, desk.nonces.give());
      const { id = '' } = request.params as { id?: string };
      passed.set(request, {
        postoffice: verdict.postoffice,
        bodyHash: verdict.bodyHash,
        id,
        gone: () => goneOf(reply),
      });
    },
    handler: async (request, reply) => handler(passed.get(request)!, request, reply),
  });
}

function goneOf({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  // A reason of its own: the one that is made otherwise costs a stack trace for every request.
  const abort = () => gone.abort('gone');
  if (raw.destroyed) abort();
  else raw.once('close', abort);
  return gone.signal;
}

/** By the head alone. */
function judge(
  desk: Desk,
  { method, maxBodyBytes = 0, posts = false, isOpen = false }: RouteOptions,
  request: FastifyRequest,
): (Authorised & { release?: Release }) | Refusal {
  const { headers } = request;
  const length = Number(headers['content-length'] ?? 0);
  // A body whose length nobody knows beforehand could not be bounded over all.
  if (headers['transfer-encoding'] !== undefined) return { ...badRequest, status: 411 };
  if (length > maxBodyBytes) return tooLarge;
  if ((parseContentRange(headers['content-range'] ?? '')?.total ?? 0) > desk.maxMessageBytes) return tooLarge;
  let who: Authorised | Refusal;
  const address = request.raw.socket.remoteAddress ?? '';
  if (isOpen) who = desk.load.enrol(address) ?? { postoffice: '', bodyHash: Buffer.alloc(0) };
  else who = authorise(desk, { method, url: request.raw.url ?? '', headers });
  if ('status' in who) return who;
  if (!posts) return who;
  // A stranger is known by his address alone, and has no time to spare.
  if (isOpen) request.raw.setTimeout(STRANGER_IDLE_MS, () => request.raw.destroy());
  const release = desk.load.enter(isOpen ? `stranger ${address}` : who.postoffice, length);
  return typeof release === 'function' ? { ...who, release } : release;
}

export function refuse(reply: FastifyReply, { status, why, retryAfterS, uploadOffset, ends }: Refusal): FastifyReply {
  if (retryAfterS !== undefined) reply.header('retry-after', retryAfterS);
  if (uploadOffset !== undefined) reply.header(header.uploadOffset, uploadOffset);
  if (ends === true) reply.header('connection', 'close');
  // No detail for whoever is not known.
  return reply.code(status).send({ error: status === 403 ? 'refused' : why });
}
