/**
 * `npm run demo [-- --http | --mail] [--keep]`: a directory server and two branches as real processes in a temporary
 * folder: by hand and by a folder, or as agents that run, over HTTP or by mail. Exit code 0 only if everything that it
 * claims was checked and holds.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mailServers } from '../servers/mail/programs.ts';
import { INSTALL } from '../servers/programs.ts';
import type { AgentScene } from './agent-scene.ts';
import { HttpScene } from './http-scene.ts';
import * as http from './http-steps.ts';
import { MailScene } from './mail-scene.ts';
import * as mail from './mail-steps.ts';
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
  await play(tell, new HttpScene(tell, root), [
    ['A server: dirpost init hq --role server --listen …, dirpost run', http.makeServer],
    ['Branches join by invitation: dirpost invite, dirpost join', http.joinBranches],
    ['Two more agents, and a word of each administrator: dirpost run, dirpost approve', http.firstCycle],
    ['People change at lima', http.change],
    ['The line is cut, and agents are killed', http.cutsAndKills],
    ['An export breaks off; later, many people leave', http.massRemoval],
    ['No HTTP for a while', http.withoutHttp],
    ['How it ends', (one) => http.end(one, startedMs)],
  ]);
}

async function byMail(tell: Narrator, root: string): Promise<void> {
  const lacking = mailServers.lacks();
  if (lacking.length > 0) throw new ClaimFailed(`${mailServers.name} are installed (${INSTALL} does it)`, lacking);
  const startedMs = Date.now();
  tell.line('dirpost keeps the directories of offices in step by message files. Here are a directory server (hq)');
  tell.line('and two branches (oslo, lima). Each is an agent that runs (dirpost run); they share nothing but mail.');
  const scene = new MailScene(tell, root);
  await scene.startMail();
  await play(tell, scene, [
    [
      'A mail system (Exim, Dovecot) and a server: dirpost init hq --role server, dirpost check, dirpost run',
      mail.makeServer,
    ],
    ['Branches join by mail: dirpost invite, dirpost join', mail.joinBranches],
    ['Two more agents, and a word of each administrator: dirpost run, dirpost approve', http.firstCycle],
    ['People change at lima', http.change],
    ['What lies in the mailbox of oslo', mail.look],
    ['The mail system is killed, and an agent with it', mail.kills],
    ['A gateway does what gateways do to mails', mail.footers],
    ['A mailbox is full', mail.bounces],
    ['How it ends', (one) => http.end(one, startedMs)],
  ]);
}

async function play<S extends AgentScene>(
  tell: Narrator,
  scene: S,
  steps: [string, (scene: S) => Promise<void>][],
): Promise<void> {
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
    if (way === '--http') tell.line(`  node packages/agent/bin/dirpost.js -c ${join(root, 'hq', 'dirpost.yaml')} run`);
  } else {
    const again = `npm run demo -- ${way === undefined ? '' : `${way} `}--keep`;
    tell.line(`  ${again.padEnd(42)}  the same, and the offices stay for you to look at`);
    if (way !== '--http')
      tell.line('  npm run demo -- --http                      three agents that run, and talk HTTP');
    if (way !== '--mail')
      tell.line('  npm run demo -- --mail                      … and share nothing but mail (Exim, Dovecot)');
  }
  tell.line('  node packages/agent/bin/dirpost.js --help   the commands');
  tell.line('  README.md, "Ten minutes on two machines"    the same with your own people');
}

const way = (['--http', '--mail'] as const).find((one) => process.argv.includes(one));
const keep = process.argv.includes('--keep');
const tell = new Narrator(process.stdout);
const root = await mkdtemp(join(tmpdir(), 'dirpost-demo-'));
try {
  await (way === '--http' ? byHttp : way === '--mail' ? byMail : byFolder)(tell, root);
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
