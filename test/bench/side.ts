/**
 * One side of a snapshot as a process of its own, for scale-memory: `side.ts FOLDER STEP ENTRIES`. Message files go from step
 * to step as files of the folder; the last line printed is the process's peak of resident memory in bytes.
 *
 *   make      writes people.ldif                                    (not counted)
 *   owner     reads it (T0), submits (T1): files up-*               requestor, sending
 *   ask       lima's first exchange: file ask-0                     (not counted)
 *   server    takes up-* and ask-0 (T2): files down-*               server, both ways
 *   receiver  takes down-* into the replica (T3)                    requestor, receiving
 */
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { LdifDirectory } from '@dirpost/adapters';
import { compileMapping, defaultLimits, DirectoryReading, loadOwn } from '@dirpost/core';
import { type BenchNode, openNode, sealed, submit, take } from './nodes.ts';
import { ANCHOR, organisation, OWNER, toLdif } from './organisation.ts';

const [folder, step, count] = process.argv.slice(2) as [string, string, string];
const entries = Number(count);

const steps: Record<string, () => Promise<void>> = {
  async make() {
    const file = openSync(join(folder, 'people.ldif'), 'w');
    writeSync(file, 'version: 1\n\n');
    for (const person of organisation(entries, 1)) writeSync(file, toLdif(person));
    closeSync(file);
  },
  async owner() {
    const node = await openNode(folder, OWNER, [ANCHOR]);
    await collect(node);
    await submit(node, true);
    await keep(node, 'hq', 'up');
    await node.store.close();
  },
  async ask() {
    const node = await openNode(folder, 'lima');
    await submit(node, false);
    await keep(node, 'hq', 'ask');
    await node.store.close();
  },
  async server() {
    const node = await openNode(folder, 'hq');
    await takeAll(node, 'up');
    await takeAll(node, 'ask');
    await keep(node, 'lima', 'down');
    await node.store.close();
  },
  async receiver() {
    const node = await openNode(folder, 'lima');
    await takeAll(node, 'down');
    const own = await node.store.read(loadOwn);
    if (own.replica.live !== entries || own.cursor === null)
      throw new Error(`${own.replica.live} entries in the replica`);
    await node.store.close();
  },
};

async function collect(node: BenchNode): Promise<void> {
  const mapping = compileMapping({ owner: OWNER, key: 'entryUUID', space: ANCHOR.space, limits: defaultLimits });
  const directory = new LdifDirectory({ name: 'people', path: join(folder, 'people.ldif') });
  const reading = new DirectoryReading(node.store, OWNER, 'people', mapping, node.requestor);
  await reading.begin();
  for await (const batch of directory.read(null, AbortSignal.timeout(3_600_000))) {
    await reading.take(batch.entries);
    if (batch.certificate !== undefined) await reading.finish(batch.certificate);
  }
}

async function keep(node: BenchNode, to: string, name: string): Promise<void> {
  let part = 0;
  for await (const { bytes } of sealed(node, { ...node, name: to })) {
    writeFileSync(join(folder, `${name}-${String(part++).padStart(4, '0')}`), bytes);
  }
}

async function takeAll(node: BenchNode, name: string): Promise<void> {
  const files = readdirSync(folder).filter((file) => file.startsWith(`${name}-`));
  for (const file of files.sort()) await take(node, readFileSync(join(folder, file)), true);
}

await steps[step]!();
console.log(peakBytes());

/** Not maxRSS, which begins with what the process that started this one had resident. */
function peakBytes(): number {
  const peak = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  if (peak === null) throw new Error('This system does not say how much memory a process had.');
  return Number(peak[1]) * 1024;
}
