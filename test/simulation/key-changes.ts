/**
 * What happens to keys and addresses (`keys`), and what administrators do about it, by the functions that their commands call.
 *
 *   roll     `dirpost keys roll`, where it is not refused; also while messages are in flight
 *   steal    keys are stolen: a server's are replaced by the recovery key, a branch joins anew with others
 *   forge    whoever stole keys sends message files with them
 *   suspend  `dirpost requestor suspend`, or `resume`
 *   move     `dirpost move`
 *   mend     who cannot prove its keys gets the command that helps: the server `keys replace`, a branch joins anew
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createSealer,
  generateRecoveryKey,
  publicKeys,
  publicSigningKey,
  rolledStatement,
  generateKeys,
} from '@dirpost/message';
import { announceWhereDue } from '../../packages/agent/src/announcing.ts';
import type { Joining } from '../../packages/agent/src/joining/joining.ts';
import {
  announceAnew,
  createKeys,
  keyFilePath,
  loadKeys,
  replaceKeys,
  rollKeys,
  wouldBeLost,
} from '../../packages/agent/src/keys.ts';
import { addPeer, exportPeer, loadPeers, parsePeer, savePeer } from '../../packages/agent/src/peers.ts';
import { sendOutgoing } from '../../packages/agent/src/send.ts';
import { type FolderImage, KeyFolder, type KeySurroundings } from './key-folder.ts';
import { isProvable, KeyWatch } from './key-watch.ts';
import { DAY_MS, type Machine, SERVER } from './machine.ts';
import { SeededRandom } from './random.ts';
import type { World } from './world.ts';

const OVERLAPS_MS = [0, DAY_MS / 2, 3 * DAY_MS, 30 * DAY_MS];
const { signal } = new AbortController();

/** Makes a message file with what was stolen. */
type Forger = () => Promise<{ to: string; bytes: Uint8Array }>;

export class KeyChanges implements KeySurroundings {
  readonly witness: KeyWatch;
  readonly hasDoor: boolean;
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #root = mkdtempSync(join(tmpdir(), 'dirpost-simulated-keys-'));
  readonly #recovery = generateRecoveryKey();
  readonly #forgers: Forger[] = [];
  #folders = 0;
  #moves = 0;

  constructor(world: World) {
    this.#world = world;
    this.#random = new SeededRandom(world.options.seed, 3);
    this.hasDoor = this.#random.chance(0.5);
    this.witness = new KeyWatch((text) => world.watch.violation(text));
  }

  serverJoining(): Joining | null {
    const { life } = this.#world.server;
    return life === null || life.gate.dead ? null : (life.postoffice.joining ?? null);
  }

