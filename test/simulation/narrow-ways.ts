/**
 * Ways that take less than before, as mail servers do: also while the parts of a message are under way. Only with `narrow`;
 * else every way is wide, and nothing is drawn for it.
 */
import type { MessageFile } from '@dirpost/core';
import { SERVER } from './machine.ts';
import type { World } from './world.ts';

/** Octets of message files that a way takes; what is not larger than the smallest is never too large. */
const WIDE = 16 * 1024 * 1024;
const WIDTHS = [600, 700, 900];
/** Enough for every single change: the largest needs 919, sealed. */
const QUIET_WIDTHS = [950, 1_000];

export class NarrowWays {
  readonly #world: World;
  /** Postoffice → largest message file that reaches it. */
  readonly #widths = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  takes(peer: string): number {
    return this.#widths.get(peer) ?? WIDE;
  }

  /** A way takes less than was known: it says so at once, or what was too large is lost on its way (a bounce). */
  turnsOutTooLarge({ to, bytes }: MessageFile): 'refused' | 'lost' | null {
    const { options, quiet, random } = this.#world;
    const smaller = WIDTHS.filter((width) => width < bytes.length);
    if (!(options.narrow ?? false) || quiet || smaller.length === 0 || !random.chance(0.3)) return null;
    this.#width(to, random.pick(smaller));
    const how = random.chance(0.5) ? 'refused' : 'lost';
    this.#world.count(`too large, ${how}`);
    return how;
  }

  widen(name: string): void {
    this.#width(name, WIDE);
  }

  /** All have to agree although the ways stay narrow; but bucket digests need a wide one. */
  narrowForGood(): void {
    const { offices, random } = this.#world;
    for (const { name } of offices) this.#width(name, name === SERVER ? WIDE : random.pick(QUIET_WIDTHS));
  }

  #width(name: string, bytes: number): void {
    this.#world.say(`--- the way to ${name} takes ${bytes} octets`);
    this.#widths.set(name, bytes);
  }
}
