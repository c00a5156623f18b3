/**
 * `npm run demo [-- --http] [--keep]`: a directory server and two branches as real processes in a temporary folder: by
 * hand and by a folder, or as agents that run, over HTTP. Exit code 0 only if everything that it claims was checked and holds.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HttpScene } from './http-scene.ts';
import * as http from './http-steps.ts';
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

async function byFolder(tell: Narrator, root: string): Promise<void> {
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

async function byHttp(tell: Narrator, root: string): Promise<void> {
  const startedMs = Date.now();
  tell.line('dirpost keeps the directories of offices in step by message files. Here are a directory server (hq)');
  tell.line('and two branches (oslo, lima). Each is an agent that runs (dirpost run); they talk HTTP.');
  const scene = new HttpScene(tell, root);
  const steps: [string, (scene: HttpScene) => Promise<void>][] = [
    ['A server: dirpost init hq --role server --listen …, dirpost run', http.makeServer],
    ['Branches join by invitation: dirpost invite, dirpost join', http.joinBranches],
    ['Two more agents, and a word of each administrator: dirpost run, dirpost approve', http.firstCycle],
    ['People change at lima', http.change],
    ['The line is cut, and agents are killed', http.cutsAndKills],
    ['An export breaks off; later, many people leave', http.massRemoval],
    ['No HTTP for a while', http.withoutHttp],
    ['How it ends', (one) => http.end(one, startedMs)],
  ];
  try {
    for (const [title, step] of steps) {
      tell.step(title);
      await step(scene);
    }
  } finally {
    await scene.close();
  }
}

function tellNext(tell: Narrator, root: string, keep: boolean): void {
  tell.line();
  tell.line('What to type next:');
  if (keep) {
    tell.line(`  node packages/agent/bin/dirpost.js -c ${join(root, 'hq', 'dirpost.yaml')} status`);
    tell.line(`  node packages/agent/bin/dirpost.js -c ${join(root, 'oslo', 'dirpost.yaml')} entries "(cn=*Østby)"`);
    if (overHttp) tell.line(`  node packages/agent/bin/dirpost.js -c ${join(root, 'hq', 'dirpost.yaml')} run`);
  } else {
    const again = `npm run demo -- ${overHttp ? '--http ' : ''}--keep`;
    tell.line(`  ${again.padEnd(42)}  the same, and the offices stay for you to look at`);
    if (!overHttp) tell.line('  npm run demo -- --http                      three agents that run, and talk HTTP');
  }
  tell.line('  node packages/agent/bin/dirpost.js --help   the commands');
  tell.line('  README.md, "Ten minutes on two machines"    the same with your own people');
}

const overHttp = process.argv.includes('--http');
const keep = process.argv.includes('--keep');
const tell = new Narrator(process.stdout);
const root = await mkdtemp(join(tmpdir(), 'dirpost-demo-'));
try {
  await (overHttp ? byHttp : byFolder)(tell, root);
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
