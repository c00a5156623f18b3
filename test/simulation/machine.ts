/**
 * One machine that runs one postoffice: a disk (store, spool) that survives, and a life, which ends in a crash, a restart
 * or a restore. Each life is a real Postoffice object over the same disk.
 */
import { createHash } from 'node:crypto';
import {
  type AmendOutcome,
  type Amendment,
  connectMemoryTransports,
  createMemoryStore,
  type MemoryStore,
} from '@dirpost/adapters';
import {
  applyDefinitions,
  type Codec,
  compileList,
  compileMapping,
  type CookieJar,
  createCookieJar,
  createRequestor,
  createServer,
  type HoldLimits,
  type Limits,
  loadOwn,
  loadServer,
  type MessageFile,
  type OwnEdit,
  type OwnRecord,
  saveServer,
  type ServerContext,
  type StoreTx,
  RecentDeltas,
} from '@dirpost/core';
import { createCodec } from '@dirpost/message';
import { CompleteReads } from '../../packages/agent/src/complete-reads.ts';
import type { CycleEvent } from '../../packages/agent/src/events.ts';
import type { Joining } from '../../packages/agent/src/joining/joining.ts';
import type { OwnWrites, Postoffice } from '../../packages/agent/src/postoffice.ts';
import { Routes } from '../../packages/agent/src/routes.ts';
import { Upkeep } from '../../packages/agent/src/upkeep.ts';
import { SourceDirectory, TargetContent, TargetDirectory } from './directory.ts';
import { Gate } from './gate.ts';
import type { FolderImage, Keyed, KeyFolder, KeySurroundings } from './key-folder.ts';
import { gated, type Letter, type Network, openDoor, SimulatedTransport } from './network.ts';
import { type Definition, listDefinitions, type Office, publishRules } from './organisation.ts';
import type { SeededRandom } from './random.ts';
import { simulatedSealer } from './sealer.ts';
import { SimulatedSpool, SpoolFolder } from './spool.ts';
import { type Committed, SimulatedStore } from './store.ts';

export const SERVER = 'hq';
export const DAY_MS = 24 * 3_600_000;
/** More than sealer.ts adds. */
const SEALING_BYTES = 240;

/** What every machine of a world shares. */
export interface Surroundings {
  network: Network;
  offices: readonly Office[];
  limits: Limits;
  holds: HoldLimits;
  random: SeededRandom;
  nowMs(): number;
  definition(): Definition;
  /** Attributes of which the list of all takes edits. */
  editable: string[];
  /** The directory of its office takes an edit. */
  amend(machine: Machine, amendment: Amendment): AmendOutcome;
  /** The server's own requestor: by the real memory transport, or by the network with its faults. */
  ownLine: 'memory' | 'network';
  lineFails(): boolean;
  /** Largest message file that the network takes to that postoffice now. */
  takes(peer: string): number;
  /** null: it did not, or was known to be. */
  turnsOutTooLarge(file: MessageFile): 'refused' | 'lost' | null;
  writeFails(): boolean;
  diskFull(): boolean;
  tell(machine: Machine, event: CycleEvent): void;
  committed(machine: Machine, what: Committed): Promise<void>;
  mutation: Mutation | null;
  /** Where keys change; null: there are none (sealer.ts). */
  keyed: KeySurroundings | null;
}

/** A rule that is deliberately broken, from outside of the code under test (mutations.test.ts). */
export interface Mutation {
  codec?(codec: Codec, postoffice: string): Codec;
  cookies?(jar: CookieJar): CookieJar;
  store?(tx: StoreTx, postoffice: string): StoreTx;
  postoffice?(postoffice: Postoffice): Postoffice;
  /** Edits that are withdrawn, whatever became of them. */
  withdraws?(edit: OwnEdit): boolean;
  /** Changed in place. */
  joining?(joining: Joining, nowMs: () => number): void;
  /** The key file in that data folder was just rolled over. */
  rolled?(dataFolder: string): void;
}

/** What an administrator keeps of a machine. */
export interface Image {
  store: Uint8Array;
  spool: SpoolFolder;
  damaged: Set<string>;
  keys?: FolderImage | undefined;
}

export interface Life {
  gate: Gate;
  postoffice: Postoffice;
  source: SourceDirectory;
}

export class Machine {
  store: MemoryStore;
  spool = new SpoolFolder();
  /** SHA-256 of damaged files that were collected, so that each can be looked for. */
  damaged = new Set<string>();
  readonly target = new TargetContent();
  life: Life | null = null;
  /** Where keys change. */
  keys: KeyFolder | null = null;

  constructor(
    readonly label: string,
    readonly office: Office,
    readonly around: Surroundings,
    image?: Image,
  ) {
    this.store = createMemoryStore(image?.store);
    if (image !== undefined) {
      this.spool = image.spool.copy();
      this.damaged = new Set(image.damaged);
      this.target.isKnown = false;
    }
  }

  get name(): string {
    return this.office.name;
  }

  image(): Image {
    return {
      store: Uint8Array.from(this.store.serialize()),
      spool: this.spool.copy(),
      damaged: new Set(this.damaged),
      keys: this.keys?.image(),
    };
  }

  async restore(image: Image): Promise<void> {
    this.life = null;
    this.target.isKnown = false;
    await this.store.close();
    this.store = createMemoryStore(image.store);
    this.spool = image.spool.copy();
    this.damaged = new Set(image.damaged);
  }

  /** A new disk. */
  async empty(): Promise<void> {
    await this.restore({ store: createMemoryStore().serialize(), spool: new SpoolFolder(), damaged: new Set() });
  }

  async own(): Promise<OwnRecord> {
    return this.store.read(loadOwn);
  }