  /** Everybody has keys, and knows those of whom he has to do with. */
  async begin(): Promise<void> {
    const { machines, server } = this.#world;
    for (const machine of machines) {
      machine.keys = new KeyFolder(this.#newPath());
      await createKeys(machine.keys.path, machine === server ? this.#recovery.publicKey : undefined);
    }
    for (const machine of machines.slice(1)) {
      await this.#introduce(machine, server);
      await this.#introduce(server, machine);
    }
  }

  end(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }

  #newPath(): string {
    return join(this.#root, String(++this.#folders));
  }

  /** `dirpost peer export` here, `dirpost peer add --replace` there. */
  async #introduce(machine: Machine, at: Machine): Promise<void> {
    const role = machine.name === SERVER ? 'server' : 'requestor';
    const own = { postoffice: machine.name, role } as const;
    const text = await exportPeer(own, await loadKeys(machine.keys!.path), this.#world.nowMs);
    this.witness.told(at, machine.name);
    await addPeer(at.keys!.path, parsePeer(text, machine.label), { own: at.name, replace: true });
    await at.life?.postoffice.joining?.peers.reload();
  }

  cloned(copy: Machine, machine: Machine): void {
    this.witness.caused(machine.name, 'cloned');
    copy.keys = KeyFolder.of(this.#newPath(), machine.keys!.image());
  }

  /** The folder of keys from the same backup; at once the administrator says again what it does not know. */
  async restored(machine: Machine, image: FolderImage): Promise<void> {
    const { server, nowMs, machines } = this.#world;
    await machine.keys!.restore(image, machine === server, this.#random.chance(0.5), nowMs);
    this.witness.told(machine, null);
    for (const { name } of machines)
      if (machine === server || name === machine.name) this.witness.caused(name, 'restored');
    const own = await loadKeys(machine.keys!.path);
    const isStolen = this.witness.isStolen(machine.name, publicSigningKey(own.signing));
    if (machine !== server) {
      if (isStolen) await this.#joinAnew(machine);
      return;
    }
    if (isStolen) await this.#replaceServerKeys();
    for (const [name, peer] of await loadPeers(machine.keys!.path, nowMs)) {
      if (peer.signing.some((key) => this.witness.isStolen(name, key)))
        await this.#joinAnew(machines.find((one) => one.name === name)!);
      await this.#setSuspended(name, this.witness.suspended.has(name));
    }
  }

  async roll(machine: Machine): Promise<void> {
    const { name } = machine;
    if ((await machine.stopped()) !== null) return;
    const path = machine.keys!.path;
    const keys = await loadKeys(path);
    const peers = await loadPeers(path, this.#world.nowMs);
    const isUnderWay = keys.announced !== undefined && peers.get(SERVER)?.heard !== keys.announced.serial;
    if (name === SERVER ? wouldBeLost(keys, peers.values()).length > 0 : isUnderWay) return;
    await rollKeys(path, { name, overlapMs: this.#random.pick(OVERLAPS_MS), nowMs: this.#world.nowMs });
    this.#world.around.mutation?.rolled?.(path);
    this.#world.count('keys rolled');
    this.#world.say(`--- ${machine.label} rolls its keys over`);
    await this.#tellOthers(machine);
  }

  async move(): Promise<void> {
    const { server, nowMs } = this.#world;
    const addresses = { http: `https://hq.example/${++this.#moves}` };
    await announceAnew(server.keys!.path, { addresses }, nowMs);
    this.#world.count('moves');
    this.#world.say(`--- ${server.label} moves to ${addresses.http}`);
    await this.#tellOthers(server);
  }

  /** As the commands do after they have changed the key file. */
  async #tellOthers(machine: Machine): Promise<void> {
    await this.#world.act(machine, async () => {
      const { postoffice } = await machine.start();
      await postoffice.joining!.reloadKeys();
      await announceWhereDue(postoffice);
      await sendOutgoing(postoffice, signal);
    });
  }

  async steal(machine: Machine): Promise<void> {
    // A copy of a postoffice would have to be told apart from the thief.
    if (this.#world.machines.filter(({ name }) => name === machine.name).length > 1) return;
    this.#world.count('keys stolen');
    this.#world.say(`--- the keys of ${machine.label} are stolen`);
    const stolen = await this.#theft(machine);
    if (machine === this.#world.server) {
      await this.#replaceServerKeys();
      const serial = (await loadKeys(machine.keys!.path)).announced!.serial;
      this.witness.stolen({ of: machine.name, signing: stolen, serial });
    } else {
      this.witness.stolen({ of: machine.name, signing: stolen, serial: null });
      await this.#joinAnew(machine);
    }
  }

  /** Public signing keys that the thief has from now on; he sends what the postoffice sent before. */
  async #theft(machine: Machine): Promise<Set<string>> {
    const { name, around } = machine;
    const path = machine.keys!.path;
    const keys = await loadKeys(path);
    const others = await loadPeers(path, this.#world.nowMs);
    const to = name === SERVER ? this.#random.pick([...others.keys()]) : SERVER;
    const sent = await machine.store.read(async (tx) => {
      const message = (await tx.outgoing({ to })).at(-1);
      return message === undefined ? undefined : await tx.outgoingPayload(message.id);
    });
    const payload = sent ?? Buffer.from('nothing was sent');
    const next = await generateKeys();
    const serial = Math.max(this.#world.nowMs, keys.announced?.serial ?? 0) + 1;
    const rolled = rolledStatement({ serial, name, signing: publicSigningKey(next.signing) }, keys);
    for (const [own, statements] of [
      [keys, []],
      [next, [rolled]],
    ] as const) {
      // A thief minds no suspension.
      const peers = (peer: string) => ({ ...others.get(peer)!, suspended: false });
      const sealer = createSealer({
        name,
        keys: own,
        peers,
        statementsFor: () => [...statements],
        limits: around.limits,
      });
      this.#forgers.push(async () => {
        const id = this.#random.bytes(16).toString('hex');
        const createdMs = this.#world.nowMs;
        return { to, bytes: await sealer.seal({ id, from: name, to, forIncarnation: null, createdMs }, payload) };
      });
    }
    const older = keys.older?.signing ?? null;
    const all = [keys.signing, next.signing, ...(older === null ? [] : [older])];
    return new Set(all.map(publicSigningKey));
  }

  async forge(): Promise<void> {
    if (this.#forgers.length === 0) return;
    const { to, bytes } = await this.#random.pick(this.#forgers)();
    this.#world.count('forged');
    this.#world.say(`--- a message file with stolen keys is on its way to ${to}`);
    this.#world.network.inFlight.push({ to, bytes, damaged: false });
  }

  /** Only branches; who is suspended may come back. */
  async suspend({ name }: Machine): Promise<void> {
    if (name === SERVER) return;
    const suspended = !this.witness.suspended.has(name);
    if (suspended) this.witness.suspended.add(name);
    else this.witness.suspended.delete(name);
    this.#world.count(suspended ? 'suspended' : 'resumed');
    this.#world.say(`--- ${name} is ${suspended ? 'suspended' : 'resumed'}`);
    await this.#setSuspended(name, suspended);
  }

  async #setSuspended(name: string, suspended: boolean): Promise<void> {
    const { server, nowMs } = this.#world;
    const peer = (await loadPeers(server.keys!.path, nowMs)).get(name);
    if (peer === undefined || (peer.suspended === true) === suspended) return;
    const { suspended: _, ...rest } = peer;
    await savePeer(server.keys!.path, suspended ? { ...rest, suspended } : rest);
    await server.life?.postoffice.joining?.peers.reload();
  }

  async mend(): Promise<void> {
    const { server, machines, quiet, nowMs } = this.#world;
    if (quiet) this.witness.suspended.clear();
    for (const name of (await loadPeers(server.keys!.path, nowMs)).keys())
      await this.#setSuspended(name, this.witness.suspended.has(name));
    const names = [...new Set(machines.slice(1).map(({ name }) => name))];
    for (const name of names) await this.#mendBranch(machines.filter((machine) => machine.name === name));
    const lost = [];
    for (const machine of machines.slice(1)) if (await this.#isLockedOut(server, [machine])) lost.push(machine.name);
    for (const name of lost) this.witness.mended(name, 'the keys of the server are replaced');
    if (lost.length > 0) await this.#replaceServerKeys();
  }

  async #mendBranch(copies: Machine[]): Promise<void> {
    const { machines, quiet, server } = this.#world;
    const { name } = copies[0]!;
    if (copies.length > 1) this.witness.caused(name, 'cloned');
    const locked = [];
    for (const machine of copies)
      if ((await this.#isLockedOut(machine, [server])) || (await this.#areBlind(machine, server))) locked.push(machine);
    if (locked.length < copies.length) {
      // One whose keys nobody takes any more is never told that it is an old copy: it is switched off by hand.
      for (const machine of quiet ? locked : []) {
        this.#world.say(`--- ${machine.label} is switched off: nobody takes its keys`);
        this.witness.mended(name, 'it is switched off');
        machines.splice(machines.indexOf(machine), 1);
        await machine.store.close();
      }
    } else {
      this.witness.mended(name, 'it joins anew');
      await this.#joinAnew(locked[0]!);
    }
  }

  /** Not by what is on its way, nor by statements: some of these will never believe it again. */
  async #isLockedOut(machine: Machine, at: readonly Machine[]): Promise<boolean> {
    const keys = await loadKeys(machine.keys!.path);
    for (const other of at) {
      const peer = (await loadPeers(other.keys!.path, this.#world.nowMs)).get(machine.name);
      if (!isProvable(machine.name, { keys }, peer)) return true;
    }
    return false;
  }

  /** Neither has a key for which the other seals: both have others since, and destroyed those before. */
  async #areBlind(machine: Machine, server: Machine): Promise<boolean> {
    return !(await this.#reads(machine, server)) && !(await this.#reads(server, machine));
  }

  async #reads(reader: Machine, sender: Machine): Promise<boolean> {
    const keys = await loadKeys(reader.keys!.path);
    const peers = await loadPeers(sender.keys!.path, this.#world.nowMs);
    const sealedFor = peers.get(reader.name)?.recipients ?? [];
    for (const identity of keys.identities) {
      const { recipient } = await publicKeys({ signing: keys.signing, identities: [identity] });
      if (sealedFor.includes(recipient)) return true;
    }
    return false;
  }

  async #replaceServerKeys(): Promise<void> {
    const { server, nowMs } = this.#world;
    this.#world.count('server keys replaced');
    this.#world.say(`--- ${server.label}: keys replace`);
    const overlapMs = this.#random.pick(OVERLAPS_MS);
    await replaceKeys(server.keys!.path, this.#recovery, { name: SERVER, overlapMs, nowMs });
    await this.#tellOthers(server);
  }

  /** With other keys, as in an empty folder: what was signed for those before lets nobody in. */
  async #joinAnew(machine: Machine): Promise<void> {
    const path = machine.keys!.path;
    rmSync(keyFilePath(path));
    await createKeys(path);
    await machine.life?.postoffice.joining?.reloadKeys();
    this.witness.joined(machine.name);
    this.#world.count('joined anew');
    this.#world.say(`--- ${machine.label} joins anew`);
    await this.#introduce(machine, this.#world.server);
    await this.#introduce(this.#world.server, machine);
  }
}
