/**
 * Directories: one that a postoffice publishes, which can fail in every way in which reading fails, and one that it
 * subscribes to the network, which can refuse entries and fail half-way.
 */
import {
  type Attributes,
  type Bookmark,
  type Directory,
  type DirectoryChange,
  type DirectoryEntry,
  DirpostError,
  type ReadBatch,
  type ReadCertificate,
  type WriteOutcome,
} from '@dirpost/core';
import type { Gate } from './gate.ts';
import type { Office } from './organisation.ts';

const BATCH = 3;

/** `partial`: ends early and says so. `silent`: ends early without a certificate. */
export type ReadFault = 'empty' | 'partial' | 'silent' | 'throws' | 'unreachable';
export const readFaults: readonly ReadFault[] = ['empty', 'partial', 'silent', 'throws', 'unreachable'];

const ways = ['delta', 'present', 'delta', 'whole'] as const;

interface Changed {
  entries: DirectoryEntry[];
  bookmark: Bookmark;
  extent: 'whole' | 'delta';
}

export class SourceDirectory implements Directory {
  readonly writes = 'whole';
  readonly name: string;
  fault: ReadFault | null = null;

  constructor(
    private readonly office: Office,
    private readonly gate: Gate,
  ) {
    this.name = `people-${office.name}`;
  }

  async *read(since: Bookmark | null): AsyncIterable<ReadBatch> {
    const { fault } = this;
    const { entries: all, ...named } = this.#changedSince(since);
    const entries = fault === 'empty' ? [] : fault === null ? all : all.slice(0, all.length >> 1);
    if (fault === null) yield { entries: [], present: named.present, gone: named.gone };
    for (let from = 0; from < entries.length; from += BATCH) {
      this.gate.pass('directory read');
      yield { entries: entries.slice(from, from + BATCH) };
    }
    if (fault === 'throws') throw new DirpostError('directory-failed', 'The directory closed the connection.');
    if (fault === 'unreachable') throw new DirpostError('directory-failed', 'Timed out.', { retry: 'later' });
    if (fault === 'silent') return;
    const complete = fault === null;
    const remarks = complete ? [] : ['The answer ended early.'];
    const { bookmark, extent } = named;
    const certificate: ReadCertificate = {
      complete,
      remarks,
      entries: entries.length,
      source: 'simulated',
      bookmark,
      extent,
    };
    yield { entries: [], certificate };
  }

  /** In turn as a delta, by naming who is as he was, and whole. */
  #changedSince(since: Bookmark | null): Required<Pick<ReadBatch, 'present' | 'gone'>> & Changed {
    const { bookmark, snapshot } = this.office.snapshot();
    const before = since === null ? undefined : this.office.snapshotAt(since);
    const way = before === undefined ? 'whole' : ways[Number(bookmark) % ways.length]!;
    const entries = [...snapshot.values()];
    if (before === undefined || way === 'whole')
      return { entries: entries.map(({ entry }) => entry), present: [], gone: [], bookmark, extent: 'whole' };
    const isSame = (key: string) =>
      before.get(key)?.text === snapshot.get(key)?.text && !this.office.wasTouchedSince(since!, key);
    const keys = [...snapshot.keys()];
    const changed = keys.filter((key) => !isSame(key)).map((key) => snapshot.get(key)!.entry);
    const octets = (some: string[]) => some.map((key) => Buffer.from(key));
    if (way === 'present')
      return { entries: changed, present: octets(keys.filter(isSame)), gone: [], bookmark, extent: 'whole' };
    const gone = octets([...before.keys()].filter((key) => !snapshot.has(key)));
    return { entries: changed, present: [], gone, bookmark, extent: 'delta' };
  }

  write(): AsyncIterable<WriteOutcome> {
    throw new DirpostError('wrong-use', 'This directory is only read.');
  }
}

export interface WrittenEntry {
  dn: string;
  attributes: Attributes;
}

/** Outlives the postoffice that writes it. */
export class TargetContent {
  entries = new Map<string, WrittenEntry>();
  /** Ids that this directory refuses. */
  readonly refuses = new Set<string>();
  /** What it refused of what it was given last. */
  refused = new Set<string>();
  /** False since its postoffice has another store, which may believe that something else stands here. */
  isKnown = true;
}

export class TargetDirectory implements Directory {
  readonly writes = 'whole';
  readonly name = 'network';

  constructor(
    readonly content: TargetContent,
    private readonly gate: Gate,
    private readonly fails: () => boolean,
  ) {}

  read(): AsyncIterable<ReadBatch> {
    throw new DirpostError('wrong-use', 'This directory is only written.');
  }

  async *write(changes: AsyncIterable<DirectoryChange>): AsyncIterable<WriteOutcome> {
    const next = new Map<string, WrittenEntry>();
    const refused = new Set<string>();
    const broken = this.fails();
    for await (const { id, dn, attributes } of changes) {
      this.gate.pass('directory write');
      const name = Buffer.from(id).toString('hex');
      if (broken && next.size === 2) throw new DirpostError('directory-failed', 'The directory is full.');
      if (this.content.refuses.has(name)) {
        refused.add(name);
        yield { id, result: 'refused', code: 'constraintViolation', reason: 'simulated' };
        continue;
      }
      next.set(name, { dn, attributes });
      yield { id, result: 'written' };
    }
    this.content.entries = next;
    this.content.refused = refused;
    this.content.isKnown = true;
    this.gate.pass('directory written');
  }
}
