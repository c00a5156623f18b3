/** `dirpost peer`: exchanging public keys by two small files. Trust begins with a fingerprint that people compare. */
import { writeFile } from 'node:fs/promises';
import { fileError } from '@dirpost/adapters';
import { DirpostError } from '@dirpost/core';
import { loadKeys } from '../keys.ts';
import { addPeer, exportPeer, loadPeers, type Peer, readPeerFile } from '../peers.ts';
import { configurationOf, EXIT, type ExitCode, type Invocation } from './command.ts';
import { answerTo } from './prompt.ts';
import { time } from './screen.ts';

export async function peerExport(call: Invocation, options: { out?: string }): Promise<ExitCode> {
  const configuration = await configurationOf(call);
  const text = await exportPeer(configuration, await loadKeys(configuration.dataFolder), Date.now());
  if (options.out === undefined) {
    call.screen.raw(text);
    return EXIT.done;
  }
  const { out } = options;
  await writeFile(out, text).catch((error: unknown) => {
    throw fileError(error, `write ${out}`);
  });
  const { fingerprint } = JSON.parse(text) as { fingerprint: string };
  call.screen.data({ file: options.out, fingerprint });
  call.screen.line(`${options.out} holds the public keys of ${configuration.postoffice}. Nothing in it is secret.`);
  call.screen.line(`  fingerprint  ${fingerprint}`);
  call.screen.line('Whoever adds it should compare this fingerprint with you, by telephone for example.');
  return EXIT.done;
}

interface AddOptions {
  fingerprint?: string;
  yes?: boolean;
  replace?: boolean;
}

export async function peerAdd(call: Invocation, file: string, options: AddOptions): Promise<ExitCode> {
  const configuration = await configurationOf(call);
  const peer = await readPeerFile(file);
  const { screen } = call;
  screen.line(`${peer.name} (${peer.role})`);
  screen.line(`  fingerprint  ${peer.fingerprint}`);
  await confirm(call, peer, options);
  const result = await addPeer(configuration.dataFolder, peer, {
    own: configuration.postoffice,
    replace: options.replace === true,
  });
  screen.data({ peer: peer.name, role: peer.role, fingerprint: peer.fingerprint, result });
  screen.line(result === 'unchanged' ? `${peer.name} was known with these keys already.` : `${peer.name} is trusted.`);
  return EXIT.done;
}

async function confirm(call: Invocation, peer: Peer, options: AddOptions): Promise<void> {
  if (options.fingerprint !== undefined) {
    if (plain(options.fingerprint) === plain(peer.fingerprint)) return;
    throw new DirpostError('peer-invalid', `The fingerprint does not match: the file has ${peer.fingerprint}.`, {
      retry: 'operator',
      hint: 'Either it was misread, or the file is not that of the postoffice you think. Nothing was added.',
    });
  }
  if (options.yes === true) return;
  if (process.stdin.isTTY !== true || call.screen.json) {
    throw new DirpostError('wrong-use', 'Nobody is here to confirm the fingerprint.', {
      hint: `Give it as its administrator read it out: --fingerprint … ; or trust the file as it is: --yes`,
    });
  }
  const answer = await answerTo(call, 'Does its administrator read out the same fingerprint? [y/N] ');
  if (/^y(es)?$/i.test(answer)) return;
  throw new DirpostError('wrong-use', `${peer.name} was not added.`);
}

function plain(fingerprint: string): string {
  return fingerprint.toLowerCase().replace(/[^a-z0-9]/g, '');
}

export async function peerList(call: Invocation): Promise<ExitCode> {
  const { dataFolder } = await configurationOf(call);
  const peers = [...(await loadPeers(dataFolder)).values()];
  call.screen.data(peers);
  if (peers.length === 0) call.screen.line('No other postoffice is known. Add one with: dirpost peer add FILE');
  call.screen.table(peers, [
    { title: 'name', value: (peer) => peer.name },
    { title: 'role', value: (peer) => peer.role },
    { title: 'fingerprint', value: (peer) => peer.fingerprint },
    { title: 'made', value: (peer) => time(peer.madeAtMs) },
    ...(peers.some(({ mail }) => mail !== undefined)
      ? [{ title: 'mail', value: (peer: Peer) => peer.mail ?? null }]
      : []),
  ]);
  return EXIT.done;
}
