/** What many worlds came to, as `npm run sim -- --json` and `npm run sim:long -- --json` print it. */
import type { WorldResult } from './world.ts';

export interface Totals {
  seeds: number;
  messages: number;
  octets: number;
  crashes: number;
  /** Of the server, of requestors, and machines that were installed anew. */
  restores: number;
  clones: number;
  /** What else struck, and what came of it, by name. */
  faults: Record<string, number>;
  violations: number;
  /** Command that plays a seed that broke a rule, and what it broke. */
  failed: { replay: string; violations: string[] }[];
  /** How many seeds agreed after so many quiet cycles. */
  cycles: Record<number, number>;
}

/** Of one seed so many are named. */
const NAMED = 5;
const RESTORES = ['server restored', 'requestors restored', 'reinstalled'];

export function noTotals(): Totals {
  return {
    seeds: 0,
    messages: 0,
    octets: 0,
    crashes: 0,
    restores: 0,
    clones: 0,
    faults: {},
    violations: 0,
    failed: [],
    cycles: {},
  };
}

export function totalsOf({ violations, messages, octets, cycles, counts }: WorldResult, replay: string): Totals {
  const { crashes = 0, clones = 0, ...others } = counts;
  const faults = Object.entries(others).filter(([what]) => !RESTORES.includes(what));
  return {
    seeds: 1,
    messages,
    octets,
    crashes,
    restores: RESTORES.reduce((sum, what) => sum + (counts[what] ?? 0), 0),
    clones,
    faults: Object.fromEntries(faults),
    violations: violations.length,
    failed: violations.length > 0 ? [{ replay, violations: violations.slice(0, NAMED) }] : [],
    cycles: { [cycles]: 1 },
  };
}

/** Adds `more` to `totals`. */
export function addTotals(totals: Totals, more: Totals): void {
  for (const what of ['seeds', 'messages', 'octets', 'crashes', 'restores', 'clones', 'violations'] as const)
    totals[what] += more[what];
  addCounts(totals.faults, more.faults);
  addCounts(totals.cycles, more.cycles);
  totals.failed.push(...more.failed);
}

function addCounts(counts: Record<string, number>, more: Record<string, number>): void {
  for (const [what, count] of Object.entries(more)) counts[what] = (counts[what] ?? 0) + count;
}

export function reportOf(totals: Totals, seconds: number): string {
  const { seeds, failed, messages, octets, crashes, restores, clones, cycles } = totals;
  const slowest = Math.max(...Object.keys(cycles).map(Number));
  return [
    `${failed.length} of ${seeds} seeds broke a rule; ${messages} messages, ${(octets / 1e6).toFixed(1)} MB in ${seconds.toFixed(1)} s`,
    `crashes ${crashes}, restores ${restores}, clones ${clones}`,
    `slowest convergence: ${slowest} quiet cycles; ${JSON.stringify(cycles)}`,
    Object.entries(totals.faults)
      .map(([what, count]) => `${what} ${count}`)
      .join(', '),
  ].join('\n');
}
