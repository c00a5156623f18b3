/**
 * A postoffice, put together: what every step of the cycle gets. agent.ts builds it from a configuration, the simulation
 * from its own store, clock, transports and directories.
 */
import type {
  Clock,
  Directory,
  Limits,
  Mapping,
  PostofficeName,
  Random,
  RequestorContext,
  ServerContext,
  Store,
  SubscribingOptions,
  Transport,
} from '@dirpost/core';
import type { Sealer } from '@dirpost/message';
import type { CycleEvent } from './events.ts';
import type { Routes } from './routes.ts';
import type { Spool } from './spool.ts';

export interface PublishingDirectory {
  directory: Directory;
  mapping: Mapping;
}

export interface SubscribingDirectory {
  directory: Directory;
  options: SubscribingOptions;
}

export interface RetryTimes {
  /** An exchange without an answer for so long is followed by another. */
  exchangeAfterMs: number;
  /** The wait doubles with every exchange that nobody answered, up to this. */
  exchangeAtMostMs: number;
  /** The first wait after all transports to a peer failed; it doubles with every attempt, up to the second. */
  deliverAfterMs: number;
  deliverAtMostMs: number;
}

/** How much of what was processed stays in the spool. */
export interface KeepDone {
  maxAgeMs: number;
  maxFiles: number;
}

export interface Postoffice {
  name: PostofficeName;
  store: Store;
  spool: Spool;
  sealer: Sealer;
  clock: Clock;
  random: Random;
  limits: Limits;
  retry: RetryTimes;
  keepDone: KeepDone;
  routes: Routes;
  /** What is collected from. */
  inbound: Transport[];
  publishing: PublishingDirectory[];
  /** Publishing directories that were read completely since this process began: before, the store may have been restored. */
  readCompletely: Set<string>;
  subscribing: SubscribingDirectory[];
  requestor: RequestorContext;
  /** null where this postoffice is not the directory server. */
  server: ServerContext | null;
  tell(event: CycleEvent): void;
}
