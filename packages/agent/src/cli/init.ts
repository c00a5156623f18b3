/** `dirpost init`: a configuration, keys and an empty store. */
import { writeFile } from 'node:fs/promises';
import { checkPostofficeName, DirpostError } from '@dirpost/core';
import { fingerprint, generateRecoveryKey, publicKeys, recoveryFingerprint, type RecoveryKey } from '@dirpost/message';
import { makeDataFolder, openAgent } from '../agent.ts';
import { parseConfiguration } from '../config/load.ts';
import { sampleConfiguration } from '../config/sample.ts';
import { createKeys } from '../keys.ts';
import { isLoopback } from './check-http.ts';
import { EXIT, type ExitCode, folderOf, type Invocation } from './command.ts';
import { type MailOptions, mailOf } from './mail-options.ts';
import type { Screen } from './screen.ts';

interface InitOptions extends MailOptions {
  role: 'server' | 'requestor';
  server?: string;
  publish?: string;
  key: string;
  subscribe?: string;
  container?: string;
  folder?: string;
  listen?: string;
  address?: string;
  certificate?: string;
  certificateKey?: string;
}

export async function init(call: Invocation, name: string, options: InitOptions): Promise<ExitCode> {
  checkPostofficeName(name);
  const { screen, configFile } = call;
  if (options.role === 'requestor' && options.server === undefined) {
    throw new DirpostError('wrong-use', 'A requestor needs the name of its directory server: --server NAME');
  }
  const tls = certificateOf(options);
  const mail = mailOf(options);
  const folder = folderOf(call);
  const { publish, ...rest } = options;
  const text = sampleConfiguration({
    ...rest,
    postoffice: name,
    ...(publish === undefined ? {} : { directory: publish }),
    ...(tls === undefined ? {} : { tls }),
    ...(mail === undefined ? {} : { mail }),
  });
  const configuration = parseConfiguration(text, folder);
  await makeDataFolder(folder);
  await writeNew(configFile, text);
  const recovery = options.role === 'server' ? generateRecoveryKey() : undefined;
  const keys = await createKeys(configuration.dataFolder, recovery?.publicKey);
  const agent = await openAgent(configuration);
  await agent.close();
  const print = fingerprint(await publicKeys(keys));
  const facts = { postoffice: name, role: options.role, configuration: configFile, fingerprint: print };
  screen.data(recovery === undefined ? facts : { ...facts, recoveryKey: recovery.text });
  screen.line(`The postoffice ${name} is made.`);
  screen.facts([
    ['configuration', configFile],
    ['fingerprint', print],
  ]);
  if (recovery !== undefined) tellRecoveryKey(screen, recovery);
  screen.line();
  screen.line('Next: look through the configuration, then');
  screen.line('  dirpost check                               finds what is missing');
  if (options.role === 'server') {
    screen.line('  dirpost run'.padEnd(46) + 'is the agent, which takes what arrives');
    screen.line('  dirpost invite NAME'.padEnd(46) + 'lets a branch join');
  }
  screen.line(
    `  dirpost peer export --out ${name}.json`.padEnd(46) +
      'makes a file to carry to the other side, where nobody is invited',
  );
  return EXIT.done;
}

/** Throws where the options for http do not make one whole. */
function certificateOf(options: InitOptions): { certificate: string; key: string } | undefined {
  const { role, listen, address, certificate, certificateKey: key } = options;
  const given = [listen, address, certificate, key].some((one) => one !== undefined);
  if (given && role === 'requestor') {
    throw new DirpostError('wrong-use', 'Only a directory server listens: --listen and what belongs to it is for it.', {
      hint: 'A requestor gets the address of its server with the invitation: dirpost join',
    });
  }
  if (given && listen === undefined) {
    throw new DirpostError('wrong-use', 'Say where the server listens, too: --listen 0.0.0.0:8943');
  }
  if ((certificate === undefined) !== (key === undefined)) {
    throw new DirpostError('wrong-use', 'A certificate has two files: --certificate FILE --certificate-key FILE');
  }
  // What is no HOST:PORT is told with the other faults of the configuration.
  if (listen !== undefined && listen.includes(':') && certificate === undefined && !isLoopback(listen)) {
    throw new DirpostError('wrong-use', `Listening on ${listen}, beyond this machine, needs a certificate.`, {
      hint: 'Name its files: --certificate FILE --certificate-key FILE. The README has a line that makes them, under "Machine 1".',
    });
  }
  return certificate === undefined || key === undefined ? undefined : { certificate, key };
}

function tellRecoveryKey(screen: Screen, { text, publicKey }: RecoveryKey): void {
  const groups = text.split('-');
  screen.line();
  screen.line('The recovery key of this server. Write it down now, on paper, and keep it away from this machine:');
  screen.line();
  screen.line(`  ${groups.slice(0, 7).join('-')}-`);
  screen.line(`  ${groups.slice(7).join('-')}`);
  screen.line();
  screen.line(
    'It is not stored, and is shown this once. It alone can give this server new keys that every branch believes,',
  );
  screen.line('should its own be lost or stolen. Without it every branch would have to be visited and joined again.');
  screen.line(`  its fingerprint  ${recoveryFingerprint(publicKey)}     (later shown by: dirpost keys)`);
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
