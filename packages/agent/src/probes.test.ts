import { randomBytes } from 'node:crypto';
import { defaultLimits } from '@dirpost/core';
import { createSealer, generateKeys } from '@dirpost/message';
import { expect, it } from 'vitest';
import { Probes } from './probes.ts';

it('a probe is known by its octets, is back when it was taken, and is a stranger once it is forgotten', async () => {
  const sealer = createSealer({
    name: 'hq',
    keys: await generateKeys(),
    peers: () => undefined,
    limits: defaultLimits,
  });
  const hq = { name: 'hq', sealer, random: randomBytes };
  const probes = new Probes();
  const [one, other] = [await probes.make(hq), await probes.make(hq)];
  expect(probes.has(one.bytes)).toBe(true);
  expect(probes.has(Buffer.concat([one.bytes, Buffer.alloc(1)]))).toBe(false);
  expect([probes.isBack(one.id), probes.take(one.bytes), probes.isBack(one.id)]).toEqual([false, true, true]);
  expect(probes.isBack(other.id)).toBe(false);
  probes.forget(other.id);
  expect([probes.has(other.bytes), probes.take(other.bytes), probes.isBack(other.id)]).toEqual([false, false, false]);
  expect(await sealer.open(one.bytes)).toMatchObject({ envelope: { from: 'hq', to: 'hq' } });
});
