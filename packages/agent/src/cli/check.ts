/** `dirpost check`: what is wrong, and how to mend it. Looks at everything, changes nothing. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checkStoreFile, requireUsable } from '@dirpost/adapters';
import { DirpostError, isDirpostError, listFor, compileList, loadOwn } from '@dirpost/core';
import { type Agent, openAgent } from '../agent.ts';
import { type Configuration, fingerprintOf, loadConfiguration } from '../config/load.ts';
import type { ConfigurationFault } from '../config/faults.ts';
import { loadKeys } from '../keys.ts';
import { loadPeers } from '../peers.ts';
import type { Postoffice } from '../postoffice.ts';
import { clashWords, duplicateWords, findDuplicates } from '../duplicates.ts';
import { removedDirectories, removedLines } from '../removed-directories.ts';
import { counted } from '../events.ts';
import { associationFindings } from './check-associations.ts';
import { checkDirectory } from './check-directories.ts';
import { checkHttp } from './check-http.ts';
import { checkMail, mailRules } from './check-mail.ts';
import { sendThrough } from './check-send.ts';
import { EXIT, type ExitCode, type Invocation, withTurns } from './command.ts';
import { type Finding, finding } from './findings.ts';
import { askAgent } from './remote.ts';
import { secondsOf } from './sync.ts';

interface CheckOptions {
  send?: boolean;
  wait: string;
  store?: boolean;
}

export async function check(call: Invocation, { send = false, wait, store = false }: CheckOptions): Promise<ExitCode> {
  const waitMs = secondsOf(wait) * 1_000;
  let configuration: Configuration;
  try {
    configuration = await loadConfiguration(call.configFile);
  } catch (error) {
    if (!isDirpostError(error, 'config-invalid')) throw error;
    return showFaults(call, error);
  }
  const whole = async () => (store ? wholeStore(configuration) : []);
  if (!send) return report(call, configuration, whole);
  return withTurns(call, (turn, postoffice) =>
    report(call, configuration, async () => [
      ...(await whole()),
      ...(await sendThrough(call, turn, postoffice, waitMs)),
    ]),
  );
}

/** `more`: looked at last. */
async function report(
  call: Invocation,
  configuration: Configuration,
  more: () => Promise<Finding[]>,
): Promise<ExitCode> {
  const { screen } = call;
  const transports = await checkTransports(call, configuration);
  const isTold = transports.some(({ result }) => result === 'fault');
  const store = await checkStore(call, configuration);
  const findings: Finding[] = [
    { what: 'configuration', result: 'ok', text: call.configFile },
    ...(await checkAgent(configuration)),
    ...(await checkKeys(configuration)),
    ...store.filter(({ what }) => !(isTold && what === OPENING)),
    ...transports,
  ];
  for (const directory of configuration.directories)
    findings.push(...(await checkDirectory(call, configuration, directory)));
  findings.push(...(await more()));
  const { mail } = configuration.transports;
  const rules = mail === undefined ? [] : await mailRules(configuration, mail);
  screen.data({ configuration: call.configFile, faults: [], findings, ...(rules.length > 0 && { rules }) });
  screen.table(findings, [
    { title: 'checked', value: (finding) => finding.what },
    { title: 'result', value: (finding) => finding.result },
    { title: 'found', value: (finding) => finding.text, wraps: true },
  ]);
  const bad = findings.filter((finding) => finding.result !== 'ok');
  if (bad.length > 0) screen.line();
  for (const { what, result, text, mend } of bad) {
    screen.line(`${result}: ${what}: ${text}`);
    if (mend !== undefined) screen.lines(`  ${mend}`);
  }
  if (rules.length > 0) {
    screen.line();
    screen.line('For the administrators of mail, here and at the others. These have to be allowed:');
    for (const rule of rules) screen.line(`- ${rule}`);
  }
  return findings.some((finding) => finding.result === 'fault') ? EXIT.failed : EXIT.done;
}

