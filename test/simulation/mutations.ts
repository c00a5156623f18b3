/**
 * Deliberately broken rules. Production code has no switches for them: each is broken from outside, by a codec, a cookie
 * jar, a store or a directory that lies. The checkers have to notice every one of them (mutations.test.ts).
 */
import type { Mutation } from './machine.ts';
import { editMutations } from './mutations-edits.ts';
import { exchangeMutations } from './mutations-exchange.ts';
import { keyMutations } from './mutations-keys.ts';
import { storeMutations } from './mutations-store.ts';
import { uniqueMutations } from './mutations-unique.ts';
import type { WorldOptions } from './world.ts';

export interface NamedMutation {
  name: string;
  /** Of the design, where it stands. */
  rule: string;
  /** What the checkers say of it. */
  shows: RegExp;
  /** The first seed that is tried: one that showed it when this was written. */
  seed?: number;
  /** The weather in which it shows soonest. */
  world?: Partial<WorldOptions>;
  /** A fresh object each time: some remember what they saw. */
  make(): Mutation;
}

export const mutations: NamedMutation[] = [
  ...storeMutations,
  ...exchangeMutations,
  ...uniqueMutations,
  ...editMutations,
  ...keyMutations,
];
