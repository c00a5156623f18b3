/**
 * A postoffice, put together: what every step of the cycle gets. agent.ts builds it from a configuration, the simulation
 * from its own store, clock, transports and directories.
 */
import type {
  Clock,
  Directory,
  Limits,
  Mapping,
  WrittenHere,
  PostofficeName,
  Random,
  RequestorContext,
  ServerContext,
  Store,
  SubscribingOptions,
  Transport,
} from '@dirpost/core';
import type { Amendment, AmendOutcome, Shaping } from '@dirpost/adapters';
import type { Sealer } from '@dirpost/message';
import type { Bounces } from './bounces.ts';
import type { CollectFailures } from './collect-failures.ts';
import type { CompleteReads } from './complete-reads.ts';
import type { BothWays } from './config/both-ways.ts';
import type { CycleEvent } from './events.ts';
import type { Joining } from './joining/joining.ts';
import type { Probes } from './probes.ts';
import type { Routes } from './routes.ts';
import type { Spool } from './spool.ts';
import type { Upkeep } from './upkeep.ts';

export interface PublishingDirectory {
  directory: Directory;
  mapping: Mapping;
  /** See core's ReadStart. */
  configuration?: string;
  /** It is read when something changed in it, no more often than this; absent: only at its times. */
  onChangeMs?: number;
  /** Of both ways: edits by others of its entries are taken into it. */
  own?: OwnWrites;
}

export interface OwnWrites {
  /** One outcome for each, in their order. Throws DirpostError `directory-failed`. */
  amend(amendments: Amendment[], signal: AbortSignal): AsyncIterable<AmendOutcome>;
  takes: BothWays['takes'];
  /** The attribute here that is published as this one. `reason`: none that could be changed. Both in lower case. */
  sourceOf(attribute: string): { attribute: string } | { reason: string };
}

export interface SubscribingDirectory {
  directory: Directory;
  /** `held`: the first write waits for `dirpost approve`. */
  firstWrite: 'held' | 'allowed';
  options: SubscribingOptions;
  /** See core's PlanChangesOptions: of a directory that is written entry by entry. */
  shape?: string;
  /** Entries that it has outside of the container may be of the network (match-target.ts); absent: none. */
  adopt?: { by: readonly string[]; base: string; filter: string; groups?: boolean };
  /** What is written there has a stamp. */
  hasStamps?: boolean;
  /** Of both ways: changes by hand of what is written there are seen. */
  both?: BothTarget;
}

export interface BothTarget {
  ways: BothWays;
  /** Gives what stands in the container: attributes that are watched, and the anchor. */
  container: Pick<Directory, 'read'>;
  /** Attribute that entries keep for life there, in lower case. */
  anchor: string;
  /** Throws DirpostError `directory-failed`. */
  shaping(signal: AbortSignal): Promise<Shaping>;
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

export interface Postoffice {
  name: PostofficeName;
  store: Store;
  spool: Spool;
  sealer: Sealer;
  /** Whom it believes, and whether it is believed yet; the simulation has none. */
  joining?: Joining;
  clock: Clock;
  random: Random;
  limits: Limits;
  retry: RetryTimes;
  upkeep: Upkeep;
  routes: Routes;
  /** Own message files that are on their way back here; the simulation has none. */
  probes?: Probes;
  /** What came back by mail; the simulation has none. */
  bounces?: Bounces;
  /** What could not be collected from; the simulation has none. */
  collectFailures?: CollectFailures;
  /** What is collected from. */
  inbound: Transport[];
  publishing: PublishingDirectory[];
  completeReads: CompleteReads;
  /** What of the directories that are written must not be read back; the simulation has none. */
  writtenHere?: WrittenHere;
  subscribing: SubscribingDirectory[];
  requestor: RequestorContext;
  /** null where this postoffice is not the directory server. */
  server: ServerContext | null;
  tell(event: CycleEvent): void;
  /** When the next exchange is meant to be sent, ms since 1970; null or missing: nothing is scheduled. For display only. */
  nextContact?(): number | null;
}
