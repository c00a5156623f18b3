/**
 * Nothing that was verified is sent again. Two sources tell it, both of what really happened: the log of the server
 * says in which order it processed exchanges and verifications, and the message files in the spools' `done` say what
 * was sent (a receiver opens its own).
 *
 *   down, seqs    once the server has processed a verification of update N, no update that it composes after that
 *                 for this requestor has a base below the seq to which N led, and none is a repair
 *   down, states  … and none carries an entry in the state in which that requestor has it already
 *   up            once a branch has processed a receipt, no exchange that it composes after that begins below the
 *                 accepted seq, and none submits everything
 *
 * By mail a verification may overtake an exchange that was composed before it. Then the server answers by what the
 * exchange says, and the watch counts only what the branch had applied when it composed that exchange.
 *
 * A line of the log that a SIGKILL swallowed makes the watch look away for that moment, and never see what is not there:
 * its message file is processed once more after the start and is then told as a repeat.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeAttributes, decodeEntry, type Attributes, type Change, type Update } from '@dirpost/core';
import { loadConfiguration, openAgent } from 'dirpost';
import type { Office } from '../demo/office.ts';
import type { LogLine } from './agent-process.ts';
import type { Network } from './network.ts';

interface Sent {
  head: Update;
  changes: Change[];
}

export interface Watched {
  faults: string[];
  /** Updates with data that were composed after a verification, and looked at. */
  updates: number;
  changes: number;
  submissions: number;
  /** Message files that were processed, of all kinds, at all ends. */
  messages: number;
}

/** `mayOvertake`: message files do not keep their order. */
export async function resentFaults(network: Network, told = network.told, mayOvertake = false): Promise<Watched> {
  const watched: Watched = { faults: [], updates: 0, changes: 0, submissions: 0, messages: 0 };
  const server = told.get(network.hq)!;
  watched.messages += (await doneFiles(network.hq)).length;
  for (const branch of network.branches) {
    const updates = await updatesAt(branch);
    watched.messages += (await doneFiles(branch)).length;
    const known = new Known(updates, mayOvertake ? told.get(branch)! : null);
    watchDown(branch.name, server, updates, known, watched);
    watchUp(branch.name, told.get(branch)!, updates, watched);
  }
  return watched;
}

const doneFolder = (office: Office): string => join(office.data, 'spool', 'done');

async function doneFiles(office: Office): Promise<string[]> {
  return (await readdir(doneFolder(office))).filter((name) => name.endsWith('.dpm'));
}

/** By number. */
async function updatesAt(branch: Office): Promise<Sent[]> {
  const agent = await openAgent(await loadConfiguration(branch.config), { readOnly: true });
  try {
    const { sealer, requestor } = agent.postoffice;
    const found: Sent[] = [];
    for (const name of await doneFiles(branch)) {
      const { payload } = await sealer.open(await readFile(join(doneFolder(branch), name)));
      const head = requestor.codec.head(payload);
      if (head.kind === 'update') found.push({ head, changes: requestor.codec.changes(payload) });
    }
    return found.sort((a, b) => a.head.number - b.head.number);
  } finally {
    await agent.close();
  }
}

function watchDown(name: string, server: readonly LogLine[], updates: Sent[], known: Known, watched: Watched): void {
  const answers = new Map<number, Sent[]>();
  for (const sent of updates) {
    if (sent.head.mode !== 'delta' && sent.head.mode !== 'repair') continue;
    answers.set(sent.head.answers, [...(answers.get(sent.head.answers) ?? []), sent]);
  }
  for (const { msg } of server) {
    const [, verified] = new RegExp(`^verification from ${name}: applied update (\\d+),`).exec(msg) ?? [];
    if (verified !== undefined) known.verified = Math.max(known.verified, Number(verified));
    const [, exchange] = new RegExp(`^exchange (\\d+)(?: part \\d+ of \\d+)? from ${name}: `).exec(msg) ?? [];
    for (const { head, changes } of answers.get(Number(exchange)) ?? []) {
      answers.delete(head.answers);
      const { seq, states } = known.when(head.answers);
      if (seq === 0) continue;
      watched.updates++;
      watched.changes += changes.length;
      const which = `update ${head.number} to ${name}, after it had verified up to seq ${seq},`;
      if (head.mode === 'repair') watched.faults.push(`${which} is a repair`);
      else if (head.base.seq < seq) watched.faults.push(`${which} begins at seq ${head.base.seq}`);
      for (const fault of states.unchangedIn(changes)) watched.faults.push(`${which} ${fault}`);
    }
  }
  for (const left of answers.keys())
    watched.faults.push(`${name} got an answer to exchange ${left}, of which the server does not tell`);
}

