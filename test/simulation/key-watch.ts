/**
 * Whom a postoffice must not believe, and what it must not take of announcements; apart from the code under test. What it
 * knows of the truth is whom the administrators suspended, and which keys they know to be stolen.
 *
 * What the recovery key says of a server counts at a branch from when it has heard of it.
 */
import { followStatements, type OpenedMessage, publicSigningKey } from '@dirpost/message';
import type { Joining } from '../../packages/agent/src/joining/joining.ts';
import { goesOnWithOlder } from '../../packages/agent/src/older-keys.ts';
import type { Peer } from '../../packages/agent/src/peers.ts';
import type { KeyWitness } from './key-folder.ts';
import { type Machine, SERVER } from './machine.ts';

interface Theft {
  of: string;
  /** Public signing keys that the thief has. */
  signing: Set<string>;
  /** Of the recovery key's word against them; null: a branch, whose administrator told the server. */
  serial: number | null;
}

/**
 *   restored  one of both has keys from a backup, or knows such of the other
 *   cloned    two of the same name have rolled over each for itself
 */
export type Cause = 'restored' | 'cloned';

export class KeyWatch implements KeyWitness {
  /** At the server, by its administrator's word. */
  readonly suspended = new Set<string>();
  readonly #thefts: Theft[] = [];
  /** Branch → why it and the server may have lost each other: keys that one of both does not have any more, or not yet. */
  readonly #causes = new Map<string, Set<Cause>>();
  /** Machine → other → keys of it in whose place others have come there. */
  readonly #superseded = new WeakMap<Machine, Map<string, Set<string>>>();

  constructor(private readonly violation: (text: string) => void) {}

  stolen(theft: Theft): void {
    this.#thefts.push(theft);
  }

  isStolen(of: string, signing: string): boolean {
    return this.#thefts.some((theft) => theft.of === of && theft.signing.has(signing));
  }

  /** Between that branch and the server. */
  caused(branch: string, cause: Cause): void {
    this.#causes.set(branch, (this.#causes.get(branch) ?? new Set()).add(cause));
  }

  /** It has joined with new keys, and knows those of the server: nothing from before counts. */
  joined(branch: string): void {
    this.#causes.delete(branch);
  }

  /** What only an administrator can mend has to have come from outside: postoffices do not lose each other by themselves. */
  mended(branch: string, how: string): void {
    if ((this.#causes.get(branch)?.size ?? 0) === 0)
      this.violation(`lost each other: ${branch} and the server, by nothing that happened to them; ${how}`);
  }

  /** What the machine knows of that one (null: of all) is from elsewhere now. */
  told(machine: Machine, name: string | null): void {
    if (name === null) this.#superseded.delete(machine);
    else this.#superseded.get(machine)?.delete(name);
  }

  opened(machine: Machine, { envelope: { from }, signedBy: { signing } }: OpenedMessage): void {
    if (machine.name === SERVER && this.suspended.has(from))
      this.violation(`believed: ${machine.label} took a message of ${from}, which is suspended`);
    for (const theft of this.#thefts) {
      if (theft.of !== from || !theft.signing.has(signing)) continue;
      const knows = machine.life?.postoffice.joining?.peers.get(from)?.recoveredSerial ?? 0;
      if (theft.serial === null || knows >= theft.serial)
        this.violation(`believed: ${machine.label} took a message that is signed by stolen keys of ${from}`);
    }
  }

  /** What the postoffice itself changes of what it knows of another; commands write past it. */
  saved(machine: Machine, before: Peer | undefined, after: Peer): void {
    if (before === undefined) return;
    this.#checkReturn(machine, before, after);
    if ((after.recoveredSerial ?? 0) > (before.recoveredSerial ?? 0)) return;
    const fail = (how: string) =>
      this.violation(`announced: ${machine.label} took an announcement of ${after.name} ${how}`);
    const [was, is] = [before.serial ?? 0, after.serial ?? 0];
    // By a key that is newer, as statements show, it is newer whatever its serial.
    const isOlder = before.signing.includes(after.signing[0]!);
    if (isOlder && is < was) fail('backwards');
    if (before.signing.indexOf(after.signing[0]!) > 0) fail('backwards: an older key is the newest');
    if (isOlder && is === was && is > 0 && said(before) !== said(after)) fail('twice');
  }

  /** Also when it was forgotten meanwhile. */
  #checkReturn(machine: Machine, { name, signing: [was] }: Peer, { signing: [is] }: Peer): void {
    if (was === is) return;
    const others = this.#superseded.get(machine) ?? new Map<string, Set<string>>();
    this.#superseded.set(machine, others);
    const superseded = (others.get(name) ?? new Set()).add(was!);
    others.set(name, superseded);
    if (superseded.has(is!))
      this.violation(`announced: ${machine.label} took a key of ${name} again that had been replaced there`);
  }
}

function said({ signing, recipients, moved }: Peer): string {
  return JSON.stringify([signing[0], recipients[0], moved?.http, moved?.mail, moved?.certificate]);
}

/** Whether `name`, with these keys, can make itself believed by somebody who knows `peer` of it. */
export function isProvable(name: string, { keys }: Pick<Joining, 'keys'>, peer: Peer | undefined): boolean {
  if (peer === undefined) return false;
  const statements = (keys.announced?.statements ?? []).map((one) => Buffer.from(one, 'base64'));
  return followStatements(name, peer, statements).signing.includes(publicSigningKey(keys.signing));
}

/** After the quiet everybody knows the present keys of all with whom it has to do, and where they are. */
export async function keyDisagreements(running: readonly Machine[], server: Machine): Promise<string[]> {
  const wrong: string[] = [];
  const hub = server.life?.postoffice.joining;
  if (hub === undefined) return ['the server does not run'];
  for (const machine of running) {
    const joining = machine.life?.postoffice.joining;
    if (machine === server || joining === undefined) continue;
    // A copy that knows that it is one has nothing to say any more, by whatever key.
    if ((await machine.stopped()) !== null) continue;
    for (const [at, one, other, name] of [
      [machine, joining, hub, SERVER],
      [server, hub, joining, machine.name],
    ] as const) {
      const peer = one.peers.get(name);
      const is = publicSigningKey(other.keys.signing);
      if (peer?.signing.includes(is) !== true) wrong.push(`${machine.label}: the key of ${name} is not known`);
      // One that lives on with a key from a backup or copy is known by it until the overlap is over, and that is said.
      else if (peer.signing[0] !== is && !(await at.store.read((tx) => goesOnWithOlder(tx, peer))))
        wrong.push(`${at.label}: nobody is told that ${name} goes on with a key that it has replaced`);
      const { addresses } = other.keys.announced ?? {};
      // What an older key says is not taken: such a server needs its recovery key when the overlap is over.
      if (peer?.signing[0] === is && addresses?.http !== undefined && peer.moved?.http !== addresses.http)
        wrong.push(`${machine.label}: does not know that ${name} has moved`);
    }
  }
  return wrong;
}
