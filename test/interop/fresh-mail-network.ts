/** A small network by mail for a file of tests: in step before each of them, gone after the last. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { TestNetwork } from '../network/fresh-network.ts';
import { type MailSystem, startMail } from '../servers/mail/system.ts';
import { mailNetworkOptions, mailUsers, namesOf } from './mail-network.ts';

export interface OpenMailNetwork {
  network: TestNetwork;
  mail: MailSystem;
}

/** For all tests of a file; complete once they run. `more`: other transports beside mail. */
export function freshMailNetwork(seed: string, branches: number, more: object = {}): () => OpenMailNetwork {
  let network: TestNetwork | undefined;
  let mail: MailSystem | undefined;
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'dirpost-interop-'));
    mail = await startMail({ users: mailUsers(namesOf(branches)) });
    network = new TestNetwork(await mailNetworkOptions(mail, { root, branches, seed, every: '1s' }, more));
    await network.make();
  });
  beforeEach(() => network!.standStill());
  afterAll(async () => {
    await network?.close();
    await mail?.stop();
    await rm(root, { recursive: true, force: true });
  });
  return () => ({ network: network!, mail: mail! });
}
