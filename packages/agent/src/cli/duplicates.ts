/** `dirpost duplicates`: entries with the same mail, uid or employee number, here and across the network. */
import { DirpostError } from '@dirpost/core';
import { COMPARED, type Duplicate, duplicateWords, findDuplicates } from '../duplicates.ts';
import type { Postoffice } from '../postoffice.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { countOf } from './entries.ts';
import { printableJson, type Screen } from './screen.ts';

/** Entries shown of one value. */
const MOST_SHOWN = 10;

export interface DuplicatesOptions {
  attribute?: string[];
  limit: string;
}

export async function duplicates(call: Invocation, { attribute, limit }: DuplicatesOptions): Promise<ExitCode> {
  const most = countOf(limit);
  const attributes = attribute ?? COMPARED;
  const wrong = attributes.find((name) => !/^[a-z][a-z0-9-]*$/i.test(name));
  if (wrong !== undefined) throw new DirpostError('wrong-use', `"${wrong}" is not the name of an attribute.`);
  return withAgent(call, { readOnly: true, quiet: true }, ({ postoffice }) =>
    postoffice.store.read(async (tx) => {
      const { screen, signal } = call;
      const progress = screen.progress.bind(screen);
      const { counts, each } = await findDuplicates(tx, postoffice, { attributes, progress, signal });
      if (screen.json) {
        const head = `{\n"postoffice": ${printableJson(postoffice.name)},\n"counts": ${printableJson(counts)}`;
        await stream(screen, head, each());
        return EXIT.done;
      }
      const [here, network] = [duplicateWords(counts, 'here'), duplicateWords(counts, 'network')];
      if (here !== '') screen.line(`Values that several entries of ${postoffice.name} have: ${here}`);
      if (network !== '') screen.line(`Values that entries of several postoffices have: ${network}`);
      await show(screen, postoffice, each(), most);
      return EXIT.done;
    }),
  );
}

async function stream(screen: Screen, head: string, found: AsyncGenerator<Duplicate>): Promise<void> {
  screen.raw(`${head},\n"duplicates": [`);
  let between = '\n';
  for await (const one of found) {
    screen.raw(`${between}${printableJson(one)}`);
    between = ',\n';
  }
  screen.raw('\n]\n}\n');
}

async function show(
  screen: Screen,
  postoffice: Postoffice,
  found: AsyncGenerator<Duplicate>,
  most: number,
): Promise<void> {
  let values = 0;
  for await (const one of found) {
    if (values++ === most) {
      screen.line(`\nThe first ${most} values; more with --limit, or with --attribute for one attribute.`);
      return;
    }
    showOne(screen, one);
  }
  if (values === 0) return screen.line('No duplicates.');
  if (postoffice.server === null) return;
  const { unique } = postoffice.server;
  const which = unique.length === 0 ? 'No attribute' : `Of attributes in \`unique\` (${unique.join(', ')}) each value`;
  const what =
    unique.length === 0 ? 'has to be unique on the lists.' : 'is on the lists of the owner who had it first.';
  screen.line(`\n${which} ${what}`);
}

function showOne(screen: Screen, { attribute, value, count, entries }: Duplicate): void {
  screen.line();
  screen.line(`${attribute} ${value}`);
  const shown = entries.slice(0, MOST_SHOWN);
  screen.table(shown, [
    { title: '  owner', value: (one) => `  ${one.owner}` },
    { title: 'name', value: (one) => one.name },
    { title: 'dn', value: (one) => one.dn },
    { title: 'id', value: (one) => one.id },
    { title: 'lists', value: (one) => (one.withheld ? `without this ${attribute}` : '') },
  ]);
  if (count > shown.length) screen.line(`  … and ${(count - shown.length).toLocaleString('en')} more (--json)`);
}
