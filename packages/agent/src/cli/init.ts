/** `dirpost init`: a configuration, keys and an empty store. */
import { writeFile } from 'node:fs/promises';
import { checkPostofficeName, DirpostError } from '@dirpost/core';
import { fingerprint, publicKeys } from '@dirpost/message';
import { makeDataFolder, openAgent } from '../agent.ts';
import { parseConfiguration } from '../config/load.ts';
import { sampleConfiguration } from '../config/sample.ts';
import { createKeys } from '../keys.ts';
import { EXIT, type ExitCode, folderOf, type Invocation } from './command.ts';

interface InitOptions {
  role: 'server' | 'requestor';
  server?: string;
  publish?: string;
  key: string;
  subscribe?: string;
  container?: string;
  folder?: string;
}

export async function init(call: Invocation, name: string, options: InitOptions): Promise<ExitCode> {
  checkPostofficeName(name);
  const { screen, configFile } = call;
  if (options.role === 'requestor' && options.server === undefined) {
    throw new DirpostError('wrong-use', 'A requestor needs the name of its directory server: --server NAME');
  }
  const folder = folderOf(call);
  const { publish, ...rest } = options;
  const text = sampleConfiguration({
    ...rest,
    postoffice: name,
    ...(publish === undefined ? {} : { directory: publish }),
  });
  const configuration = parseConfiguration(text, folder);
  await makeDataFolder(folder);
  await writeNew(configFile, text);
  const keys = await createKeys(configuration.dataFolder);
  const agent = await openAgent(configuration);
  await agent.close();
  const print = fingerprint(await publicKeys(keys));
  screen.data({ postoffice: name, role: options.role, configuration: configFile, fingerprint: print });
  screen.line(`The postoffice ${name} is made.`);
  screen.facts([
    ['configuration', configFile],
    ['fingerprint', print],
  ]);
  screen.line();
  screen.line('Next: look through the configuration, then');
  screen.line('  dirpost check                               finds what is missing');
  screen.line(`  dirpost peer export --out ${name}.json`.padEnd(46) + 'the file to carry to the other side');
  return EXIT.done;
}

async function writeNew(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw new DirpostError('file-failed', `${file} could not be written: ${(error as Error).message}.`, {
        cause: error,
      });
    }
    throw new DirpostError('already-initialized', `${file} is there already.`, {
      retry: 'operator',
      hint: 'Use an empty folder for another postoffice, or edit that file.',
    });
  }
}