function showFaults({ screen, configFile }: Invocation, error: DirpostError): ExitCode {
  const faults = error.context['faults'] as ConfigurationFault[];
  screen.data({ configuration: configFile, faults, findings: [] });
  screen.lines(error.message);
  screen.line(`  ${error.hint}`);
  return EXIT.wrongUse;
}

async function wholeStore({ dataFolder }: Configuration): Promise<Finding[]> {
  const what = 'whole store';
  return finding(what, async () => {
    const faults = checkStoreFile(join(dataFolder, 'store.db'));
    if (faults.length === 0) return [{ what, result: 'ok', text: 'read to its end, no fault found' }];
    const mend =
      'Stop dirpost, keep a copy of the data folder, check the disk, and restore a backup: dirpost restore FILE --replace';
    // SQLite puts several faults into one.
    const lines = faults.flatMap((text) => text.split('\n')).filter((line) => line !== '' && !line.startsWith('***'));
    return lines.slice(0, 5).map((text): Finding => ({ what, result: 'fault', text, mend }));
  });
}

/** What was changed in the file is not yet what an agent does. */
async function checkAgent(configuration: Configuration): Promise<Finding[]> {
  const what = 'agent';
  return finding(what, async () => {
    const agent = await askAgent(configuration.dataFolder);
    if (agent === null) return [];
    if (agent.configuration === fingerprintOf(configuration)) {
      return [{ what, result: 'ok', text: `runs with this configuration, process ${agent.pid}` }];
    }
    const text = `the agent that runs (process ${agent.pid}) was started before the configuration changed`;
    return [{ what, result: 'warning', text, mend: 'Restart it: until then it works with what was there before.' }];
  });
}

async function checkKeys(configuration: Configuration): Promise<Finding[]> {
  const { dataFolder, role, server, lists } = configuration;
  return finding('keys', async () => {
    await loadKeys(dataFolder);
    const peers = await loadPeers(dataFolder);
    const found: Finding[] = [
      { what: 'keys', result: 'ok', text: `own keys; ${counted(peers.size, 'other postoffice')} known` },
    ];
    const exchange = 'Exchange public files with it: dirpost peer export, dirpost peer add FILE';
    if (role === 'requestor') {
      const peer = peers.get(server);
      if (peer === undefined)
        found.push({ what: 'keys', result: 'fault', text: `the server ${server} is not known`, mend: exchange });
      else if (peer.role !== 'server') {
        found.push({
          what: 'keys',
          result: 'fault',
          text: `${server} says that it is a requestor`,
          mend: 'Is `server` in the configuration right?',
        });
      }
      return found;
    }
    const compiled = lists.map(compileList);
    const named = new Set([
      ...Object.keys(configuration.requestors),
      ...lists.flatMap(({ receivers }) => (receivers === '*' ? [] : receivers)),
    ]);
    for (const name of named) {
      if (name === configuration.postoffice || peers.has(name)) continue;
      found.push({
        what: 'keys',
        result: 'warning',
        text: `the requestor ${name} is in the configuration, but its keys are not known`,
        mend: `Let it join: dirpost invite ${name}. Without an invitation: ${exchange.replace(/^E/, 'e')}`,
      });
    }
    for (const [name, peer] of peers) {
      if (peer.role === 'server')
        found.push({
          what: 'keys',
          result: 'warning',
          text: `${name} says that it is a directory server too`,
          mend: 'A network has one.',
        });
      else if (listFor(compiled, name) === undefined) {
        found.push({
          what: 'lists',
          result: 'warning',
          text: `${name} follows no address list and receives nothing`,
          mend: 'Name it under `receivers` of one, or give one `receivers: "*"`.',
        });
      }
    }
    return found;
  });
}

/** Transports are opened with the store; what is wrong with one is said by its own check, or at least by this. */
const OPENING = 'transports';

