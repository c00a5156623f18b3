/**
 * What each office should have, compared with what it has. Apart from the code of dirpost: LDIF is read here by a few
 * lines of its own, digests are added up here, and what is expected follows from the owners' files alone.
 */
import { readFile } from 'node:fs/promises';
import { CONTAINER, type Office } from './office.ts';

/** DN → attribute name in small letters → values, sorted. */
type Entries = Map<string, Map<string, string[]>>;

export async function readLdif(path: string): Promise<Entries> {
  const entries: Entries = new Map();
  const text = (await readFile(path, 'utf8')).replaceAll('\n ', '');
  for (const record of text.split(/\n\n+/)) {
    const attributes = new Map<string, string[]>();
    let dn: string | undefined;
    for (const line of record.split('\n')) {
      const [, name, base64, value = ''] = /^([^:#]+):(:?) *(.*)$/.exec(line) ?? [];
      if (name === undefined || name === 'version') continue;
      const decoded = base64 === ':' ? Buffer.from(value, 'base64').toString('utf8') : value;
      if (name === 'dn') dn = decoded;
      else attributes.set(name.toLowerCase(), [...(attributes.get(name.toLowerCase()) ?? []), decoded].sort());
    }
    if (dn === undefined) continue;
    if (entries.has(dn)) throw new Error(`${path}: ${dn} is there twice`);
    entries.set(dn, attributes);
  }
  return entries;
}

/** Where an entry stands at the others: under the name of its owner. */
function placeAtOthers(dn: string, owner: string): string {
  return `${dn.slice(0, dn.indexOf(','))},ou=${owner},${CONTAINER}`;
}

async function expectedAt(office: Office, all: Office[]): Promise<Entries> {
  const expected: Entries = new Map();
  for (const owner of all.filter((one) => one !== office)) {
    for (const [dn, attributes] of await readLdif(owner.people)) {
      const copy = new Map(attributes);
      copy.delete('entryuuid');
      const members = copy.get('member');
      if (members !== undefined) copy.set('member', members.map((member) => placeAtOthers(member, owner.name)).sort());
      expected.set(placeAtOthers(dn, owner.name), copy);
    }
  }
  return expected;
}

/** What is missing, too much or different in the file that the others' people were written to; empty when all is right. */
export async function contentFaults(office: Office, all: Office[]): Promise<string[]> {
  const found = await readLdif(office.network);
  for (const [dn, attributes] of found) {
    if (attributes.get('objectclass')?.includes('organizationalUnit') === true) found.delete(dn);
  }
  const expected = await expectedAt(office, all);
  const faults: string[] = [];
  for (const [dn, attributes] of expected) {
    const there = found.get(dn);
    if (there === undefined) faults.push(`${office.name} lacks ${dn}`);
    else if (canonical(there) !== canonical(attributes)) faults.push(`${office.name} has another ${dn}`);
  }
  for (const dn of found.keys()) if (!expected.has(dn)) faults.push(`${office.name} has ${dn}, which nobody owns`);
  return faults;
}

function canonical(attributes: Map<string, string[]>): string {
  return JSON.stringify([...attributes].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The parts of `dirpost status --json` that are compared. */
export interface Status {
  postoffice: string;
  own: {
    seq: number;
    digest: string;
    live: number;
    incarnation: string;
    replica: { digest: string; live: number };
    counts: Record<string, number>;
  };
  joining: string | null;
  attention: string[];
  server: {
    seq: number;
    incarnation: string;
    lives: number;
    requestors: {
      name: string;
      acceptedSeq: number;
      ownerDigest: string;
      verifiedSeq: number | null;
      counts: Record<string, number>;
      attention: string[];
    }[];
  } | null;
  corrupt: number;
}

/**
 * The server has of each office what it says that it published, each office has the sum of all others, and the server
 * has been told so. All lists of the demo release everything, so that sums of owners are sums of lists.
 */
export function digestFaults(statuses: Status[]): string[] {
  const server = statuses.find((status) => status.server !== null)?.server;
  if (server === undefined || server === null) return ['no server'];
  const faults: string[] = [];
  for (const { postoffice, own } of statuses) {
    const known = server.requestors.find(({ name }) => name === postoffice);
    if (known?.ownerDigest !== own.digest || known.acceptedSeq !== own.seq) {
      faults.push(
        `the server has ${known?.ownerDigest} of ${postoffice} at seq ${known?.acceptedSeq}, not ${own.digest} at ${own.seq}`,
      );
    }
    const others = statuses.filter((other) => other.postoffice !== postoffice);
    const sum = others.reduce((total, other) => total + BigInt(`0x${other.own.digest}`), 0n) % 2n ** 128n;
    const expected = sum.toString(16).padStart(32, '0');
    if (own.replica.digest !== expected)
      faults.push(`the replica of ${postoffice} has ${own.replica.digest}, not ${expected}`);
    if (known?.verifiedSeq !== server.seq) {
      faults.push(`${postoffice} has verified up to ${known?.verifiedSeq} of ${server.seq}`);
    }
  }
  return faults;
}
