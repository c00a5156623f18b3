/** What an agent knows of an LDAP directory from its reads alone: it has to be what stands there. */
import type { LdapDirectory } from '../../packages/adapters/src/directories/ldap/directory.ts';
import { expect } from 'vitest';
import type { ReadCertificate } from '@dirpost/core';
import { textOf } from './ldap-directory.ts';

const never = new AbortController().signal;

export class Mirror {
  /** Anchor in hexadecimal digits → cn. */
  readonly #entries = new Map<string, string>();
  readonly #directory: LdapDirectory;
  readonly #anchor: string;
  bookmark: string | null = null;

  constructor(directory: LdapDirectory, anchor: string) {
    this.#directory = directory;
    this.#anchor = anchor;
  }

  get names(): string[] {
    return [...this.#entries.values()].toSorted();
  }

  /** Anchors in hexadecimal digits. */
  get keys(): string[] {
    return [...this.#entries.keys()];
  }

  /** Reads on, and does what the read says. Throws where an entry is called present that was never given. */
  async read(): Promise<{ given: string[]; certificate: ReadCertificate }> {
    const seen = new Set<string>();
    const given: string[] = [];
    let certificate: ReadCertificate | undefined;
    for await (const batch of this.#directory.read(this.bookmark, never)) {
      if (batch.restart) {
        seen.clear();
        given.length = 0;
      }
      for (const entry of batch.entries) {
        const key = Buffer.from(entry.attributes.get(this.#anchor)![0]!).toString('hex');
        seen.add(key);
        given.push(textOf(entry, 'cn'));
        this.#entries.set(key, textOf(entry, 'cn'));
      }
      for (const anchor of batch.present ?? []) {
        const key = Buffer.from(anchor).toString('hex');
        if (!this.#entries.has(key)) throw new Error(`${key} is called present and was never given`);
        seen.add(key);
      }
      for (const anchor of batch.gone ?? []) this.#entries.delete(Buffer.from(anchor).toString('hex'));
      certificate = batch.certificate;
    }
    if (certificate === undefined) throw new Error('the read ended without a certificate');
    if (certificate.complete && certificate.extent === 'whole') {
      for (const key of this.#entries.keys()) if (!seen.has(key)) this.#entries.delete(key);
    }
    if (certificate.complete) this.bookmark = certificate.bookmark;
    return { given: given.toSorted(), certificate };
  }
}

/** Waits for changes until it is stopped, and counts how often it is woken. */
export class Watcher {
  wakes = 0;
  readonly ended: Promise<boolean | Error>;
  readonly #stop = new AbortController();

  constructor(directory: LdapDirectory) {
    this.ended = directory.watch(() => this.wakes++, this.#stop.signal).catch((error: Error) => error);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    expect(await this.ended).toBe(true);
  }
}

/** Changes something again and again until it wakes: when a server begins to listen cannot be seen. */
export async function untilWoken(watcher: Watcher, change: (i: number) => Promise<void>): Promise<void> {
  const before = watcher.wakes;
  for (let i = 0; watcher.wakes === before; i++) {
    await change(i);
    await expect
      .poll(() => watcher.wakes, { timeout: 1_500, interval: 20 })
      .toBeGreaterThan(before)
      .catch(() => {});
  }
}

/** With `changed` in its delta. */
export function withDelta(bookmark: string | null, changed: Record<string, unknown>): string {
  const written = JSON.parse(bookmark!) as { delta: Record<string, unknown> };
  return JSON.stringify({ ...written, delta: { ...written.delta, ...changed } });
}
