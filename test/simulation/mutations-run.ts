/**
 * `npm run mutations`: breaks the rules of mutations.ts one after another, and prints which of them the checkers noticed. The
 * last line is `N of M mutations caught`; exit code 1 where one was not. `--only TEXT`: those whose name or rule has it.
 */
import { parseArgs } from 'node:util';
import { caught } from './catch.ts';
import { mutations } from './mutations.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
});

interface Line {
  rule: string;
  name: string;
  caught: boolean;
  /** The seed that showed it, what the checkers said first, and how many seeds it took. */
  seed: number | null;
  says: string | null;
  seedsTried: number | null;
}

async function lines(told: (line: Line) => void): Promise<Line[]> {
  const all: Line[] = [];
  for (const mutation of mutations) {
    const { rule, name, shows } = mutation;
    if (!`${rule} ${name}`.includes(values.only)) continue;
    const shown = await caught(mutation);
    const line: Line = {
      rule,
      name,
      // Noticed is the lie only where nothing is broken without it.
      caught: shown !== null && shown.without.length === 0,
      seed: shown?.options.seed ?? null,
      says: shown?.violations.find((violation) => shows.test(violation)) ?? null,
      seedsTried: shown?.seedsTried ?? null,
    };
    all.push(line);
    told(line);
  }
  return all;
}

function row({ rule, name, caught: isCaught, seed, says }: Line): string {
  const what = isCaught ? `caught by seed ${seed}: ${(says ?? '').slice(0, 90)}` : 'NOT CAUGHT';
  return `${rule.padEnd(6)} ${name.padEnd(82)} ${what}`;
}

async function main(): Promise<void> {
  if (values.help) return console.log('npm run mutations -- [--only TEXT] [--json]');
  const all = await lines((line) => {
    if (!values.json) console.log(row(line));
  });
  const count = all.filter((line) => line.caught).length;
  if (values.json) console.log(JSON.stringify({ tried: all.length, caught: count, mutations: all }));
  else console.log(`${count} of ${all.length} mutations caught`);
  if (count < all.length) process.exitCode = 1;
}

await main();