  /** Why its postoffice has stopped; null while it runs, and before its first start. */
  async stopped(): Promise<OwnRecord['stopped']> {
    return this.store.read(async (tx) => (await tx.getDocument<OwnRecord>('requestor'))?.stopped ?? null);
  }

  /** Starts the postoffice, if it does not run. */
  async start(): Promise<Life> {
    if (this.life !== null && !this.life.gate.dead) return this.life;
    const gate = new Gate();
    const { keyed } = this.around;
    const life = this.#build(gate, keyed === null ? undefined : await this.keys?.open(this, gate, keyed));
    await prepare(life.postoffice);
    this.life = life;
    return life;
  }

  /** By the name that receive.ts gives it. */
  #spooled({ bytes, damaged }: Letter, transport: string): void {
    const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 32);
    if (damaged) this.damaged.add(`${hash}_${transport}.dpm`);
  }

  #build(gate: Gate, keyed: Keyed | undefined): Life {
    const { around, name, office } = this;
    const { limits, random, mutation } = around;
    const clock = { now: () => around.nowMs() };
    const codec = createCodec(limits, { relays: name === SERVER });
    const workshop = {
      codec: mutation?.codec?.(codec, name) ?? codec,
      clock,
      random: (bytes: number) => random.bytes(bytes),
      limits,
      maxPayloadBytes: (to: string) => Math.min(8 * 1024 * 1024, around.takes(to) - SEALING_BYTES),
    };
    const line = new SimulatedTransport(
      around.network,
      around.network.mailbox(name),
      gate,
      () => around.lineFails(),
      (letter) => this.#spooled(letter, line.name),
      around,
      keyed?.door ?? openDoor,
    );
    const [near, far] = connectMemoryTransports().map((end) => gated(end, around.network, gate));
    const memory = name === SERVER && around.ownLine === 'memory';
    const source = new SourceDirectory(office, gate);
    const target = new TargetDirectory(this.target, gate, () => around.writeFails());
    const wrap = mutation?.store;
    const store = new SimulatedStore(this.store, {
      gate,
      diskFull: () => around.diskFull(),
      committed: (what) => around.committed(this, what),
      wrap: wrap === undefined ? undefined : (tx) => wrap.call(mutation, tx, name),
    });
    const postoffice: Postoffice = {
      name,
      store,
      spool: new SimulatedSpool(this.spool, gate, () => around.nowMs()),
      sealer: keyed?.sealer ?? simulatedSealer(name, new Set(around.offices.map((one) => one.name))),
      ...(keyed !== undefined && { joining: keyed.joining }),
      clock,
      random: workshop.random,
      limits,
      retry: {
        exchangeAfterMs: DAY_MS,
        exchangeAtMostMs: 7 * DAY_MS,
        deliverAfterMs: 60_000,
        deliverAtMostMs: 3_600_000,
      },
      upkeep: new Upkeep({ maxAgeMs: 14 * DAY_MS, maxFiles: 20, everyMs: 0, countsDuplicates: false }),
      routes: new Routes(store, (peer) => (memory && peer === name ? [near!] : [line])),
      inbound: memory ? [far!, line] : [line],
      publishing: [
        {
          directory: source,
          mapping: compileMapping({
            owner: name,
            key: office.keyAttribute,
            space: office.space,
            ...(office.matches && { match: ['uid'] }),
            limits,
          }),
          configuration: 'simulated',
          ...(around.editable.length > 0 && { own: this.#ownWrites(gate) }),
        },
      ],
      completeReads: new CompleteReads(),
      subscribing: [
        {
          directory: target,
          firstWrite: 'allowed',
          options: { name: target.name, dn: 'container', container: 'o=network', publishing: [source.name] },
        },
      ],
      requestor: {
        ...workshop,
        name,
        server: SERVER,
        anchors: office.derivable ? [{ owner: name, space: office.space, attribute: office.keyAttribute }] : [],
        version: '1',
        holds: around.holds,
      },
      server: name === SERVER ? this.#server(workshop) : null,
      tell: (event) => around.tell(this, event),
    };
    return { gate, source, postoffice: mutation?.postoffice?.(postoffice) ?? postoffice };
  }

  #ownWrites(gate: Gate): OwnWrites {
    const { around } = this;
    const amend = (amendment: Amendment) => around.amend(this, amendment);
    const isOdd = around.offices.indexOf(this.office) % 2 === 1;
    return {
      takes: { default: isOdd ? 'editor-wins' : 'owner-wins', attributes: {} },
      sourceOf: (attribute) => ({ attribute }),
      async *amend(amendments) {
        for (const amendment of amendments) {
          gate.pass('directory amend');
          yield amend(amendment);
        }
      },
    };
  }

  #server(workshop: Pick<ServerContext, 'codec' | 'clock' | 'random' | 'limits' | 'maxPayloadBytes'>): ServerContext {
    const { around } = this;
    const cookies = createCookieJar(Buffer.from('from the key file, not from the store'));
    return {
      ...workshop,
      name: SERVER,
      lists: listDefinitions(around.definition(), around.editable).map(compileList),
      rules: publishRules(
        around.definition(),
        around.offices.map((office) => office.name),
      ),
      cookies: around.mutation?.cookies?.(cookies) ?? cookies,
      holds: around.holds,
      unique: ['mail'],
      recent: new RecentDeltas(),
      retentionMs: 60 * DAY_MS,
    };
  }
}

/** As agent.ts does at every start. */
async function prepare({ store, random, server }: Postoffice): Promise<void> {
  await store.transaction(async (tx) => {
    await createRequestor(tx, random);
    if (server === null) return;
    await createServer(tx, random);
    const record = await loadServer(tx);
    await applyDefinitions(tx, server, record);
    await saveServer(tx, record);
  });
}
