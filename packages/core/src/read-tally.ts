/** What a read has given so far (T0): who is there, who is gone, who is refused. What differs is staged in the store. */
import { type HeldCounts, noneHeld } from './holds.ts';
import { IdSet } from './id-set.ts';
import type { Refused } from './read-base.ts';
import type { AmbiguousMatch } from './recognise.ts';
import type { ReadCertificate } from './seams/directory.ts';

const MAX_REMARKS = 100;

export interface ReadSummary {
  directory: string;
  certificate: ReadCertificate;
  /** Entries that are published now, out of this read. */
  published: number;
  leftOut: number;
  added: number;
  changed: number;
  removed: number;
  refusedCount: number;
  /** At most MAX_REMARKS of them. */
  refused: Refused[];
  /** What the read would have done beyond the limits: published entries stay as they are. */
  held: HeldCounts;
  /** DNs of group members that are no entries of this postoffice. */
  unknownMembers: number;
  /** Entries that came under other keys and are the same as before (recognise.ts). */
  recognised: number;
  /** Values by which somebody could have been recognised, if not several had them. */
  ambiguousCount: number;
  /** At most MAX_REMARKS of them. */
  ambiguous: AmbiguousMatch[];
}

export class ReadTally {
  /** Entries that the read gave. */
  readonly seen = new IdSet();
  /** Those that it said are as they were … */
  readonly present = new IdSet();
  /** … or gone, or are left out now; and the numbers of their rows in what is published. */
  readonly gone = new IdSet();
  readonly goneRows = new Set<number>();
  /** Ids in hexadecimal: they stay as they were. */
  readonly refused = new Map<string, Refused>();
  /** Who stands, without his key, under a DN that is published. */
  readonly keyless = new IdSet();
  /** Something is refused that the next read can only judge if it sees everybody. */
  needsAll = false;
  /** How many entries may be anybody's. */
  unclear = 0;
  readonly summary: ReadSummary;

  constructor(directory: string) {
    this.summary = emptySummary(directory);
  }

  isThere(id: Uint8Array): boolean {
    return this.seen.has(id) || this.present.has(id) || this.keyless.has(id);
  }

  /** `id`: the entry stays as it was. */
  refuse(dn: string, code: string, reason: string, id: Uint8Array | null = null): null {
    if (id === null || code === 'duplicate-id') this.needsAll = true;
    if (id !== null) this.refused.set(Buffer.from(id).toString('hex'), { dn, code, reason });
    this.tellRefused({ dn, code, reason });
    return null;
  }

  tellRefused(refused: Refused): void {
    this.summary.refusedCount++;
    if (this.summary.refused.length < MAX_REMARKS) this.summary.refused.push(refused);
  }

  tellAmbiguous(match: AmbiguousMatch): void {
    this.summary.ambiguousCount++;
    if (this.summary.ambiguous.length < MAX_REMARKS) this.summary.ambiguous.push(match);
  }

  /** Nothing new is known of it. */
  isAsItWas(id: Uint8Array, extent: 'whole' | 'delta'): boolean {
    return !this.seen.has(id) && (extent === 'delta' ? !this.gone.has(id) : this.present.has(id));
  }
}

function emptySummary(directory: string): ReadSummary {
  const certificate: ReadCertificate = { complete: false, remarks: [], entries: 0, source: '', bookmark: null };
  const read = { published: 0, leftOut: 0, added: 0, changed: 0, removed: 0, refusedCount: 0, unknownMembers: 0 };
  const counts = { ...read, recognised: 0, ambiguousCount: 0 };
  return { directory, certificate, ...counts, held: noneHeld(), refused: [], ambiguous: [] };
}
