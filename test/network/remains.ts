/**
 * What a network leaves behind when it has come to rest, and what its counts say. Nothing may be left but the stores,
 * the message files that were processed, and temporary files of killed processes, which are few and told.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import type { Status } from '../demo/contents.ts';
import type { Office } from '../demo/office.ts';
import type { Network } from './network.ts';

/** The store of an office with some hundred entries; one that grows with the messages would be larger soon. */
const MAX_STORE_BYTES = 4 * 1024 * 1024;

const TEMPORARY = /^\..*\.tmp$/;

export interface Remains {
  faults: string[];
  /** Half-written files of killed processes. */
  temporaries: string[];
  largestStoreBytes: number;
}

export async function remainsOf({ hq, offices }: Network): Promise<Remains> {
  const remains: Remains = { faults: [], temporaries: [], largestStoreBytes: 0 };
  for (const path of await filesBelow(hq.exchange)) judge(path, hq.root, remains);
  for (const office of offices) {
    for (const path of await waitingFiles(office)) judge(path, hq.root, remains);
    const { size } = await stat(join(office.data, 'store.db'));
    remains.largestStoreBytes = Math.max(remains.largestStoreBytes, size);
    if (size > MAX_STORE_BYTES) remains.faults.push(`the store of ${office.name} has grown to ${size} octets`);
  }
  return remains;
}

/** Message files that wait somewhere, and what was set aside; empty when everything has arrived. */
export async function waitingIn({ hq, offices }: Network): Promise<string[]> {
  const found = await filesBelow(hq.exchange);
  for (const office of offices) found.push(...(await waitingFiles(office)));
  return found.filter((path) => !TEMPORARY.test(basename(path))).map((path) => `${relative(hq.root, path)} waits`);
}

async function waitingFiles(office: Office): Promise<string[]> {
  const folders = ['spool/incoming', 'spool/outgoing', 'spool/corrupt', 'http'];
  const found: string[] = [];
  for (const folder of folders) found.push(...(await filesBelow(join(office.data, folder))));
  const beside = (await readdir(join(office.root, 'directories', office.name))).filter((name) => TEMPORARY.test(name));
  return [...found, ...beside.map((name) => join(office.root, 'directories', office.name, name))];
}

function judge(path: string, root: string, { faults, temporaries }: Remains): void {
  if (TEMPORARY.test(basename(path))) temporaries.push(relative(root, path));
  else faults.push(`${relative(root, path)} is left`);
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/**
 * Between two looks at everybody's status. A killed process begins again from its store, in which data, cursor and
 * numbers stand together, so kills explain repeats (an exchange that was processed and whose file was not yet moved)
 * and nothing else: no repair, no full submission, no new incarnation.
 */
export function countFaults(before: Status[], after: Status[]): string[] {
  const faults: string[] = [];
  const compare = (who: string, old: Record<string, number>, now: Record<string, number>, names: string[]) => {
    for (const name of names) {
      const gained = (now[name] ?? 0) - (old[name] ?? 0);
      if (gained !== 0) faults.push(`${who}: ${gained} ${name}`);
    }
  };
  for (const [i, status] of after.entries()) {
    const { postoffice, own, server, corrupt } = status;
    const old = before[i]!;
    compare(postoffice, old.own.counts, own.counts, ['repairs', 'fulls', 'rollbacks']);
    if (old.own.incarnation !== own.incarnation) faults.push(`${postoffice} took another incarnation`);
    if (corrupt > 0) faults.push(`${postoffice} has ${corrupt} corrupt message files`);
    if (server === null) continue;
    if (server.lives !== 0 || server.incarnation !== old.server?.incarnation)
      faults.push('the server took another incarnation');
    for (const { name, counts } of server.requestors) {
      const known = old.server?.requestors.find((one) => one.name === name);
      compare(`${name} at the server`, known?.counts ?? {}, counts, ['repairs', 'fulls', 'rollbacks', 'superseded']);
    }
  }
  return faults;
}
