/** `dirpost backup`: what cannot be had back from the others, in a new folder; an agent may be running. */
import { resolve } from 'node:path';
import { backUp, type BackedUpFile } from '../backup.ts';
import { counted } from '../events.ts';
import { configurationOf, EXIT, type ExitCode, type Invocation } from './command.ts';
import { bytes } from './screen.ts';

export async function backup(call: Invocation, folder: string): Promise<ExitCode> {
  const { screen, configFile, signal, cwd } = call;
  const { postoffice, dataFolder } = await configurationOf(call);
  const target = resolve(cwd, folder);
  const files = await backUp({ dataFolder, configFile }, target, {
    signal,
    progress: (doneBytes) => screen.progress({ what: 'backing up, kB', done: Math.round(doneBytes / 1_000) }),
  });
  const total = sum(files);
  screen.data({ postoffice, folder: target, bytes: total, files });
  screen.line(`${postoffice} is backed up in ${target}: ${counted(files.length, 'file')}, ${bytes(total)}.`);
  screen.facts(contents(files));
  screen.line('It holds private keys: keep it where nobody but you can read it.');
  return EXIT.done;
}

/** Folders in one line each. */
function contents(files: BackedUpFile[]): [string, string][] {
  const names = [...new Set(files.map(({ name }) => name.split('/')[0]!))];
  return names.map((name) => {
    const inside = files.filter((file) => file.name === name || file.name.startsWith(`${name}/`));
    const count = inside[0]!.name === name ? '' : `${counted(inside.length, 'file')}, `;
    return [name, count + bytes(sum(inside))];
  });
}

function sum(files: BackedUpFile[]): number {
  return files.reduce((total, file) => total + file.bytes, 0);
}
