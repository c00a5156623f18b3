/**
 * The agent that runs: one loop that does one thing at a time, whatever is due first. Commands wait in the same queue.
 *
 *   schedule (schedule/) ─────────▶ cycle, T1, T2, T3 ─┐
 *   arrivals (arrivals.ts) ───────▶ dispatch           ├─▶ queue ─▶ the steps of cycle.ts
 *   no answer, not delivered ─────▶ exchange, sending  │
 *   a directory changed ──────────▶ T0, T1             │
 *   a directory was away ─────────▶ writing            │
 *   commands by the local socket ─▶ …  ────────────────┘
 *
 * It may be killed at any moment: what a step had not committed is done again, and a scheduled step counts as done only
 * after its end.
 */
import { DirpostError, loadOwn } from '@dirpost/core';
import { Arrivals, type CollectedInTurn, collectingInTurn } from './arrivals.ts';
import type { Configuration } from './config/load.ts';
import { answerWhatIsDue, collectAndSend, dispatchAll } from './cycle.ts';
import type { CycleTime } from './events.ts';
import { watchDirectories } from './directory-changes.ts';
import type { Postoffice } from './postoffice.ts';
import { dispatchesOnArrival, type Job, loadSettled, saveSettled, Schedule } from './schedule/schedule.ts';
import { exchangeDueMs, sendingDueMs, sendOutgoing } from './send.ts';
import { systemTimers, type Timers } from './timers.ts';
import { WorkQueue } from './work-queue.ts';
import { writingDueMs } from './write.ts';

export type Settings = Pick<Configuration, 'postoffice' | 'schedule'>;

export interface RunOptions {
  timers?: Timers;
  /** 0 ≤ value < 1, for the jitter. */
  random?: () => number;
}

/**
 * `exchange`: one that the server asked for, or that repeats an unanswered one. `sending`: of what waits in the outbox.
 * `change`: in a directory that is watched. `writing`: into a directory that could not be written.
 */
type Step = Job | 'arrival' | 'change' | 'exchange' | 'sending' | 'writing';

interface Due {
  step: Step;
  dueMs: number;
}

const timeOf: Record<Step, CycleTime> = {
  cycle: 'T0',
  T1: 'T1',
  T2: 'T2',
  T3: 'T3',
  arrival: 'T3',
  change: 'T0',
  exchange: 'T1',
  sending: 'T1',
  writing: 'T3',
};

/** A clock that was set, and a machine that slept, are noticed after this time at the latest. */
const LONGEST_SLEEP_MS = 60_000;
const SHORTEST_BACKOFF_MS = 1_000;
/** A change waits so long for the answer to the exchange before: what that brought would be sent once more with it. */
const ANSWER_AWAITED_MS = 2_000;

export class RunningPostoffice {
  /** As the steps of the loop have it. */
  readonly postoffice: Postoffice;
  readonly #schedule: Schedule;
  readonly #timers: Timers;
  readonly #signal: AbortSignal;
  readonly #abort = new AbortController();
  readonly #queue: WorkQueue;
  readonly #arrivals: Arrivals;
  readonly #inbound: CollectedInTurn[];
  readonly #onArrival: boolean;
  #arrived = false;
  /** When a directory that changed is read; null: none did. */
  #changeDueMs: number | null = null;
  #collectedMs = 0;
  /** When the newest exchange was composed, if it is not answered yet. */
  #unansweredMs: number | null = null;
  #fault: { error: unknown } | null = null;
  /** null: to be looked up in the store, where work may have changed it. */
  #retries: Due[] | null = null;
  readonly #backoff = new Map<Step, { untilMs: number; waitMs: number }>();
  #woken = false;
  #wakeUp: () => void = () => {};

  static async open(
    postoffice: Postoffice,
    settings: Settings,
    signal: AbortSignal,
    options: RunOptions = {},
  ): Promise<RunningPostoffice> {
    const settled = await postoffice.store.read(loadSettled);
    return new RunningPostoffice(
      postoffice,
      new Schedule(settings, settled, options.random),
      settings,
      signal,
      options,
    );
  }

