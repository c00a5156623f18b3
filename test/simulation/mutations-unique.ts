/** Values that must be unique on the network (design section 5), broken; see mutations.ts. */
import type { Claim, Claimant } from '@dirpost/core';
import type { NamedMutation } from './mutations.ts';
import { overriding } from './store.ts';

export const uniqueMutations: NamedMutation[] = [
  {
    name: 'nobody is asked who had a value first',
    rule: '§5',
    shows: /clash/,
    make: () => ({
      store: (tx) => overriding(tx, (method) => (method === 'putClaims' ? Promise.resolve() : undefined)),
    }),
  },
  {
    name: 'the youngest holds a value',
    seed: 12,
    rule: '§5',
    shows: /flip-flop/,
    make: () => ({
      store: (tx) =>
        overriding(tx, (method, args) => {
          if (method !== 'claimants') return undefined;
          return tx
            .claimants(args[0] as Uint8Array[])
            .then((all) => all.map((claimants: Claimant[]) => [...claimants].reverse()));
        }),
    }),
  },
  {
    name: 'who waits for a value does not get it when its holder gives it up',
    rule: '§5',
    shows: /clash/,
    make: () => ({
      store: (tx) => overriding(tx, (method) => (method === 'claimsOf' ? Promise.resolve<Claim[]>([]) : undefined)),
    }),
  },
];
