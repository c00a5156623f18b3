/** Time and randomness, injected so that the simulation replays to the byte. Order never comes from a clock, only from seq. */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00Z. */
  now(): number;
}

/** That many random bytes, fit for keys in production. */
export type Random = (bytes: number) => Uint8Array;
