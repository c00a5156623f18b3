/** Keys and announcements (protocol.md, "Keys and addresses that change"), broken; see mutations.ts. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Joining } from '../../packages/agent/src/joining/joining.ts';
import { keyFilePath } from '../../packages/agent/src/keys.ts';
import type { Peer } from '../../packages/agent/src/peers.ts';
import type { Mutation } from './machine.ts';
import type { NamedMutation } from './mutations.ts';
import { overriding } from './store.ts';

const rule = 'keys';
const keys = true;

/** What is known of others is read as `change` says. */
function reading(joining: Joining, change: (peer: Peer) => Peer): void {
  const { peers } = joining;
  const get = peers.get.bind(peers);
  peers.get = (name) => {
    const peer = get(name);
    return peer === undefined ? undefined : change(peer);
  };
}

/** What is remembered of others is written as `change` says. */
function saving(joining: Joining, change: (peer: Peer, before: Peer | undefined) => Peer): void {
  const { peers } = joining;
  const save = peers.save.bind(peers);
  peers.save = (peer) => save(change(peer, peers.get(peer.name)));
}

interface KeyFile {
  identities: string[];
  older?: unknown;
  announced: { statements: string[] };
}

/** What a roll-over has left is written as `change` says. */
function rolling(change: (file: KeyFile) => void): Mutation {
  return {
    rolled(dataFolder) {
      const path = keyFilePath(dataFolder);
      const file = JSON.parse(readFileSync(path, 'utf8')) as KeyFile;
      change(file);
      writeFileSync(path, JSON.stringify(file), { mode: 0o600 });
    },
  };
}

export const keyMutations: NamedMutation[] = [
  {
    name: 'who is suspended is believed',
    rule,
    shows: /believed/,
    world: { keys, weights: { suspend: 6 } },
    make: () => ({ joining: (joining) => reading(joining, ({ suspended: _, ...peer }) => peer) }),
  },
  {
    name: 'keys that were given up count on',
    rule,
    shows: /believed/,
    world: { keys, weights: { steal: 5, forge: 12 } },
    make() {
      const ever = new Map<string, Set<string>>();
      return {
        joining: (joining) =>
          reading(joining, (peer) => {
            const all = ever.get(peer.name) ?? new Set();
            for (const key of peer.signing) all.add(key);
            ever.set(peer.name, all);
            return { ...peer, signing: [...new Set([...peer.signing, ...all])] };
          }),
      };
    },
  },
  {
    name: 'an announcement that comes late is taken',
    rule,
    shows: /announced: .* backwards/,
    world: { keys, weights: { move: 8 } },
    make: () => ({
      joining(joining) {
        const { peers } = joining;
        const [get, save] = [peers.get.bind(peers), peers.save.bind(peers)];
        peers.get = (name) => {
          const peer = get(name);
          if (peer === undefined) return undefined;
          const { serial: _, ...rest } = peer;
          return rest;
        };
        // The checker looks at what was really known before.
        peers.save = async (peer) => {
          const lying = peers.get;
          peers.get = get;
          try {
            await save(peer);
          } finally {
            peers.get = lying;
          }
        };
      },
    }),
  },
  {
    name: 'no statement proves new keys',
    rule,
    shows: /not converged/,
    world: { keys },
    make: () => ({ joining: (joining) => void (joining.statementsFor = () => []) }),
  },
  {
    name: 'what a server cannot read is not answered',
    rule,
    shows: /not converged/,
    seed: 2,
    world: { keys, clones: true },
    make() {
      let lastMs = () => 0;
      return {
        joining: (_, nowMs) => void (lastMs = nowMs),
        store: (tx) =>
          overriding(tx, (method, args) =>
            method === 'getDocument' && String(args[0]).startsWith('unreadable/')
              ? Promise.resolve(lastMs())
              : undefined,
          ),
      };
    },
  },
  {
    name: 'what was announced is remembered under a higher serial than it had',
    rule,
    shows: /not converged/,
    world: { keys, weights: { move: 6, restore: 4, backup: 6 } },
    make: () => ({
      joining: (joining) =>
        saving(joining, (peer, before) =>
          before?.serial === undefined ? peer : { ...peer, serial: Math.max(before.serial, peer.serial ?? 0) + 9e12 },
        ),
    }),
  },
  {
    name: 'a roll-over forgets statements before it',
    rule,
    shows: /lost each other/,
    world: { keys, weights: { roll: 14 } },
    make: () => rolling(({ announced }) => void announced.statements.splice(0, announced.statements.length - 1)),
  },
  {
    name: 'older keys are destroyed before the other side knows',
    rule,
    shows: /lost each other/,
    world: { keys, weights: { roll: 14 } },
    make: () =>
      rolling((file) => {
        delete file.older;
        file.identities.length = 1;
      }),
  },
  {
    name: 'a key that was replaced, and forgotten, is taken again',
    rule,
    shows: /announced: .* replaced there/,
    world: { keys, weights: { roll: 10, backup: 6, restore: 4 } },
    make() {
      const first = new Map<string, Peer>();
      return {
        joining: (joining) =>
          saving(joining, (peer, before) => {
            const place = `${joining.dataFolder} ${peer.name}`;
            const old = first.get(place) ?? before ?? peer;
            first.set(place, old);
            const isThird = peer.signing[0] !== before?.signing[0] && before?.signing[0] !== old.signing[0];
            if (!isThird) return peer;
            const { signing, recipients, fingerprint } = old;
            return { ...peer, signing, recipients, fingerprint };
          }),
      };
    },
  },
];
