/**
 * Whether a request is by a postoffice that may make it: by its head alone, before any of its body is read. The head has
 * the hash of the body, which is compared once the body is here.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { isPostofficeName, type RequestChecker } from '@dirpost/core';
import type { Nonces } from './nonces.ts';
import { badRequest, type Refusal, unknownSender } from './refusal.ts';
import { bodyHashOf, header, requestOctets, statementsIn } from './wire.ts';

const EMPTY_BODY_HASH = bodyHashOf(new Uint8Array(0));
const SIGNATURE_BYTES = 64;

export interface Gate {
  postoffice: string;
  checker: RequestChecker;
  nonces: Nonces;
}

export interface RequestHead {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
}

export interface Authorised {
  postoffice: string;
  bodyHash: Buffer;
}

/** The name in a refused head, if it is one; nobody knows whether it is his. */
export function claimedName(headers: IncomingHttpHeaders): string | null {
  const name = headers[header.postoffice];
  return typeof name === 'string' && isPostofficeName(name) ? name : null;
}

export function authorise(gate: Gate, { method, url, headers }: RequestHead): Authorised | Refusal {
  const postoffice = claimedName(headers);
  if (postoffice === null) return unknownSender;
  const nonce = one(headers[header.nonce]);
  if (!gate.nonces.isValid(nonce)) return { status: 401, why: 'nonce' };
  const bodyHash = bodyHashIn(headers);
  if (bodyHash === undefined) return badRequest;
  const signature = Buffer.from(one(headers[header.signature]), 'base64');
  if (signature.length !== SIGNATURE_BYTES) return unknownSender;
  const contentRange = one(headers['content-range']);
  const octets = requestOctets({ server: gate.postoffice, method, path: url, contentRange, nonce, bodyHash });
  const statements = statementsIn(one(headers[header.statements]));
  if (statements === undefined) return badRequest;
  if (!gate.checker.check(postoffice, octets, signature, statements)) return unknownSender;
  const use = gate.nonces.use(postoffice, nonce);
  if (use === 'used') return { status: 401, why: 'replayed' };
  if (use === 'too-many') return { status: 429, why: 'too-many', retryAfterS: 60 };
  return { postoffice, bodyHash };
}

function one(value: string | string[] | undefined): string {
  return typeof value === 'string' ? value : '';
}

function bodyHashIn(headers: IncomingHttpHeaders): Buffer | undefined {
  const text = one(headers[header.bodyHash]);
  if (text === '') return Number(headers['content-length'] ?? 0) === 0 ? EMPTY_BODY_HASH : undefined;
  const hash = Buffer.from(text, 'base64');
  return hash.length === EMPTY_BODY_HASH.length ? hash : undefined;
}