async function checkStore(call: Invocation, configuration: Configuration): Promise<Finding[]> {
  let agent: Agent;
  try {
    agent = await openAgent(configuration, { readOnly: true });
  } catch (error) {
    const what = isDirpostError(error, 'config-invalid') ? OPENING : 'store';
    return finding(what, () => Promise.reject(error));
  }
  return finding('store', async () => {
    try {
      const { own, edits, corrupt } = await agent.postoffice.store.read(async (tx) => ({
        own: await loadOwn(tx),
        edits: { published: await tx.countEdits('published'), replica: await tx.countEdits('replica') },
        corrupt: (await agent.postoffice.spool.list('corrupt')).length,
      }));
      const found: Finding[] = [
        {
          what: 'store',
          result: 'ok',
          text: `${own.live - edits.published} published, ${own.replica.live - edits.replica} in the replica`,
        },
      ];
      const usable = await finding('data folder', async () => {
        requireUsable(join(configuration.dataFolder, 'store.db'));
        return [];
      });
      found.push(...usable);
      if (own.stopped !== null) {
        found.push({
          what: 'store',
          result: 'fault',
          text: `stopped: ${own.stopped}`,
          mend: 'If no other copy runs: dirpost recover --only-copy',
        });
      }
      if (corrupt > 0)
        found.push({
          what: 'spool',
          result: 'warning',
          text: `${counted(corrupt, 'message file')} could not be taken`,
          mend: 'dirpost queue',
        });
      found.push(...(await removedFindings(agent.postoffice)));
      found.push(...(await associationFindings(agent.postoffice)));
      return [...found, ...(await duplicateFindings(call, agent.postoffice))];
    } finally {
      await agent.close();
    }
  });
}

async function removedFindings(postoffice: Postoffice): Promise<Finding[]> {
  const removed = await postoffice.store.read((tx) => removedDirectories(tx, postoffice));
  return removed.map((one): Finding => {
    const [text, ...mend] = removedLines(one);
    return { what: one.name, result: 'warning', text: text!, mend: mend.map((line) => line.trim()).join('\n  ') };
  });
}

async function duplicateFindings({ screen, signal }: Invocation, postoffice: Postoffice): Promise<Finding[]> {
  const what = 'duplicates';
  const progress = screen.progress.bind(screen);
  const { own, counts } = await postoffice.store.read(async (tx) => ({
    own: await loadOwn(tx),
    counts: (await findDuplicates(tx, postoffice, { progress, signal })).counts,
  }));
  const texts = [
    ['values that several entries here have', duplicateWords(counts, 'here')],
    ['values that entries of several postoffices have', duplicateWords(counts, 'network')],
    ['values that must be unique on the network', clashWords(own.clashes)],
  ].filter(([, found]) => found !== '');
  if (texts.length === 0) return [{ what, result: 'ok', text: 'none' }];
  const mend = 'dirpost duplicates lists them, and says which the lists leave out.';
  return texts.map(([of, found]): Finding => ({ what, result: 'warning', text: `${of}: ${found}`, mend }));
}

async function checkTransports({ signal }: Invocation, configuration: Configuration): Promise<Finding[]> {
  const { folder, http, mail } = configuration.transports;
  const found = http === undefined ? [] : await checkHttp(configuration, http, signal);
  if (mail !== undefined) {
    const keys = await loadKeys(configuration.dataFolder).catch(() => null);
    found.push(...(await finding('mail', () => checkMail(configuration, mail, keys, signal))));
  }
  if (folder === undefined && (http ?? mail) !== undefined) return found;
  if (folder === undefined) {
    const mend = 'Name one under `transports`; until then only the server’s own directories are served.';
    return [{ what: 'transports', result: 'warning', text: 'no transport is configured', mend }];
  }
  const what = 'folder';
  try {
    if (!(await stat(folder.path)).isDirectory())
      throw new DirpostError('transport-failed', `${folder.path} is not a folder`);
    await access(folder.path, constants.R_OK | constants.W_OK);
    found.push({ what, result: 'ok', text: folder.path });
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const text = missing ? `${folder.path} is not there` : `${folder.path}: ${(error as Error).message}`;
    found.push({
      what,
      result: 'fault',
      text,
      mend: 'Make the exchange folder, plug in the stick, or mend its rights.',
    });
  }
  return found;
}
