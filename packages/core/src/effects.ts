/**
 * What a change does to those who see an entry, as far as limits speak of it (holds.ts; T0, T2, T3): it vanishes, loses
 * all values of an attribute, loses members, gets another DN. Compared on canonical bytes, without decoding.
 */
import { normalizeDn } from './dn.ts';
import { isEdit, isEditAttribute } from './edits.ts';
import { type AttributeSpan, attributesStart, attributeSpans, kindCodes, spanValues } from './entry.ts';
import { DN_ATTRIBUTE, MEMBER_ATTRIBUTE } from './mapping.ts';

export const EFFECTS = ['removals', 'clearedValues', 'lostMembers', 'renames'] as const;
export type Effect = (typeof EFFECTS)[number];

/** Effects as bits: bit n is EFFECTS[n]. */
export type EffectBits = number;
export const ALL_EFFECT_BITS: EffectBits = (1 << EFFECTS.length) - 1;

export interface Measured {
  effects: EffectBits;
  /** Member values; every other effect counts entries. */
  lostMembers: number;
}

export const NO_EFFECT: Measured = { effects: 0, lostMembers: 0 };

export function effectBit(effect: Effect): EffectBits {
  return 1 << EFFECTS.indexOf(effect);
}

export function effectNames(bits: EffectBits): Effect[] {
  return EFFECTS.filter((effect) => (bits & effectBit(effect)) !== 0);
}

const REMOVED: Measured = { effects: effectBit('removals'), lostMembers: 0 };

/**
 * null stands for an entry that is not there: what comes has no effect, what goes is a removal and nothing else. Lost
 * members are not cleared values, nor is a DN that is no longer told. An edit that goes or changes takes nothing from anybody,
 * nor does the mark of one on its target.
 */
export function effectsBetween(before: Uint8Array | null, after: Uint8Array | null): Measured {
  if (before === null || isEdit(before)) return NO_EFFECT;
  if (after === null) return REMOVED;
  let effects = 0;
  let lostMembers = 0;
  for (const [own, other] of pairedSpans(before, after)) {
    if (own.name === MEMBER_ATTRIBUTE) {
      lostMembers = valuesLost(before, own, after, other);
      if (lostMembers > 0) effects |= effectBit('lostMembers');
    } else if (own.name === DN_ATTRIBUTE) {
      if (other === undefined || isAnotherDn(before, own, after, other)) effects |= effectBit('renames');
    } else if (other === undefined && !isEditAttribute(own.name)) {
      effects |= effectBit('clearedValues');
    }
  }
  return effects === 0 ? NO_EFFECT : { effects, lostMembers };
}

/** Attributes that lose all their values between the two, members and the DN apart. */
export function clearedAttributes(before: Uint8Array, after: Uint8Array): string[] {
  const cleared: string[] = [];
  for (const [{ name }, other] of pairedSpans(before, after)) {
    const isOther = name === MEMBER_ATTRIBUTE || name === DN_ATTRIBUTE || isEditAttribute(name);
    if (other === undefined && !isOther) cleared.push(name);
  }
  return cleared;
}

/** Whether a patch may have an effect at all; most only bring other values. */
export function patchMayHaveEffect(patch: Uint8Array): boolean {
  for (const { name, count } of attributeSpans(patch, 0)) {
    if (count === 0 || name === MEMBER_ATTRIBUTE || name === DN_ATTRIBUTE) return true;
  }
  return false;
}

/** Members of a group; 0 for everything else, without a look at its attributes. */
export function membersIn(bytes: Uint8Array | null): number {
  if (bytes === null || bytes[attributesStart(bytes) - 1] !== kindCodes.group) return 0;
  for (const span of attributeSpans(bytes)) if (span.name === MEMBER_ATTRIBUTE) return span.count;
  return 0;
}

/** Each attribute of the one with that of the other, which may lack it. */
function* pairedSpans(
  before: Uint8Array,
  after: Uint8Array,
): Generator<[own: AttributeSpan, other: AttributeSpan | undefined]> {
  const others = attributeSpans(after);
  let other = others.next();
  for (const own of attributeSpans(before)) {
    while (!other.done && other.value.name < own.name) other = others.next();
    yield [own, !other.done && other.value.name === own.name ? other.value : undefined];
  }
}

/** Values are sorted, so one walk along both is enough. */
function valuesLost(
  before: Uint8Array,
  own: AttributeSpan,
  after: Uint8Array,
  other: AttributeSpan | undefined,
): number {
  if (other === undefined) return own.count;
  const kept = spanValues(after, other);
  let next = 0;
  let lost = 0;
  for (const value of spanValues(before, own)) {
    while (next < kept.length && Buffer.compare(kept[next]!, value) < 0) next++;
    if (next === kept.length || Buffer.compare(kept[next]!, value) !== 0) lost++;
  }
  return lost;
}

function isAnotherDn(before: Uint8Array, own: AttributeSpan, after: Uint8Array, other: AttributeSpan): boolean {
  const [was, is] = [dnText(before, own), dnText(after, other)];
  return was !== is && comparable(was) !== comparable(is);
}

function dnText(bytes: Uint8Array, span: AttributeSpan): string {
  const [value] = spanValues(bytes, span);
  return value === undefined ? '' : Buffer.from(value).toString('utf8');
}

/** What is no DN is compared as it stands. */
function comparable(text: string): string {
  try {
    return normalizeDn(text);
  } catch {
    return text;
  }
}
