/** Times of changes as servers write and search them: Generalized Time (RFC 4517 §3.3.13), in UTC and whole seconds. */
import type { RootDse } from './root-dse.ts';

/** When an entry was made and last changed. */
export function timeAttributes({ kind }: Pick<RootDse, 'kind'>): { created: string; changed: string } {
  // Active Directory computes the others from these, and does not search by them.
  if (kind === 'ad') return { created: 'whenCreated', changed: 'whenChanged' };
  return { created: 'createTimestamp', changed: 'modifyTimestamp' };
}

/** A filter. */
export function changedSince(dse: Pick<RootDse, 'kind'>, seconds: number): string {
  return `(${timeAttributes(dse).changed}>=${inFilter(dse, seconds)})`;
}

/** A filter. */
export function createdSince(dse: Pick<RootDse, 'kind'>, seconds: number): string {
  return `(${timeAttributes(dse).created}>=${inFilter(dse, seconds)})`;
}

/** Active Directory wants the fraction that it writes. */
function inFilter({ kind }: Pick<RootDse, 'kind'>, seconds: number): string {
  const text = generalized(seconds);
  return kind === 'ad' ? text.replace('Z', '.0Z') : text;
}

/** Since 1970. null: it is no time in UTC. */
export function secondsOf(time: string): number | null {
  const found = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:[.,]\d+)?Z$/.exec(time);
  if (found === null) return null;
  const [year, month, day, hour, minute, second = 0] = found.slice(1).map((part) => Number(part ?? 0));
  return Date.UTC(year!, month! - 1, day, hour, minute, second) / 1_000;
}

export function generalized(seconds: number): string {
  return `${new Date(seconds * 1_000).toISOString().replaceAll(/[-:T]|\.\d+Z$/g, '')}Z`;
}
