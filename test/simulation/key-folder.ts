/**
 * The data folder of one machine, where keys change (`keys`): real keys and files of peers, the real sealer over them, and
 * the door of a server that listens. What is left out: where a server is reached is announced, but no way leads anywhere else.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DirpostError, type Limits, type RequestSigner } from '@dirpost/core';
import { createSealer, type OpenedMessage, type Sealer } from '@dirpost/message';
import { admission } from '../../packages/agent/src/joining/admission.ts';
import { Joining } from '../../packages/agent/src/joining/joining.ts';
import { loadKeys } from '../../packages/agent/src/keys.ts';
import type { Peer } from '../../packages/agent/src/peers.ts';
import { RequestIdentity } from '../../packages/agent/src/request-identity.ts';
import { keepSuspensions } from '../../packages/agent/src/restored-trust.ts';
import type { Gate } from './gate.ts';
import { type Machine, SERVER } from './machine.ts';
import type { Door } from './network.ts';

/** Path in the folder → content. */
export type FolderImage = Map<string, Buffer>;

/** What looks on. */
export interface KeyWitness {
  opened(machine: Machine, message: OpenedMessage): void;
  saved(machine: Machine, before: Peer | undefined, after: Peer): void;
}

export interface Keyed {
  joining: Joining;
  sealer: Sealer;
  door: Door;
}

export interface KeySurroundings {
  witness: KeyWitness;
  /** Of the server, while it runs. */
  serverJoining(): Joining | null;
  /** Transports ask who sends (http), or take everything (mail, folder). */
  hasDoor: boolean;
}

export class KeyFolder {
  constructor(readonly path: string) {
    mkdirSync(path, { recursive: true });
  }

  image(): FolderImage {
    const image: FolderImage = new Map();
    for (const file of readdirSync(this.path, { recursive: true, encoding: 'utf8' }))
      if (file.endsWith('.json')) image.set(file, readFileSync(join(this.path, file)));
    return image;
  }

  /** `compares`: with who was suspended or removed here since, as `dirpost restore` does. */
  async restore(image: FolderImage, isServer: boolean, compares: boolean, nowMs: number): Promise<void> {
    const staged = `${this.path}-staged`;
    put(staged, image);
    if (compares) await keepSuspensions(staged, this.path, isServer, nowMs);
    rmSync(this.path, { recursive: true });
    renameSync(staged, this.path);
  }

  /** A copy of what is in `image`. */
  static of(path: string, image: FolderImage): KeyFolder {
    put(path, image);
    return new KeyFolder(path);
  }

  async open(machine: Machine, gate: Gate, keyed: KeySurroundings): Promise<Keyed> {
    const { name, around } = machine;
    const clock = { now: () => around.nowMs() };
    const joining = await Joining.open(this.path, await loadKeys(this.path), machine.store, clock);
    const { peers } = joining;
    const save = peers.save.bind(peers);
    peers.save = async (peer) => {
      gate.pass('peer save');
      keyed.witness.saved(machine, peers.get(peer.name), peer);
      await save(peer);
      gate.pass('peer save, done');
    };
    around.mutation?.joining?.(joining, clock.now);
    const sealer = createSealer({
      name,
      keys: joining.keys,
      peers: (peer) => peers.get(peer),
      statementsFor: (peer) => joining.statementsFor(peer),
      limits: around.limits,
    });
    const open = sealer.open.bind(sealer);
    sealer.open = async (bytes) => {
      const opened = await open(bytes);
      if (opened.envelope.from !== name) keyed.witness.opened(machine, opened);
      return opened;
    };
    const identity = new RequestIdentity(name, SERVER, joining.keys, joining);
    const isAsked = keyed.hasDoor && name !== SERVER;
    const door: Door = {
      prove: (work) => (isAsked ? identity.prove(work) : work()),
      pass(file) {
        if (isAsked) askAt(keyed.serverJoining(), { name, signer: identity.signer, file, limits: around.limits });
      },
    };
    return { joining, sealer, door };
  }
}

function put(path: string, image: FolderImage): void {
  for (const [file, bytes] of image) {
    mkdirSync(dirname(join(path, file)), { recursive: true });
    writeFileSync(join(path, file), bytes, { mode: 0o600 });
  }
}

interface Visitor {
  name: string;
  signer: RequestSigner;
  /** null: he collects. */
  file: Uint8Array | null;
  limits: Limits;
}

/** As the server's http does: whether the request is his, and then whether the message file is. */
function askAt(joining: Joining | null, { name, signer, file, limits }: Visitor): void {
  if (joining === null) throw refused(503);
  const desk = admission(joining, limits);
  const request = Buffer.from(`request of ${name}`);
  if (!desk.check(name, request, signer.sign(request), signer.statements?.())) throw refused(403);
  if (file === null) return;
  if (desk.admit(file)?.from !== name) throw refused(403);
  if (!desk.authenticate(file)) throw refused(400);
}

function refused(status: number): DirpostError {
  return new DirpostError('transport-failed', `The server answered ${status}.`, {
    retry: 'later',
    context: { status },
  });
}
