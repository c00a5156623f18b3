/** What a world is made of, and what it came to. */
import type { Mutation } from './machine.ts';
import type { Weights } from './weather.ts';

export interface WorldOptions {
  seed: number;
  /** Things that happen before the quiet. */
  steps?: number;
  requestors?: number;
  clones?: boolean;
  /** Limits on effects that strike, administrators who approve, and owners who change many people at once. */
  holds?: boolean;
  /** Ways that take less than before, also while the parts of a message are under way. */
  narrow?: boolean;
  /** Directories are reloaded, and all their entries have other keys then. */
  reloads?: boolean;
  /** Edits of others' entries, and owners who settle them. */
  edits?: boolean;
  /** Keys that roll over, are stolen and replaced, postoffices that are suspended, a server that moves. */
  keys?: boolean;
  /** No faults of any kind. */
  calm?: boolean;
  /** Keep the trace, not only its hash. */
  trace?: boolean;
  mutation?: Mutation;
  /** Steps, counted from 0, that are left out (shrink.ts). */
  without?: number[];
  /** Other weather than usual; and how often a read fails (0.08). */
  weights?: Partial<Weights>;
  badReads?: number;
}

export interface WorldResult {
  seed: number;
  violations: string[];
  /** Quiet cycles until all agreed. */
  cycles: number;
  counts: Record<string, number>;
  messages: number;
  octets: number;
  trace: string[];
  /** Of the trace and of everything that was put on the wire. */
  fingerprint: string;
}
