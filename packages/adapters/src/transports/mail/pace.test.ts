import { describe, expect, it } from 'vitest';
import { Pace, type PaceClock, Slots } from './pace.ts';

const never = () => new AbortController().signal;

/** A clock that moves only when told; who sleeps wakes when his time has come. */
class DrivenClock implements PaceClock {
  #nowMs = 0;
  readonly #sleepers: { untilMs: number; wake: () => void }[] = [];

  now(): number {
    return this.#nowMs;
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    await new Promise<void>((wake, fail) => {
      this.#sleepers.push({ untilMs: this.#nowMs + ms, wake });
      signal.addEventListener('abort', () => fail(signal.reason as Error));
    });
  }

  async go(toMs: number): Promise<void> {
    await new Promise(setImmediate);
    this.#nowMs = toMs;
    for (const { untilMs, wake } of this.#sleepers) if (untilMs <= toMs) wake();
    await new Promise(setImmediate);
  }
}

describe('the pace', () => {
  it('no minute has more mails than it allows, and they go in the order in which they came', async () => {
    const clock = new DrivenClock();
    const pace = new Pace(3, 120_000, 'mx', clock);
    const times: [mail: number, timeMs: number][] = [];
    for (let mail = 0; mail < 8; mail++) {
      await clock.go(mail * 1_000);
      void pace.take(never()).then(() => times.push([mail, clock.now()]));
    }
    for (let timeMs = 8_000; timeMs <= 180_000; timeMs += 1_000) await clock.go(timeMs);
    const expected = [0, 1_000, 2_000, 60_000, 61_000, 62_000, 120_000, 121_000];
    expect(times).toEqual(expected.map((timeMs, mail) => [mail, timeMs]));
  });

  it('who would wait for too long is told when to come back', async () => {
    const pace = new Pace(1, 60_000, 'mx', new DrivenClock());
    await pace.take(never());
    void pace.take(never());
    await expect(pace.take(never())).rejects.toMatchObject({ retry: 'later', context: { retryAfterS: 120 } });
  });

  it('a mail that is given up leaves its turn to the next', async () => {
    const clock = new DrivenClock();
    const pace = new Pace(1, 60_000, 'mx', clock);
    await pace.take(never());
    const stop = new AbortController();
    const givenUp = pace.take(stop.signal);
    stop.abort(new Error('enough'));
    await expect(givenUp).rejects.toThrow('enough');
    const next = pace.take(never());
    await clock.go(60_000);
    await next;
  });
});

describe('slots', () => {
  it('are given in turn, and past those who left', async () => {
    const slots = new Slots(1);
    const giveBack = await slots.take(never());
    const stop = new AbortController();
    const left = slots.take(stop.signal);
    const waiting = slots.take(never());
    stop.abort(new Error('enough'));
    await expect(left).rejects.toThrow('enough');
    giveBack();
    (await waiting)();
    (await slots.take(never()))();
    await expect(slots.take(stop.signal)).rejects.toThrow('enough');
  });
});
