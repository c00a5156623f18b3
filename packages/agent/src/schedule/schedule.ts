/**
 * The schedule of the agent that runs: which of its jobs is due when. It only reckons; run.ts waits and works.
 *
 *   occurrence ─ jitter ─▶ due ─ window ─▶ started ─▶ settled (remembered in the store)
 *
 * What was missed, because the machine slept or the agent was down, is one run and not one for each time: all
 * occurrences up to the last settling are done with. A clock that was set back cannot make it wait: nothing is ever
 * settled later than now.
 */
import type { StoreTx } from '@dirpost/core';
import type { Configuration } from '../config/load.ts';
import { cronOccurrences, type Occurrences, periodicOccurrences } from './occurrences.ts';
import { openWindow, type RunWindow } from './window.ts';
import { DAY_MS, openZone, type Zone } from './zone.ts';

/** `cycle`: all of it. T1: collect and send. T2: process. T3: dispatch. */
export type Job = 'cycle' | 'T1' | 'T2' | 'T3';

export interface DueJob {
  job: Job;
  dueMs: number;
}

/** Job → up to when its occurrences are done with. */
export type Settled = Partial<Record<Job, number>>;

const DOCUMENT = 'schedule';

export async function loadSettled(tx: StoreTx): Promise<Settled> {
  return (await tx.getDocument<Settled>(DOCUMENT)) ?? {};
}

export async function saveSettled(tx: StoreTx, settled: Settled): Promise<void> {
  await tx.putDocument(DOCUMENT, settled);
}

type Settings = Pick<Configuration, 'postoffice' | 'schedule'>;

export class Schedule {
  readonly #jobs: { job: Job; occurrences: Occurrences }[];
  readonly #window: RunWindow | null;
  readonly #jitterMs: number;
  readonly #settled: Settled;
  /** 0 ≤ value < 1. */
  readonly #random: () => number;
  /** The occurrence that a job waits for, and the jitter that was thrown for it. */
  readonly #thrown = new Map<Job, { occurrenceMs: number; jitterMs: number }>();

  /** `settled`: as of the last life of this agent. */
  constructor(settings: Settings, settled: Settled = {}, random: () => number = Math.random) {
    const zone = openZone(settings.schedule.zone);
    this.#window = windowOf(settings, zone);
    this.#jobs = jobsOf(settings, zone, this.#window);
    this.#jitterMs = settings.schedule.jitter;
    this.#settled = { ...settled };
    this.#random = random;
  }

  get settled(): Settled {
    return { ...this.#settled };
  }

  /** Occurrences up to now are done with: those that came while the job ran, too. */
  settle(job: Job, nowMs: number): void {
    this.#settled[job] = nowMs;
  }

  /** The job that is due first; null: none ever. A job that never ran collects and sends at once. */
  next(nowMs: number): DueJob | null {
    let first: DueJob | null = null;
    for (const { job, occurrences } of this.#jobs) {
      const dueMs = this.#due(job, occurrences, nowMs);
      if (dueMs !== null && (first === null || dueMs < first.dueMs)) first = { job, dueMs };
    }
    return first;
  }

  /** When work that is not on the schedule, such as sending again, may start. */
  opening(atMs: number): number {
    return this.#window?.opening(atMs) ?? atMs;
  }

  /** When the next exchange is meant to be sent, as far as can be said; null: nothing is scheduled. */
  nextContact(nowMs: number): number | null {
    const times = this.#jobs
      .filter(({ job }) => job === 'cycle' || job === 'T1')
      .map(({ occurrences }) => occurrences.next(nowMs))
      .filter((atMs) => atMs !== null);
    return times.length === 0 ? null : this.opening(Math.min(...times));
  }

  #due(job: Job, occurrences: Occurrences, nowMs: number): number | null {
    const settledMs = this.#settled[job];
    if (settledMs === undefined && (job === 'cycle' || job === 'T1')) return this.opening(nowMs);
    // Later than now: the clock went back meanwhile.
    if (settledMs === undefined || settledMs > nowMs) this.#settled[job] = nowMs;
    const occurrenceMs = occurrences.next(this.#settled[job]!);
    if (occurrenceMs === null) return null;
    const dueMs = occurrenceMs + this.#jitter(job, occurrenceMs);
    return this.opening(dueMs <= nowMs ? nowMs : dueMs);
  }

  /** Thrown once for each occurrence; none where it would lead out of the window. */
  #jitter(job: Job, occurrenceMs: number): number {
    let thrown = this.#thrown.get(job);
    if (thrown?.occurrenceMs !== occurrenceMs) {
      thrown = { occurrenceMs, jitterMs: Math.floor(this.#random() * this.#jitterMs) };
      this.#thrown.set(job, thrown);
    }
    const leadsOut = this.opening(occurrenceMs + thrown.jitterMs) !== occurrenceMs + thrown.jitterMs;
    return leadsOut && this.opening(occurrenceMs) === occurrenceMs ? 0 : thrown.jitterMs;
  }
}

/** Whether what arrives is dispatched at once: so unless it has times of its own. */
export function dispatchesOnArrival({ onArrival, T2, T3 }: Configuration['schedule']): boolean {
  return onArrival ?? (T2 === undefined && T3 === undefined);
}

function windowOf({ schedule }: Settings, zone: Zone): RunWindow | null {
  return schedule.window === undefined ? null : openWindow(schedule.window, zone);
}

function jobsOf({ postoffice, schedule }: Settings, zone: Zone, window: RunWindow | null) {
  const jobs: { job: Job; occurrences: Occurrences }[] = [];
  const timed = (['T1', 'T2', 'T3'] as const).filter((job) => schedule[job] !== undefined);
  const everyMs = schedule.every ?? (timed.length === 0 ? DAY_MS : null);
  if (everyMs !== null) {
    // With a window the times of all postoffices spread over the window: else most would come at its opening.
    const span = window ?? undefined;
    jobs.push({ job: 'cycle', occurrences: periodicOccurrences(everyMs, postoffice, zone, span) });
  }
  for (const job of timed) jobs.push({ job, occurrences: cronOccurrences(schedule[job]!, zone) });
  return jobs;
}
