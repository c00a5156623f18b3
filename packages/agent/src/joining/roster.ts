/** Who belongs to a directory server: everybody who was invited, has joined, was heard of, or is gone. */
import {
  allRequestors,
  findRequestor,
  listFor,
  type PublishRule,
  type ServerContext,
  type StoreTx,
} from '@dirpost/core';
import type { Configuration } from '../config/load.ts';
import { stateOf } from './invitations.ts';
import type { Joining } from './joining.ts';

export interface RosterLine {
  name: string;
  /**
   * `invited`: not joined yet. `active`: its keys are known. `suspended`: nothing of it is taken. `gone`: it was removed, and
   * entries of it are still there or were.
   */
  state: 'invited' | 'active' | 'suspended' | 'gone';
  /** Of an invitation that is not used: how it stands, and when it ends. */
  invitation: { state: 'open' | 'late' | 'void'; expiresMs: number } | null;
  list: string | null;
  publish: PublishRule;
  /** Where that rule stands; null: there is none, and everything but the mail domains of others is allowed. */
  publishFrom: 'dirpost.yaml' | 'invitation' | null;
  fingerprint: string | null;
  /** As `transports.mail.peers` says, else as joining told it. */
  mail: string | null;
  joinedMs: number | null;
  lastHeardMs: number | null;
  /** Entries of it that the server has. */
  entries: number;
}

/** Ascending by name. The server's own requestor is not among them. */
export async function roster(
  tx: StoreTx,
  server: ServerContext,
  { peers, invitations }: Pick<Joining, 'peers' | 'invitations'>,
  { requestors, transports }: Pick<Configuration, 'requestors' | 'transports'>,
  nowMs: number,
): Promise<RosterLine[]> {
  const heard = (await allRequestors(tx)).map(({ name }) => name);
  const known = peers.all().map(({ name }) => name);
  const invited = invitations.all().filter(({ used }) => used === null);
  const names = new Set([...heard, ...known, ...invited.map(({ name }) => name)]);
  names.delete(server.name);
  const lines: RosterLine[] = [];
  for (const name of [...names].sort()) {
    const record = await findRequestor(tx, name);
    const peer = peers.get(name);
    const open = invited.find((one) => one.name === name);
    const configured = requestors[name]?.publish;
    const given = peer === undefined ? open?.publish : peer.publish;
    const withoutKeys = open === undefined ? 'gone' : 'invited';
    lines.push({
      name,
      state: peer === undefined ? withoutKeys : peer.suspended === true ? 'suspended' : 'active',
      invitation:
        open === undefined
          ? null
          : { state: stateOf(open, nowMs) as 'open' | 'late' | 'void', expiresMs: open.expiresMs },
      list: listFor(server.lists, name)?.definition.name ?? null,
      publish: configured ?? given ?? {},
      publishFrom: configured !== undefined ? 'dirpost.yaml' : given !== undefined ? 'invitation' : null,
      fingerprint: peer?.fingerprint ?? null,
      mail: transports.mail?.peers[name] ?? peer?.mail ?? null,
      joinedMs: peer?.joinedAtMs ?? null,
      lastHeardMs: record?.lastHeardMs ?? null,
      entries: (record?.live ?? 0) - (await tx.countEdits('collected', name)),
    });
  }
  return lines;
}
