/**
 * `npm run bench -- [case …] [--json] [--entries=N]`: runs the cases (all without names) and prints what was measured beside
 * the peer. A case is a file in cases/ of the same name. `--json` prints an object for each case, one to a line: its main
 * figure, and all of them. `--entries`: with so many, where a case knows of it; the goals stand for its own number.
 */
import { readdirSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { formatTable } from './table.ts';

/** One measured number. `ratio` is value / peerValue; `goal` is what `ratio`, or else `value`, may be at most. */
export interface Figure {
  what: string;
  value: number;
  unit: string;
  /** What it is compared with, as a person would call it. */
  peer?: string;
  peerValue?: number;
  goal?: { of: 'ratio' | 'value'; atMost: number };
}

export interface BenchCase {
  name: string;
  /** One sentence. */
  describe: string;
  /** `entries`: instead of its own number. */
  run(entries?: number): Promise<Figure[]>;
}

/** Compiled before it runs, so that what is measured is what is installed; `.js` then. */
const EXTENSION = extname(import.meta.url);
const folder = new URL('cases/', import.meta.url);
const available = readdirSync(folder)
  .filter((file) => extname(file) === EXTENSION)
  .map((file) => basename(file, EXTENSION))
  .sort();

async function main(args: string[]): Promise<number> {
  const json = args.includes('--json');
  const entries = args.map((arg) => /^--entries=([1-9]\d*)$/.exec(arg)?.[1]).find((given) => given !== undefined);
  const wanted = args.filter((arg) => arg !== '--json' && arg !== `--entries=${entries}`);
  const unknown = wanted.filter((name) => !available.includes(name));
  if (unknown.length > 0) {
    console.error(
      `No such bench: ${unknown.join(', ')}\nusage: npm run bench -- [case …] [--json] [--entries=N]\ncases: ${available.join(', ')}`,
    );
    return 2;
  }
  let missed = 0;
  for (const name of wanted.length > 0 ? wanted : available) {
    const { default: bench } = (await import(new URL(`${name}${EXTENSION}`, folder).href)) as { default: BenchCase };
    const asked = entries === undefined ? '' : ` (--entries=${entries}, where the case knows of it)`;
    if (!json) console.log(`${bench.name}: ${bench.describe}${asked}`);
    let figures: JudgedFigure[];
    try {
      figures = (await bench.run(entries === undefined ? undefined : Number(entries))).map(judge);
    } catch (error) {
      // The others can be measured all the same.
      console.error(`${bench.name} was not measured:`, error);
      missed++;
      continue;
    }
    missed += figures.filter(({ met }) => met === false).length;
    if (json) console.log(JSON.stringify({ name, ...mainOf(figures), figures }));
    else console.log(`${formatTable(figures)}\n`);
  }
  return missed > 0 ? 1 : 0;
}

export interface JudgedFigure extends Omit<Figure, 'goal'> {
  ratio: number | null;
  goal: string | null;
  met: boolean | null;
}

function judge(figure: Figure): JudgedFigure {
  const { goal, ...rest } = figure;
  const ratio = figure.peerValue === undefined ? null : figure.value / figure.peerValue;
  const measured = goal?.of === 'ratio' ? ratio : figure.value;
  const met = goal === undefined || measured === null ? null : measured <= goal.atMost;
  const text = goal === undefined ? null : `≤ ${goal.atMost}${goal.of === 'ratio' ? ' ×' : ''}`;
  return { ...rest, ratio, goal: text, met };
}

/** The first figure that has a goal, or else the first. */
function mainOf(figures: JudgedFigure[]): Omit<JudgedFigure, 'what'> | undefined {
  const main = figures.find(({ goal }) => goal !== null) ?? figures[0];
  if (main === undefined) return undefined;
  const { what: _, peer, peerValue, ...rest } = main;
  return { ...rest, ...(peer === undefined ? {} : { peer }), ...(peerValue === undefined ? {} : { peerValue }) };
}

process.exitCode = await main(process.argv.slice(2));