/** What the server knows that a branch has, when it answers an exchange. */
class Known {
  /** Number of the newest update of which the server has processed a verification. */
  verified = 0;
  readonly #updates: Sent[];
  /** Number of an exchange → that of the newest update that was applied before it was composed; null: in order. */
  readonly #appliedBefore: Map<number, number> | null;

  constructor(updates: Sent[], branch: readonly LogLine[] | null) {
    this.#updates = updates;
    this.#appliedBefore = branch && appliedBefore(branch);
  }

  when(exchange: number): { seq: number; states: KnownStates } {
    const number = Math.min(this.verified, this.#appliedBefore?.get(exchange) ?? (this.#appliedBefore ? 0 : Infinity));
    const states = new KnownStates(this.#updates);
    states.learnUpTo(number);
    const seqs = this.#updates.filter(({ head }) => head.number <= number).map(({ head }) => head.to.seq);
    return { seq: Math.max(0, ...seqs), states };
  }
}

function appliedBefore(branch: readonly LogLine[]): Map<number, number> {
  const found = new Map<number, number>();
  let applied = 0;
  for (const { msg } of branch) {
    const [, update] = /^update (\d+) .*from \S+: .*(?:applied|nothing new)/.exec(msg) ?? [];
    if (update !== undefined) applied = Math.max(applied, Number(update));
    const [, exchange] = /^exchange (\d+) to \S+: \d+ change/.exec(msg) ?? [];
    if (exchange !== undefined && !found.has(Number(exchange))) found.set(Number(exchange), applied);
  }
  return found;
}

function watchUp(name: string, told: readonly LogLine[], updates: Sent[], watched: Watched): void {
  const accepted = new Map(updates.map(({ head }) => [head.number, head.receipt.accepted.seq]));
  let acceptedSeq = 0;
  for (const line of told) {
    if (/^update \d+ .*from /.test(line.msg) && line['verdict'] !== 'ignored') {
      acceptedSeq = Math.max(acceptedSeq, accepted.get(Number(line['number'])) ?? 0);
    }
    // Of an exchange that was not composed just now, but came back or could not be sent, it is not told.
    if (!/^exchange \d+ to /.test(line.msg) || line['from'] === undefined || acceptedSeq === 0) continue;
    watched.submissions++;
    const { seq } = line['from'] as { seq: number };
    const which = `exchange ${String(line['number'])} of ${name}, after a receipt for seq ${acceptedSeq},`;
    if (line['full'] === true) watched.faults.push(`${which} submits everything`);
    else if (seq < acceptedSeq) watched.faults.push(`${which} begins at seq ${seq}`);
  }
}

/** What a requestor has of the others, by the updates that it verified. */
class KnownStates {
  readonly #updates: Sent[];
  /** Entry id → attribute → its values as one text; null: removed. */
  readonly #entries = new Map<string, Map<string, string> | null>();
  readonly #ids: Map<number, string>;
  #learnt = 0;

  constructor(updates: Sent[]) {
    this.#updates = updates;
    const whole = updates.flatMap(({ changes }) => changes.filter(({ state }) => state === 'whole'));
    this.#ids = new Map(whole.map(({ number, id }) => [number, hex(id!)]));
  }

  learnUpTo(number: number): void {
    for (; this.#learnt < this.#updates.length; this.#learnt++) {
      const { head, changes } = this.#updates[this.#learnt]!;
      if (head.number > number) return;
      for (const change of changes) this.#learn(change);
    }
  }

  /** Changes that change nothing for who has learnt so much. */
  unchangedIn(changes: Change[]): string[] {
    return changes
      .filter((change) => this.#isKnown(change))
      .map((change) => `carries entry ${this.#idOf(change)} unchanged`);
  }

  #learn(change: Change): void {
    const id = this.#idOf(change);
    if (change.state === 'removed') this.#entries.set(id, null);
    else if (change.state === 'whole') this.#entries.set(id, valuesOf(change));
    else this.#entries.set(id, new Map([...(this.#entries.get(id) ?? []), ...valuesOf(change)]));
  }

  #isKnown(change: Change): boolean {
    const has = this.#entries.get(this.#idOf(change));
    if (change.state === 'removed') return has === null;
    return (
      has !== undefined && has !== null && [...valuesOf(change)].every(([name, values]) => has.get(name) === values)
    );
  }

  #idOf({ id, number }: Change): string {
    return id === null ? this.#ids.get(number)! : hex(id);
  }
}

function valuesOf({ state, bytes }: Change): Map<string, string> {
  const attributes: Attributes = state === 'whole' ? decodeEntry(bytes).attributes : decodeAttributes(bytes);
  return new Map([...attributes].map(([name, values]) => [name, values.map(hex).join()]));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
