/**
 * `npm run demo [-- --keep]`: a directory server and two branches as real processes in a temporary folder. Exit code 0
 * only if everything that it claims was checked and holds.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClaimFailed, Narrator } from './narrator.ts';
import { CommandFailed, makeOffices, Office, runHere } from './office.ts';
import {
  backUpServer,
  changes,
  damage,
  end,
  firstCycle,
  losses,
  restoreServer,
  type Scene,
  setUp,
  Travelled,
} from './steps.ts';

async function demo(tell: Narrator, root: string): Promise<void> {
  const startedMs = Date.now();
  tell.line('dirpost keeps the directories of offices in step by message files. Here are a directory server (hq)');
  tell.line('and two branches (oslo, lima). They share nothing but a folder in which message files are laid.');
  tell.step('Three postoffices are made: dirpost init, dirpost peer export, dirpost peer add');
  const names = ['hq', 'oslo', 'lima'];
  await makeOffices(root, names, runHere, 'held');
  // From here on every sync and dispatch is a process of its own.
  const offices = names.map((name) => new Office(root, name));
  const [hq, oslo, lima] = offices as [Office, Office, Office];
  const scene: Scene = { tell, root, offices, hq, oslo, lima, staff: new Map(), travelled: new Travelled() };
  await setUp(scene);
  tell.step('The first cycle: T0 collect, T1 send, T2 process, T3 dispatch, verification');
  await firstCycle(scene);
  await backUpServer(scene);
  tell.step('People change at lima');
  await changes(scene);
  tell.step('Message files are lost, and turn up later');
  await losses(scene);
  tell.step('A message file is damaged');
  await damage(scene);
  tell.step('The server is restored from an old backup');
  await restoreServer(scene);
  tell.step('How it ends');
  await end(scene, startedMs);
}

function tellNext(tell: Narrator, root: string, keep: boolean): void {
  tell.line();
  tell.line('What to type next:');
  if (keep) {
    tell.line(`  node packages/agent/bin/dirpost.js -c ${join(root, 'hq', 'dirpost.yaml')} status`);
    tell.line(`  node packages/agent/bin/dirpost.js -c ${join(root, 'oslo', 'dirpost.yaml')} entries "(cn=*Østby)"`);
  } else {
    tell.line('  npm run demo -- --keep                      the same, and the offices stay for you to look at');
  }
  tell.line('  node packages/agent/bin/dirpost.js --help   the commands');
  tell.line('  README.md, "Ten minutes with your own file"  the same with your own people');
}

const keep = process.argv.includes('--keep');
const tell = new Narrator(process.stdout);
const root = await mkdtemp(join(tmpdir(), 'dirpost-demo-'));
try {
  await demo(tell, root);
  tellNext(tell, root, keep);
} catch (error) {
  process.exitCode = 1;
  const expected = error instanceof ClaimFailed || error instanceof CommandFailed;
  const text = expected ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`\nThe demo failed.\n  ${text}\n`);
} finally {
  if (keep) tell.line(`\nThe offices are in ${root}.`);
  else await rm(root, { recursive: true, force: true });
}
