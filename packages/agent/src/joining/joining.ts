/**
 * Whom this postoffice believes, and whether it is itself believed yet: what the cycle needs of joining, kept up to date
 * while commands change the files beside a running agent.
 */
import { watch } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, PublishRule, PublishRules, Store } from '@dirpost/core';
import type { PeerKeys, PrivateKeys } from '@dirpost/message';
import type { Configuration } from '../config/load.ts';
import { keyFilePath, loadKeys, takeInPlace } from '../keys.ts';
import { Peers } from '../peers.ts';
import { saveKnown } from '../save-known.ts';
import { loadEnrolment } from './enrolment-record.ts';
import { FolderChanges } from './folder-changes.ts';
import { Invitations } from './invitations.ts';

const LOOK_AGAIN_AFTER_MS = 1_000;
const MAX_APPLICANTS = 100;

/** Keys of one who is not let in, and the mail address that he told. */
export type Applicant = PeerKeys & { mail?: string };

export class Joining {
  /** Id of the invitation by which this postoffice is joining; null before and after. */
  enrolling: string | null = null;
  /** Addresses of the server in the own configuration. */
  configured: { http?: string; mail?: string } = {};
  /** Keys of those that were told that their invitation is late or used: they may collect that answer. */
  readonly applicants = new Map<string, Applicant>();
  #lookedMs = Date.now();

  readonly #keyChanges: FolderChanges;

  private constructor(
    readonly dataFolder: string,
    /** The same object for ever. */
    readonly keys: PrivateKeys,
    readonly peers: Peers,
    readonly invitations: Invitations,
  ) {
    this.#keyChanges = new FolderChanges(keyFilePath(dataFolder));
    this.#keyChanges.note();
  }

  /** Throws DirpostError where a file of a peer or an invitation is damaged. */
  static async open(dataFolder: string, keys: PrivateKeys, store: Store, clock?: Clock): Promise<Joining> {
    const peers = await Peers.load(dataFolder, clock);
    const joining = new Joining(dataFolder, keys, peers, await Invitations.load(dataFolder));
    const enrolment = await store.read(loadEnrolment);
    joining.enrolling = enrolment?.state === 'waiting' ? enrolment.invitation : null;
    return joining;
  }

  /** Looks at the files again where it is a while ago, or `now`. */
  async refresh(now = false): Promise<void> {
    const sinceMs = Date.now() - this.#lookedMs;
    if (!now && sinceMs >= 0 && sinceMs < LOOK_AGAIN_AFTER_MS) return;
    this.#lookedMs = Date.now();
    await Promise.all([this.peers.refresh(), this.invitations.refresh()]);
    if (this.#keyChanges.happened()) await this.reloadKeys();
  }

  /** A command has written them. */
  async reloadKeys(): Promise<void> {
    this.#keyChanges.note();
    takeInPlace(this.keys, await loadKeys(this.dataFolder));
  }

  /** Whether that peer has said that it knows what was announced last. */
  isKnownTo(peer: string): boolean {
    const { announced } = this.keys;
    return announced === undefined || this.peers.get(peer)?.heard === announced.serial;
  }

  /**
   * It may know less than it said, being restored from before: what was announced is to be proven and told again. False
   * where there is nothing to tell, or it was not believed to know before.
   */
  async doubt(peer: string): Promise<boolean> {
    const known = this.peers.get(peer);
    if (known?.heard === undefined) return false;
    const { heard, ...rest } = known;
    await saveKnown(this.peers, known, rest);
    return heard === this.keys.announced?.serial;
  }

  /** For the header of what is sealed for that peer. */
  statementsFor(peer: string): Uint8Array[] {
    if (this.isKnownTo(peer)) return [];
    return this.keys.announced!.statements.map((one) => Buffer.from(one, 'base64'));
  }

  noteApplicant(name: string, keys: Applicant): void {
    this.applicants.delete(name);
    this.applicants.set(name, keys);
    if (this.applicants.size > MAX_APPLICANTS) this.applicants.delete(this.applicants.keys().next().value!);
  }
}

/** Mail addresses of the others, as joining told them; null: none is known. */
export function toldMail({ peers, applicants }: Pick<Joining, 'peers' | 'applicants'>, name: string): string | null {
  const peer = peers.get(name);
  if (peer?.moved?.mail !== undefined) return peer.moved.mail;
  return (peer === undefined ? applicants.get(name)?.mail : peer.mail) ?? null;
}

/**
 * What each requestor may publish: as dirpost.yaml says, else as was set when it was invited. The same object for ever, with
 * the content of the moment.
 */
export function livePublishRules(configured: Configuration['requestors'], peers: Peers): PublishRules {
  const rules = new Map<string, PublishRule>();
  peers.whenChanged((now) => {
    rules.clear();
    for (const { name, publish } of now.all()) if (publish !== undefined) rules.set(name, publish);
    for (const [name, { publish }] of Object.entries(configured)) rules.set(name, publish);
  });
  return rules;
}

/** For an agent that runs: sees at once what `invite` and `requestor` change. Ends with the signal. */
export async function watchJoining(dataFolder: string, joining: Joining, signal: AbortSignal): Promise<void> {
  for (const name of ['peers', 'invitations']) {
    const folder = join(dataFolder, name);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const watcher = watch(folder, { persistent: false }, () => void joining.refresh(true).catch(() => {}));
    // Then it is seen when the next message comes.
    watcher.on('error', () => watcher.close());
    signal.addEventListener('abort', () => watcher.close(), { once: true });
  }
}
