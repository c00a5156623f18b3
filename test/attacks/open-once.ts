/**
 * Opens vectors as a postoffice does, in a process of its own, and says what came of each and what it cost: for bombs.test.ts.
 * `open-once.ts FILE…` prints {"FILE": {"code", "ms", "peakBytes"}, …}.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { isDirpostError } from '@dirpost/core';
import { codec, parseVector, sealerOf } from '../vectors/vector.ts';

interface Cost {
  code: string;
  /** Of processor time. */
  ms: number;
  /** By which the largest memory of the process grew. */
  peakBytes: number;
}

async function costOf(file: string): Promise<Cost> {
  const { bytes, receiver } = parseVector(readFileSync(file, 'utf8'));
  const sealer = await sealerOf(receiver);
  const before = process.resourceUsage().maxRSS;
  const cpu = process.cpuUsage();
  let code = 'ok';
  try {
    const { payload } = await sealer.open(bytes);
    codec.head(payload);
    codec.changes(payload);
  } catch (error) {
    if (!isDirpostError(error)) throw error;
    code = error.code;
  }
  const { user, system } = process.cpuUsage(cpu);
  const peakBytes = (process.resourceUsage().maxRSS - before) * 1024;
  return { code, ms: Math.round((user + system) / 1000), peakBytes };
}

const costs: Record<string, Cost> = {};
for (const file of process.argv.slice(2)) costs[basename(file)] = await costOf(file);
console.log(JSON.stringify(costs));
