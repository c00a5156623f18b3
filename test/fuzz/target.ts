/**
 * What is fuzzed: one reader of octets from outside, with examples to start from. What must hold of each: it returns, or
 * throws a DirpostError; within time and memory; and where there is a way back, what was read is written and read the same.
 */
import { isDirpostError } from '@dirpost/core';

export interface Target {
  name: string;
  /** What reads the octets; for people. */
  about: string;
  /** Good and bad examples; they are changed from there. */
  seeds(): Promise<Uint8Array[]> | Uint8Array[];
  /** Words of the format, to be put anywhere. */
  words?: readonly string[];
  /** Longest input that is made, bytes. */
  maxBytes?: number;
  /** Throws DirpostError for what is refused; anything else that is thrown is a fault. */
  run(input: Uint8Array): Promise<void> | void;
  /** Before the first run and after the last one, where something has to be opened. */
  open?(): Promise<void>;
  close?(): Promise<void>;
}

export const DEFAULT_MAX_BYTES = 8 * 1024;

export function text(input: Uint8Array): string {
  return Buffer.from(input.buffer, input.byteOffset, input.byteLength).toString('utf8');
}

export function octets(...texts: string[]): Uint8Array[] {
  return texts.map((one) => Buffer.from(one));
}

/** Reads what the program wrote itself: a refusal, which is no fault elsewhere, is one here. */
export function ownWork<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw isDirpostError(error)
      ? new Error(`What was written cannot be read: ${error.message}`, { cause: error })
      : error;
  }
}

/** Where one of several readers refuses, the others are tried all the same. */
export function tolerated(read: () => void): void {
  try {
    read();
  } catch (error) {
    if (!isDirpostError(error)) throw error;
  }
}
