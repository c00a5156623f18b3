/** Sealed updates from the server to a requestor, as they travel: head, codec, sealer and keys are the real ones. */
import { randomBytes } from 'node:crypto';
import { defaultLimits, type Update } from '@dirpost/core';
import { createCodec, createSealer, generateKeys, publicKeys, type Sealer } from '@dirpost/message';
import { ANCHOR } from './organisation.ts';

export const codec = createCodec(defaultLimits);

const hex = (bytes: number): string => randomBytes(bytes).toString('hex');

/** The head of an update as it is in a network that has run for a while. */
export function updateHead(fields: Partial<Update>): Update {
  const incarnation = `1.${hex(8)}`;
  return {
    kind: 'update',
    incarnation: `2.${hex(8)}`,
    for: incarnation,
    number: 412,
    answers: 415,
    receipt: {
      accepted: { seq: 51_234, digest: hex(16) },
      newest: 415,
      stamp: `${incarnation}#${hex(16)}`,
      wantFull: false,
      missingOf: 0,
      missing: [],
      refusedCount: 0,
      refused: [],
      heldCount: 0,
      clashes: { left: 0, kept: 0, named: [] },
    },
    mode: 'delta',
    part: 0,
    parts: 1,
    removals: 0,
    total: 1000,
    list: 'everyone',
    base: { seq: 1_234_567, digest: hex(16) },
    to: { seq: 1_235_567, digest: hex(16) },
    cursor: randomBytes(70),
    differing: null,
    confirmed: [],
    anchors: [ANCHOR],
    ...fields,
  };
}

export async function makeSealers(): Promise<{ server: Sealer; requestor: Sealer }> {
  const names = ['server', 'bergen'] as const;
  const keys = { server: await generateKeys(), bergen: await generateKeys() };
  const known = new Map<string, { signing: string[]; recipients: string[] }>();
  for (const name of names) {
    const { signing, recipient } = await publicKeys(keys[name]);
    known.set(name, { signing: [signing], recipients: [recipient] });
  }
  const make = (name: (typeof names)[number]) =>
    createSealer({ name, keys: keys[name], peers: (peer) => known.get(peer), limits: defaultLimits });
  return { server: make('server'), requestor: make('bergen') };
}

export function seal(sealer: Sealer, payload: Uint8Array): Promise<Uint8Array> {
  const envelope = { id: hex(16), from: 'server', to: 'bergen', forIncarnation: `1.${hex(8)}`, createdMs: Date.now() };
  return sealer.seal(envelope, payload);
}

export function cpuSeconds(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
}

/** Seconds of CPU of the quickest of several runs: others share the machine. */
export function bestOf(runs: number, work: () => unknown): number {
  const each = Array.from({ length: runs }, () => {
    const started = process.cpuUsage();
    work();
    return cpuSeconds(started);
  });
  return Math.min(...each);
}
