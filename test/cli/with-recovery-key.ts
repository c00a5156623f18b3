/** hq, oslo and bergen in step over the exchange folder, and the recovery key of hq on paper. */
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { allowFirstWrite, Office } from '../demo/office.ts';
import { expectInStep, joined, settings } from './branches.ts';
import { runHere, smallStaff, temporaryFolder } from './network.ts';

export interface WithRecoveryKey {
  root: string;
  hq: Office;
  oslo: Office;
  bergen: Office;
  /** File with the recovery key of hq. */
  paper: string;
}

let template: Promise<string> | undefined;

/** Made once for a file of tests, and copied for each. */
export async function withRecoveryKey(): Promise<WithRecoveryKey> {
  template ??= makeTemplate();
  const root = await temporaryFolder();
  await cp(await template, root, { recursive: true });
  const [hq, oslo, bergen] = ['hq', 'oslo', 'bergen'].map((name) => new Office(root, name, runHere));
  return { root, hq: hq!, oslo: oslo!, bergen: bergen!, paper: join(root, 'paper') };
}

async function makeTemplate(): Promise<string> {
  const root = await temporaryFolder();
  const hq = new Office(root, 'hq', runHere);
  await mkdir(hq.exchange);
  await mkdir(join(root, 'directories', 'hq'), { recursive: true });
  const { recoveryKey } = await hq.json<{ recoveryKey: string }>(
    'init',
    'hq',
    '--role',
    'server',
    ...settings('hq'),
    '--folder',
    '../exchange',
  );
  await writeFile(join(root, 'paper'), recoveryKey.toUpperCase());
  await allowFirstWrite(hq);
  await hq.writePeople(smallStaff('hq'));
  await expectInStep(hq, await joined(hq, 'oslo'), await joined(hq, 'bergen'));
  return root;
}
