/**
 * Resident memory while a snapshot of 1,000,000 entries passes, for the requestor that reads and submits it, the server,
 * and the requestor that receives it; each is a process of its own.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeKeys } from '../nodes.ts';
import { OWNER } from '../organisation.ts';
import type { BenchCase, Figure } from '../run.ts';

const SIZES = [100_000, 1_000_000] as const;
const MEGABYTE = 1_000_000;
const COUNTED = ['owner', 'server', 'receiver'] as const;

const bench: BenchCase = {
  name: 'scale-memory',
  describe: `peak of resident memory while ${SIZES[1].toLocaleString('en')} entries pass, and against ${SIZES[0].toLocaleString('en')}`,
  async run(): Promise<Figure[]> {
    const small = await peaks(SIZES[0]);
    const large = await peaks(SIZES[1]);
    return COUNTED.flatMap((side): Figure[] => [
      { what: side, value: large[side]! / MEGABYTE, unit: 'MB', goal: { of: 'value', atMost: 300 } },
      {
        what: `${side}, growth`,
        value: large[side]! / MEGABYTE,
        unit: 'MB',
        peer: `at ${SIZES[0].toLocaleString('en')}`,
        peerValue: small[side]! / MEGABYTE,
        goal: { of: 'ratio', atMost: 1.5 },
      },
    ]);
  },
};
export default bench;

async function peaks(entries: number): Promise<Record<string, number>> {
  const folder = mkdtempSync(join(tmpdir(), 'dirpost-bench-'));
  try {
    await makeKeys(folder, ['hq', OWNER, 'lima']);
    const found: Record<string, number> = {};
    for (const step of ['make', 'owner', 'ask', 'server', 'receiver']) found[step] = runSide(folder, step, entries);
    return found;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runSide(folder: string, step: string, entries: number): number {
  const script = fileURLToPath(new URL(`../side${extname(import.meta.url)}`, import.meta.url));
  const result = spawnSync(process.execPath, [...process.execArgv, script, folder, step, String(entries)], {
    encoding: 'utf8',
  });
  if (result.status !== 0) throw new Error(`${step} failed: ${result.stderr}`);
  return Number(result.stdout.trim().split('\n').at(-1));
}
