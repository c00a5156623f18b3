/** What the main thread and the worker thread of a store say to each other. Answers come in the order of the calls. */
import { DirpostError, type ErrorCode, type Retry } from '@dirpost/core';
import type { Packed } from './columns.ts';
import type { ConnectionOptions } from './connection.ts';
import type { Method } from './operations.ts';
import type { Mode } from './session.ts';

export interface WorkerData {
  path: string;
  options: ConnectionOptions;
}

export type Call =
  | { call: 'begin'; mode: Mode }
  | { call: 'perform'; method: Method; args: Packed }
  | { call: 'commit' }
  | { call: 'rollback' }
  | { call: 'foldLog' }
  | { call: 'close' };

export type Answer = { result: Packed | null } | { error: CarriedError };

/** Structured clone keeps neither the class nor the fields of an error. */
export interface CarriedError {
  message: string;
  stack: string | undefined;
  dirpost: { code: ErrorCode; retry: Retry; hint: string | undefined; context: Record<string, unknown> } | null;
}

export function carryError(error: unknown): CarriedError {
  if (!(error instanceof Error)) return { message: String(error), stack: undefined, dirpost: null };
  const { message, stack } = error;
  if (!(error instanceof DirpostError)) return { message, stack, dirpost: null };
  const { code, retry, hint, context } = error;
  return { message, stack, dirpost: { code, retry, hint, context } };
}

export function carriedError({ message, stack, dirpost }: CarriedError): Error {
  const cause = new Error(message);
  if (stack !== undefined) cause.stack = stack;
  if (dirpost === null) return cause;
  const { code, retry, hint, context } = dirpost;
  return new DirpostError(code, message, { retry, ...(hint !== undefined && { hint }), context, cause });
}
