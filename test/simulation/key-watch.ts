/**
 * Whom a postoffice must not believe, and what it must not take of announcements; apart from the code under test. What it
 * knows of the truth is whom the administrators suspended, and which keys they know to be stolen.
 *
 * What the recovery key says of a server counts at a branch from when it has heard of it.
 */
import { followStatements, type OpenedMessage, publicSigningKey } from '@dirpost/message';
import type { Joining } from '../../packages/agent/src/joining/joining.ts';
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

export class KeyWatch implements KeyWitness {
  /** At the server, by its administrator's word. */
  readonly suspended = new Set<string>();
  readonly #thefts: Theft[] = [];

  constructor(private readonly violation: (text: string) => void) {}

  stolen(theft: Theft): void {
    this.#thefts.push(theft);
  }

  isStolen(of: string, signing: string): boolean {
    return this.#thefts.some((theft) => theft.of === of && theft.signing.has(signing));
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
    if (before === undefined || (after.recoveredSerial ?? 0) > (before.recoveredSerial ?? 0)) return;
    const fail = (how: string) =>
      this.violation(`announced: ${machine.label} took an announcement of ${after.name} ${how}`);
    const [was, is] = [before.serial ?? 0, after.serial ?? 0];
    // By a key that is newer, as statements show, it is newer whatever its serial.
    const isOlder = before.signing.includes(after.signing[0]!);
    if (isOlder && is < was) fail('backwards');
    if (before.signing.indexOf(after.signing[0]!) > 0) fail('backwards: an older key is the newest');
    if (isOlder && is === was && is > 0 && said(before) !== said(after)) fail('twice');
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
export function keyDisagreements(running: readonly Machine[], server: Machine): string[] {
  const wrong: string[] = [];
  const hub = server.life?.postoffice.joining;
  if (hub === undefined) return ['the server does not run'];
  for (const machine of running) {
    const joining = machine.life?.postoffice.joining;
    if (machine === server || joining === undefined) continue;
    for (const [one, other, name] of [
      [joining, hub, SERVER],
      [hub, joining, machine.name],
    ] as const) {
      const peer = one.peers.get(name);
      const is = publicSigningKey(other.keys.signing);
      // One that lives on with a key from a backup or copy is known by it until the overlap is over.
      if (peer?.signing.includes(is) !== true) wrong.push(`${machine.label}: the key of ${name} is not known`);
      const { addresses } = other.keys.announced ?? {};
      // What an older key says is not taken: such a server needs its recovery key when the overlap is over.
      if (peer?.signing[0] === is && addresses?.http !== undefined && peer.moved?.http !== addresses.http)
        wrong.push(`${machine.label}: does not know that ${name} has moved`);
    }
  }
  return wrong;
}
