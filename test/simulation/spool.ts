/** The spool in memory: it survives crashes of the postoffice, and is restored together with its store. */
import { strict as assert } from 'node:assert';
import { DirpostError } from '@dirpost/core';
import type { Spool, SpooledFile, SpoolNote, SpoolQueue } from '../../packages/agent/src/spool.ts';
import type { Gate } from './gate.ts';

interface KeptFile {
  bytes: Uint8Array;
  modifiedMs: number;
  /** Order of arrival; clocks jump. */
  order: number;
  note?: SpoolNote;
}

/** What lies on the disk of one machine. */
export class SpoolFolder {
  readonly queues = new Map<SpoolQueue, Map<string, KeptFile>>();
  #order = 0;

  queue(name: SpoolQueue): Map<string, KeptFile> {
    let files = this.queues.get(name);
    if (files === undefined) {
      files = new Map();
      this.queues.set(name, files);
    }
    return files;
  }

  put(queue: SpoolQueue, name: string, bytes: Uint8Array, modifiedMs: number, note?: SpoolNote): void {
    const file = { bytes: Uint8Array.from(bytes), modifiedMs, order: ++this.#order };
    this.queue(queue).set(name, note === undefined ? file : { ...file, note });
  }

  copy(): SpoolFolder {
    const copy = new SpoolFolder();
    for (const [name, files] of this.queues) copy.queues.set(name, new Map(files));
    copy.#order = this.#order;
    return copy;
  }
}

export class SimulatedSpool implements Spool {
  constructor(
    readonly folder: SpoolFolder,
    private readonly gate: Gate,
    private readonly nowMs: () => number,
  ) {}

  async put(queue: SpoolQueue, name: string, bytes: Uint8Array): Promise<void> {
    assert(queue !== 'corrupt');
    this.gate.pass(`spool put ${queue}`);
    this.folder.put(queue, name, bytes, this.nowMs());
    this.gate.pass(`spool put ${queue}, done`);
  }

  async list(queue: SpoolQueue): Promise<SpooledFile[]> {
    this.gate.pass(`spool list ${queue}`);
    return [...this.folder.queue(queue)]
      .sort(([, a], [, b]) => a.order - b.order)
      .map(([name, file]) => ({ name, bytes: file.bytes.length, modifiedMs: file.modifiedMs }));
  }

  async read(queue: SpoolQueue, name: string): Promise<Uint8Array> {
    this.gate.pass(`spool read ${queue}`);
    const file = this.folder.queue(queue).get(name);
    if (file === undefined) throw new DirpostError('file-missing', `There is no ${name} in ${queue}.`);
    return file.bytes;
  }

  async move(from: SpoolQueue, name: string, to: SpoolQueue, note?: SpoolNote): Promise<string> {
    assert((to === 'corrupt') === (note !== undefined));
    this.gate.pass(`spool move ${from} ${to}`);
    const file = this.folder.queue(from).get(name);
    if (file === undefined) throw new DirpostError('file-missing', `There is no ${name} in ${from}.`);
    const free = to === 'corrupt' ? this.#freeName(name) : name;
    this.folder.put(to, free, file.bytes, file.modifiedMs, note);
    this.folder.queue(from).delete(name);
    this.gate.pass(`spool move ${from} ${to}, done`);
    return free;
  }

  #freeName(name: string): string {
    const taken = this.folder.queue('corrupt');
    let free = name;
    for (let copy = 2; taken.has(free); copy++) free = name.replace(/\.dpm$/, `_${copy}.dpm`);
    return free;
  }

  async remove(queue: SpoolQueue, name: string): Promise<void> {
    assert(queue !== 'corrupt');
    this.gate.pass(`spool remove ${queue}`);
    this.folder.queue(queue).delete(name);
  }

  async note(name: string): Promise<SpoolNote | undefined> {
    return this.folder.queue('corrupt').get(name)?.note;
  }
}
