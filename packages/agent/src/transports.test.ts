import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fingerprint, generateKeys, publicKeys } from '@dirpost/message';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseConfiguration } from './config/load.ts';
import { Invitations } from './joining/invitations.ts';
import type { Joining } from './joining/joining.ts';
import { Peers } from './peers.ts';
import { openTransports, type Transports } from './transports.ts';

let data: string;
let joining: Pick<Joining, 'peers' | 'invitations' | 'applicants'>;
const opened: Transports[] = [];

beforeEach(async () => {
  data = mkdtempSync(join(tmpdir(), 'dirpost-transports-'));
  joining = { peers: await Peers.load(data), invitations: await Invitations.load(data), applicants: new Map() };
});
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
  rmSync(data, { recursive: true, force: true });
});

async function know(name: string, mail?: string): Promise<void> {
  const keys = await publicKeys(await generateKeys());
  const { signing, recipient } = keys;
  const peer = { name, role: 'requestor' as const, signing: [signing], recipients: [recipient], madeAtMs: 0 };
  await joining.peers.save({ ...peer, fingerprint: fingerprint(keys), ...(mail !== undefined && { mail }) });
}

/** `more`: of the transports of hq. */
async function open(more: string, peers = ''): Promise<Transports> {
  const mail = `mail: { address: dirpost@hq.test, submission: { host: 127.0.0.1, port: 1, tls: none }, mailbox: { port: 1, tls: none }, login: { password: { env: NONE } }${peers} }`;
  const text = `postoffice: hq\nrole: server\nlists: [{ name: all, receivers: "*" }]\ntransports: { ${mail}${more} }\n`;
  const transports = openTransports(parseConfiguration(text, data), {
    keys: await generateKeys(),
    joining,
    tell: () => {},
  });
  opened.push(transports);
  return transports;
}

const names = (transports: { name: string }[]) => transports.map(({ name }) => name);

describe('mail', () => {
  it('is tried before the folder, unless another order is wanted', async () => {
    await know('oslo', 'dirpost@oslo.test');
    expect(names((await open(', folder: { path: x }')).to('oslo'))).toEqual(['mail', 'folder']);
    expect(names((await open(', folder: { path: x }, prefer: [folder]')).to('oslo'))).toEqual(['folder', 'mail']);
  });

  it('leads to nobody whose address is not known, unless there is no other way: then that is what is wrong', async () => {
    await know('lima');
    const transports = await open(', folder: { path: x }');
    expect(names(transports.to('lima'))).toEqual(['folder']);
    expect(names((await open('')).to('lima'))).toEqual(['mail']);
    await know('lima', 'dirpost@lima.test');
    expect(names(transports.to('lima'))).toEqual(['mail', 'folder']);
  });

  it('goes where the configuration says, whatever joining told; and to one who is refused, where he told', async () => {
    await know('lima');
    expect(names((await open(', folder: { path: x }', ', peers: { lima: a@lima.test }')).to('lima'))).toContain('mail');
    const transports = await open(', folder: { path: x }');
    joining.applicants.set('bergen', { signing: [], recipients: [], mail: 'a@bergen.test' });
    expect(names(transports.to('bergen'))).toContain('mail');
    // Whoever bears the name is reached at his own address, and not at that of another who wanted the name.
    joining.applicants.set('lima', { signing: [], recipients: [], mail: 'eve@example.test' });
    expect(names(transports.to('lima'))).toEqual(['folder']);
  });

  it('connects to nothing and makes nothing before it is used', async () => {
    const transports = await open('');
    await transports.close();
    expect(readdirSync(data)).toEqual([]);
  });
});