  private constructor(
    postoffice: Postoffice,
    schedule: Schedule,
    settings: Settings,
    signal: AbortSignal,
    { timers = systemTimers }: RunOptions,
  ) {
    this.#timers = timers;
    this.#schedule = schedule;
    this.#signal = this.#abort.signal;
    if (signal.aborted) this.#abort.abort(signal.reason);
    else signal.addEventListener('abort', () => this.#abort.abort(signal.reason), { once: true });
    this.#signal.addEventListener('abort', () => this.#wake(), { once: true });
    this.#inbound = postoffice.inbound.map((one) => collectingInTurn(one, timers, this.#recovered));
    this.postoffice = { ...postoffice, inbound: this.#inbound };
    this.#queue = new WorkQueue(this.#signal);
    this.#onArrival = dispatchesOnArrival(settings.schedule);
    const arrivals = {
      timers,
      pollMs: settings.schedule.poll,
      onArrival: () => this.#noteArrival(),
      onFault: (error: unknown) => this.#end(error),
    };
    this.#arrivals = new Arrivals(this.postoffice, arrivals, this.#signal);
  }

  /** Until the signal aborts; then when what was begun has ended. Throws what nobody expected, and a damaged store. */
  async run(): Promise<void> {
    const changes = {
      timers: this.#timers,
      onChange: (everyMs: number) => this.#noteChange(everyMs),
      onFault: (error: unknown) => this.#end(error),
    };
    const watching = Promise.all([this.#arrivals.watch(), watchDirectories(this.postoffice, changes, this.#signal)]);
    this.#arrivals.wake();
    try {
      while (!this.#signal.aborted) await this.#turn();
    } catch (error) {
      this.#end(error);
    }
    await watching;
    await this.#queue.idle();
    if (this.#fault !== null) throw this.#fault.error;
  }

  /** A person has typed a command: what he has mended is not waited for. Once for each: a command may poll. */
  askAtOnce(): void {
    for (const transport of this.#inbound) transport.askAtOnce();
  }

  /** A command, between two steps. `signal` gives it up while it waits. `name`: as WorkQueue.addOnce. */
  async command<T>(work: (postoffice: Postoffice) => Promise<T>, signal: AbortSignal, name?: string): Promise<T> {
    const step = () => work(this.postoffice);
    try {
      return await (name === undefined ? this.#queue.add(step, signal) : this.#queue.addOnce(name, step, signal));
    } finally {
      this.#retries = null;
      this.#wake();
    }
  }

  async #turn(): Promise<void> {
    this.#woken = false;
    const due = await this.#nextDue();
    if (this.#signal.aborted) return;
    const nowMs = this.#timers.now();
    if (due === null || due.dueMs > nowMs) await this.#sleep(due === null ? Infinity : due.dueMs - nowMs);
    else await this.#queue.add(() => this.#work(due.step)).catch((error) => this.#unlessStopped(error));
  }

  async #nextDue(): Promise<Due | null> {
    const nowMs = this.#timers.now();
    const found: Due[] = [];
    if (this.#arrived && this.#onArrival) found.push({ step: 'arrival', dueMs: nowMs });
    const scheduled = this.#schedule.next(nowMs);
    if (scheduled !== null) found.push({ step: scheduled.job, dueMs: scheduled.dueMs });
    this.#retries ??= await this.#lookUpRetries();
    if (this.#changeDueMs !== null) {
      const dueMs = Math.max(nowMs, this.#changeDueMs, this.#awaitedMs(nowMs));
      found.push({ step: 'change', dueMs: this.#schedule.opening(dueMs) });
    }
    for (const { step, dueMs } of this.#retries) {
      const backoff = this.#backoff.get(step);
      // A wait that is longer than it was thrown for was so before the clock went back.
      const waits = backoff !== undefined && backoff.untilMs - nowMs <= backoff.waitMs;
      const startMs = Math.max(dueMs, waits ? backoff.untilMs : 0, nowMs);
      found.push({ step, dueMs: this.#schedule.opening(startMs) });
    }
    return found.reduce<Due | null>((first, one) => (first === null || one.dueMs < first.dueMs ? one : first), null);
  }

  /** Until when an answer is waited for. One from the future is of a clock that went back. */
  #awaitedMs(nowMs: number): number {
    const sentMs = this.#unansweredMs;
    return sentMs === null || sentMs > nowMs ? 0 : sentMs + ANSWER_AWAITED_MS;
  }

  async #lookUpRetries(): Promise<Due[]> {
    const { server } = this.postoffice;
    const { unanswered, exchangeMs } = await this.postoffice.store.read(loadOwn);
    this.#unansweredMs = server === null && unanswered > 0 ? exchangeMs : null;
    const exchange = server === null ? await exchangeDueMs(this.postoffice) : null;
    const sending = await sendingDueMs(this.postoffice);
    const writing = await writingDueMs(this.postoffice);
    const found: Due[] = [];
    if (exchange !== null) found.push({ step: 'exchange', dueMs: exchange });
    if (sending !== null) found.push({ step: 'sending', dueMs: sending });
    if (writing !== null) found.push({ step: 'writing', dueMs: writing });
    return found;
  }

  async #work(step: Step): Promise<void> {
    this.#retries = null;
    try {
      await this.#do(step);
    } catch (error) {
      if (this.#signal.aborted) return;
      if (!(error instanceof DirpostError) || isFatal(error)) throw error;
      const text = `what was due (${step}) could not be done: ${error.message} ${error.hint ?? ''}`.trimEnd();
      this.postoffice.tell({ time: timeOf[step], level: 'error', text, details: { code: error.code } });
    }
    // What was broken off counts as missed, and is caught up at the next start.
    if (!this.#signal.aborted) await this.#settle(step);
  }

  async #do(step: Step): Promise<void> {
    const options = { signal: this.#signal };
    switch (step) {
      case 'cycle':
        await this.#collect();
        await this.#dispatch();
        return;
      case 'T1':
      case 'change':
        return this.#collect();
      case 'T2':
      case 'T3':
      case 'arrival':
      case 'writing':
        return this.#dispatch();
      case 'exchange':
        await answerWhatIsDue(this.postoffice, options);
        return;
      case 'sending':
        await sendOutgoing(this.postoffice, this.#signal);
    }
  }

  async #collect(): Promise<void> {
    // What changes from now on may be seen or not.
    this.#changeDueMs = null;
    this.#collectedMs = this.#timers.now();
    await collectAndSend(this.postoffice, { signal: this.#signal });
  }

  async #dispatch(): Promise<void> {
    this.#arrived = false;
    const { updates } = await dispatchAll(this.postoffice, { signal: this.#signal });
    // What the server asks for now is another matter.
    if (updates.length > 0) this.#backoff.delete('exchange');
  }

  async #settle(step: Step): Promise<void> {
    const nowMs = this.#timers.now();
    if (step === 'exchange' || step === 'sending' || step === 'writing') return this.#backOff(step, nowMs);
    if (step === 'arrival' || step === 'change') return;
    this.#schedule.settle(step, nowMs);
    try {
      await this.postoffice.store.transaction((tx) => saveSettled(tx, this.#schedule.settled));
    } catch (error) {
      if (!(error instanceof DirpostError) || isFatal(error)) throw error;
      const text = `the time of the last run could not be written down: ${error.message}`;
      this.postoffice.tell({ time: timeOf[step], level: 'error', text, details: { code: error.code } });
    }
  }

  /** What is due at once again although it was just done does not run in a circle. */
  async #backOff(step: 'exchange' | 'sending' | 'writing', nowMs: number): Promise<void> {
    this.#retries = await this.#lookUpRetries();
    const still = this.#retries.some((one) => one.step === step && one.dueMs <= nowMs);
    const { exchangeAfterMs, exchangeAtMostMs, deliverAfterMs, deliverAtMostMs } = this.postoffice.retry;
    const [firstMs, mostMs] =
      step === 'exchange' ? [exchangeAfterMs, exchangeAtMostMs] : [deliverAfterMs, deliverAtMostMs];
    const before = this.#backoff.get(step);
    const waitMs = Math.max(SHORTEST_BACKOFF_MS, before === undefined ? firstMs : Math.min(before.waitMs * 2, mostMs));
    if (still) this.#backoff.set(step, { untilMs: nowMs + waitMs, waitMs });
    else this.#backoff.delete(step);
  }

  #recovered = (transport: string): void => {
    this.postoffice.tell({ time: 'T3', level: 'info', text: `${transport}: works again`, details: { transport } });
  };

  #noteArrival(): void {
    this.#arrived = true;
    this.#wake();
  }

  #noteChange(everyMs: number): void {
    const nowMs = this.#timers.now();
    const sinceMs = nowMs - this.#collectedMs;
    // Below 0 the clock went back meanwhile.
    const waitMs = sinceMs < 0 ? 0 : Math.max(0, everyMs - sinceMs);
    this.#changeDueMs = Math.min(this.#changeDueMs ?? Infinity, nowMs + waitMs);
    this.#wake();
  }

  #wake(): void {
    this.#woken = true;
    this.#wakeUp();
  }

  async #sleep(ms: number): Promise<void> {
    // Something came while the loop looked for what is due.
    if (this.#woken) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#timers.setTimer(Math.min(ms, LONGEST_SLEEP_MS), resolve);
      this.#wakeUp = () => {
        cancel();
        resolve();
      };
    });
    this.#wakeUp = () => {};
  }

  #unlessStopped(error: unknown): void {
    if (!this.#signal.aborted) throw error;
  }

  #end(error: unknown): void {
    if (this.#signal.aborted) return;
    this.#fault = { error };
    this.#abort.abort(error);
  }
}

/** Nothing that the agent may wait for would mend it. */
function isFatal({ code, retry }: DirpostError): boolean {
  return code.startsWith('store-') && retry !== 'later';
}

/** One scheduled cycle, for those who start it from elsewhere; false: something of it failed, as the log says. */
export async function runOnce(postoffice: Postoffice, settings: Settings, signal: AbortSignal): Promise<boolean> {
  const { collected, sent } = await collectAndSend(postoffice, { signal });
  const dispatched = await dispatchAll(postoffice, { signal });
  const schedule = new Schedule(settings, await postoffice.store.read(loadSettled));
  for (const job of ['cycle', 'T1', 'T2', 'T3'] as const) schedule.settle(job, postoffice.clock.now());
  await postoffice.store.transaction((tx) => saveSettled(tx, schedule.settled));
  const failed = sent.failed + dispatched.sent.failed + dispatched.corrupt + dispatched.unwritten;
  return failed === 0 && collected.every(({ problem }) => problem === null);
}
