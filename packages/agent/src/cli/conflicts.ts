/**
 * `dirpost conflicts`: what was changed on both sides of a directory of both ways, or by others of own entries, what was decided,
 * and what waits. With a number and --take it is settled.
 */
import { DirpostError } from '@dirpost/core';
import { type Conflict, loadConflicts } from '../both/conflicts.ts';
import { forgetSettled, settleConflict, type Side } from '../both/settle-conflict.ts';
import { recordedWords } from '../both/values.ts';
import { writeDirectories } from '../write.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { countOf } from './entries.ts';
import { type Screen, time } from './screen.ts';

export interface ConflictsOptions {
  take?: Side;
  forget?: boolean;
  open?: boolean;
  limit: string;
}

export async function conflicts(
  call: Invocation,
  given: string | undefined,
  options: ConflictsOptions,
): Promise<ExitCode> {
  const { take, forget = false } = options;
  if (take !== undefined && forget) throw new DirpostError('wrong-use', '--take and --forget exclude each other.');
  if (take === undefined && !forget) return list(call, given === undefined ? null : numberOf(given), options);
  if (given === undefined) {
    throw new DirpostError('wrong-use', 'Say which conflict, by its number.', {
      hint: 'Their numbers: dirpost conflicts',
    });
  }
  return take === undefined ? forgetOne(call, numberOf(given)) : settle(call, numberOf(given), take);
}

function numberOf(text: string): number {
  const number = Number(text);
  if (!/^\d{1,15}$/.test(text)) throw new DirpostError('wrong-use', `"${text}" is not the number of a conflict.`);
  return number;
}

async function list(
  call: Invocation,
  number: number | null,
  { open = false, limit }: ConflictsOptions,
): Promise<ExitCode> {
  const most = countOf(limit);
  return withAgent(call, { readOnly: true, quiet: true }, async ({ postoffice }) => {
    const all = await postoffice.store.read(loadConflicts);
    const wanted = all.filter((one) => (number === null || one.number === number) && (!open || isOpen(one)));
    if (number !== null && wanted.length === 0) {
      throw new DirpostError('wrong-use', `There is no conflict ${number}.`, {
        hint: 'Those that there are: dirpost conflicts',
      });
    }
    const { screen } = call;
    screen.data({ postoffice: postoffice.name, open: all.filter(isOpen).length, conflicts: wanted });
    if (number !== null) showOne(screen, wanted[0]!);
    else show(screen, wanted.toReversed(), most);
    return EXIT.done;
  });
}

function isOpen({ decided, wanted }: Conflict): boolean {
  return decided === null && wanted === undefined;
}

function show(screen: Screen, found: Conflict[], most: number): void {
  if (found.length === 0) return screen.line('No conflicts.');
  screen.table(found.slice(0, most), [
    { title: 'no', value: (one) => one.number, align: 'right' },
    { title: 'when', value: (one) => time(one.atMs) },
    { title: 'directory', value: (one) => one.directory },
    { title: 'entry', value: (one) => one.name ?? one.entry },
    { title: 'of', value: (one) => one.owner },
    { title: 'attribute', value: (one) => one.attribute },
    { title: 'directory has', value: (one) => recordedWords(one.here) },
    { title: 'network has', value: (one) => recordedWords(one.network) },
    { title: 'decided', value: decidedWords },
  ]);
  if (found.length > most)
    screen.line(`… and ${(found.length - most).toLocaleString('en')} older ones (--limit, --json)`);
  const open = found.find(isOpen);
  if (open === undefined) return;
  screen.line();
  screen.line(`Settle what waits, such as: dirpost conflicts ${open.number} --take directory, or --take network`);
}

function showOne(screen: Screen, one: Conflict): void {
  const { number, about, directory, editor } = one;
  const what =
    about === 'own' ? `an own entry, edited by ${editor ?? '?'}` : `an entry of ${one.owner}, changed by hand`;
  screen.line(`Conflict ${number} in ${directory}: ${what}`);
  screen.facts([
    ['when', time(one.atMs)],
    ['entry', one.name],
    ['id', one.entry],
    ['attribute', one.attribute],
    ['directory has', recordedWords(one.here)],
    [about === 'own' ? 'the edit says' : 'network has', recordedWords(one.network)],
    ['decided', decidedWords(one)],
  ]);
}

export function decidedWords({ decided, wanted, because }: Conflict): string {
  if (wanted !== undefined) return `${wanted}, with the next dispatch`;
  if (decided === null) return `WAITS (${because})`;
  return `${decided} (${because})`;
}

async function settle(call: Invocation, number: number, side: Side): Promise<ExitCode> {
  return withAgent(call, {}, async ({ postoffice }) => {
    const settled = await postoffice.store.transaction((tx) => settleConflict(tx, postoffice, number, side));
    const unwritten = await writeDirectories(postoffice, { signal: call.signal });
    call.screen.data({ conflict: settled, unwritten });
    const { attribute, directory, decided } = settled;
    const came =
      decided === 'proposed'
        ? `${attribute} is proposed to ${settled.owner}; it goes with the next sync.`
        : `${attribute} is that of the ${side} from now on.`;
    call.screen.line(`Conflict ${number} in ${directory} is settled: ${came}`);
    return unwritten > 0 ? EXIT.failed : EXIT.done;
  });
}

async function forgetOne(call: Invocation, number: number): Promise<ExitCode> {
  return withAgent(call, {}, async ({ postoffice }) => {
    await postoffice.store.transaction((tx) => forgetSettled(tx, number));
    call.screen.data({ forgotten: number });
    call.screen.line(`Conflict ${number} is forgotten.`);
    return EXIT.done;
  });
}
