/**
 * A server as a process of its own group, unprivileged, in a temporary folder: it ends with all its children when it is
 * told to, and also when the test dies that started it.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { connect, type NetConnectOpts } from 'node:net';
import { userInfo } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';

/** Whom servers run as. */
export interface Account {
  name: string;
  group: string;
  uid: number;
  gid: number;
}

/** Oneself; for root, who would be refused by servers or do too much, a user that every system has. */
export function serverAccount(): Account {
  const [uid, gid] = [process.getuid!(), process.getgid!()];
  const ask = (...args: string[]) => execFileSync('id', args, { encoding: 'utf8' }).trim();
  if (uid !== 0) return { name: userInfo().username, group: ask('-gn'), uid, gid };
  const name = 'mail';
  return { name, group: ask('-gn', name), uid: Number(ask('-u', name)), gid: Number(ask('-g', name)) };
}

/**
 * Descriptor 3 is a pipe from the test: once it closes, because the test has died, the server is killed, then the folder
 * removed (the server would make it anew) and the rest of the group killed. The shell becomes the server, so that both have one process id, which is also the group's. (Standard input will
 * not do: Node closes it when the server ends.)
 */
const GUARDED = '(cat <&3 >/dev/null; kill -9 $$; rm -rf "$0"; kill -9 -$$) & exec "$@" 3<&-';

export interface ServerCommand {
  program: string;
  args: string[];
  account: Account;
  /** Of this server alone. */
  folder: string;
  /** File that gets what it writes to standard output and error. */
  output: string;
}

export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #output: string;
  readonly #ports: number[] = [];

  constructor({ program, args, account, folder, output }: ServerCommand) {
    this.#output = output;
    const log = openSync(output, 'a');
    this.#child = spawn('/bin/sh', ['-c', GUARDED, folder, program, ...args], {
      cwd: folder,
      detached: true,
      env: { PATH: '/usr/bin:/bin', HOME: folder, LC_ALL: 'C' },
      stdio: ['ignore', log, log, 'pipe'],
      ...(process.getuid!() === 0 && { uid: account.uid, gid: account.gid }),
    });
    closeSync(log);
    // The pipe breaks when the group is killed.
    this.#child.stdio[3]!.on('error', () => {});
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Resolves when it greets with `greeting` on all of these ports. Throws when it ends before that. */
  async greets(ports: number[], greeting: string): Promise<void> {
    this.#ports.push(...ports);
    for (const port of ports) {
      while ((await greetingOf(port))?.includes(greeting) !== true) {
        if (this.hasEnded) throw new Error(`the server ended at its start: ${await this.output()}`);
        await wait(10);
      }
    }
  }

  /** Resolves when it takes connections at all of these. Throws when it ends before that. */
  async accepts(...places: NetConnectOpts[]): Promise<void> {
    for (const place of places) {
      while (!(await takesConnection(place))) {
        if (this.hasEnded) throw new Error(`the server ended at its start: ${await this.output()}`);
        await wait(10);
      }
    }
  }

  async output(): Promise<string> {
    return await readFile(this.#output, 'utf8');
  }

  /** As if it hung: the system takes connections for it, and nothing is said. It stands still when this resolves. */
  async freeze(): Promise<void> {
    process.kill(this.pid, 'SIGSTOP');
    // Under load its threads run on for a while.
    while (!(await areThreadsStopped(this.pid))) await wait(2);
  }

  thaw(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  /** With all its children; its ports are free when this resolves. SIGKILL: as if the power failed. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const ended = this.hasEnded ? undefined : once(this.#child, 'exit');
    if (signal === 'SIGTERM' && !this.hasEnded) process.kill(this.pid, signal);
    else this.#killGroup();
    await ended;
    // What the server left behind, and the guard. Who is still dying keeps sockets.
    for (;;) {
      this.#killGroup();
      if (!(await isGroupAlive(this.pid))) break;
      await wait(2);
    }
    for (const port of this.#ports) {
      while ((await greetingOf(port)) !== null) await wait(5);
    }
  }

  #killGroup(): void {
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** Whether a process of the group still runs: one that has ended and that nobody has asked for does not. */
async function isGroupAlive(group: number): Promise<boolean> {
  for (const name of await readdir('/proc')) {
    if (!/^[0-9]+$/.test(name)) continue;
    const [state, , pgrp] = await standingOf(`/proc/${name}`);
    if (Number(pgrp) === group && state !== 'Z' && state !== 'X') return true;
  }
  return false;
}

async function areThreadsStopped(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`);
  const standing = await Promise.all(threads.map((thread) => standingOf(`/proc/${pid}/task/${thread}`)));
  // One that has ended meanwhile has no state.
  return standing.every(([state = '']) => state === 'T' || state === '');
}

/** State, parent, group … of a process or thread; empty where it has ended. */
async function standingOf(folder: string): Promise<string[]> {
  const stat = await readFile(`${folder}/stat`, 'utf8').catch(() => '');
  // pid (name) state parent group …: the name may hold anything.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

async function takesConnection(place: NetConnectOpts): Promise<boolean> {
  const socket = connect(place);
  return await new Promise<boolean>((resolve) => {
    socket.on('connect', () => resolve(true));
    socket.on('error', () => resolve(false));
  }).finally(() => socket.destroy());
}

/** The first line that is said on this port; null: nobody listens there. */
async function greetingOf(port: number): Promise<string | null> {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8');
  return await new Promise<string | null>((resolve) => {
    let heard: string | null = null;
    socket.on('connect', () => (heard = ''));
    socket.on('data', (text: string) => {
      heard += text;
      if (text.includes('\n')) socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(heard));
  });
}
