/**
 * Faults of a configuration, in words and with their place in the file. An administrator mends them all in one go, so
 * nothing here stops at the first.
 */
import { isMap, isScalar, isSeq, type Document, type LineCounter, type Node } from 'yaml';
import type { z } from 'zod';
import { configurationJsonSchema, type JsonSchema } from './schema.ts';

export type FaultPath = (string | number)[];

export interface ConfigurationFault {
  /** From 1. */
  line: number;
  column: number;
  /** As "directories[0].filter"; empty for the file as a whole. */
  path: string;
  /** What is wrong, and with what. */
  message: string;
}

/** A fault that knows where it is in the values, not yet where in the file. */
export interface PlacedFault {
  path: FaultPath;
  message: string;
}

/** What the schema complains about, in our words. `values` is what was read from the file. */
export function describeIssues(issues: z.core.$ZodIssue[], values: unknown): PlacedFault[] {
  return issues.flatMap((issue) => describeIssue(issue, values));
}

function describeIssue(issue: z.core.$ZodIssue, values: unknown): PlacedFault[] {
  const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
  const value = valueAt(values, path);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({ path: [...path, key], message: unknownKey(key, path, values) }));
    case 'invalid_key':
      return [{ path, message: `the key ${quote(path.at(-1))} ${issue.issues[0]?.message ?? 'is not allowed'}` }];
    case 'invalid_value': {
      if (value === undefined) return [missing(path, `one of ${issue.values.join(', ')}`)];
      return [
        {
          path,
          message: `${quote(value)} is not allowed; ${suggestValue(typeof value === 'string' ? value : '', issue.values.map(String))}`,
        },
      ];
    }
    case 'invalid_type':
      if (value === undefined) return [missing(path)];
      return [{ path, message: `${quote(value)} ${ownWords(issue.message) ?? `must be ${article(issue.expected)}`}` }];
    case 'invalid_union':
      if (value === undefined) return [missing(path), ...unknownBeside(path, values)];
      return [
        { path, message: ownReason(issue) ?? `${quote(value)} ${issue.message}` },
        ...(issue.discriminator === undefined ? [] : unknownBeside(path, values)),
      ];
    case 'too_small':
      return [{ path, message: ownWords(issue.message) ?? `is too small${bound(issue, 'at least', issue.minimum)}` }];
    case 'too_big':
      return [{ path, message: ownWords(issue.message) ?? `is too large${bound(issue, 'at most', issue.maximum)}` }];
    case 'invalid_format':
      return [{ path, message: `${quote(value)} ${issue.message}` }];
    default:
      return [{ path, message: issue.message }];
  }
}

/** Of a number: what is allowed. */
function bound({ origin }: { origin: string }, words: string, limit: number | bigint): string {
  return origin === 'number' || origin === 'int' ? `; ${words} ${limit}` : '';
}

function missing(path: FaultPath, allowed?: string): PlacedFault {
  return { path, message: `is missing${allowed === undefined ? '' : `; give ${allowed}`}` };
}

/** Where one of the choices was meant and says itself what is wrong with it (a template). */
function ownReason(issue: z.core.$ZodIssueInvalidUnion): string | undefined {
  return issue.errors.flat().find(({ code }) => code === 'custom')?.message;
}

/** Zod's own texts begin like this; ours say what it must be. */
function ownWords(message: string): string | undefined {
  return /^(?:Invalid|Too)/.test(message) ? undefined : message;
}

function article(expected: string): string {
  const words: Record<string, string> = {
    string: 'a text',
    int: 'a whole number',
    object: 'a group of settings ("name: value" lines, indented)',
    record: 'a group of settings ("name: value" lines, indented)',
    array: 'a list (lines that begin with "- ")',
    boolean: 'true or false',
  };
  return words[expected] ?? `a ${expected}`;
}

function unknownKey(key: string, path: FaultPath, values: unknown): string {
  let fitting = schemasAt(path);
  const has = (schema: JsonSchema) => schema.properties?.[key] !== undefined;
  // First by type, then by direction.
  for (const choice of choicesOf(fitting)) {
    const chosen = valueAt(values, [...path, choice]);
    const narrowed = fitting.filter((schema) => choiceOf(schema, choice) === chosen);
    if (narrowed.length === 0) continue;
    const elsewhere = new Set(fitting.filter(has).map((schema) => String(choiceOf(schema, choice))));
    if (elsewhere.size > 0 && !narrowed.some(has)) return `is for ${choice}: ${[...elsewhere].join(' or ')} only`;
    fitting = narrowed;
  }
  const known = [...new Set(fitting.flatMap((schema) => Object.keys(schema.properties ?? {})))];
  return `is not a setting that dirpost knows${suggestion(key, known)}`;
}

/** Where it is not known which of several is meant (type, direction), zod looks at nothing else: the slip may be there. */
function unknownBeside(path: FaultPath, values: unknown): PlacedFault[] {
  const parent = path.slice(0, -1);
  const schemas = schemasAt(parent);
  const given = valueAt(values, parent);
  if (schemas.length < 2 || typeof given !== 'object' || given === null || Array.isArray(given)) return [];
  return Object.keys(given)
    .filter((key) => !schemas.some((schema) => schema.properties?.[key] !== undefined))
    .map((key) => ({ path: [...parent, key], message: unknownKey(key, parent, values) }));
}

/** The properties by whose constants the schemas differ (type, direction). */
function choicesOf(schemas: JsonSchema[]): string[] {
  const [first, ...others] = schemas;
  const names = Object.keys(first?.properties ?? {});
  return names.filter((name) => others.some((other) => choiceOf(other, name) !== choiceOf(first, name)));
}

function choiceOf(schema: JsonSchema | undefined, name: string): unknown {
  return schema?.properties?.[name]?.const;
}

/** The schemas of what stands at a path; several where there is a choice. */
function schemasAt(path: FaultPath): JsonSchema[] {
  let found = choices(configurationJsonSchema());
  for (const step of path) {
    found = found.flatMap((schema) => {
      const next = typeof step === 'number' ? schema.items : (schema.properties?.[step] ?? schema.additionalProperties);
      return typeof next === 'object' ? choices(next) : [];
    });
  }
  return found;
}

function choices(schema: JsonSchema): JsonSchema[] {
  const several = schema.oneOf ?? schema.anyOf;
  return several === undefined ? [schema] : several.flatMap(choices);
}

function suggestValue(value: string, allowed: string[]): string {
  const nearest = nearestOf(value, allowed);
  return nearest === undefined ? `must be ${allowed.join(' or ')}` : `did you mean ${nearest}?`;
}

function suggestion(word: string, known: string[]): string {
  const nearest = nearestOf(word, known);
  return nearest === undefined ? `; here are known: ${known.join(', ')}` : `; did you mean ${nearest}?`;
}

function nearestOf(word: string, known: string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= Math.max(1, Math.floor(word.length / 3)) ? best.candidate : undefined;
}

/** Levenshtein, with the exchange of two neighbours as one edit: the commonest slip of all. */
export function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, i) => i)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const above = rows[i - 1]!;
      let cost = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, rows[i - 2]![j - 2]! + 1);
      row.push(cost);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}

export function valueAt(values: unknown, path: FaultPath): unknown {
  let at: unknown = values;
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<string | number, unknown>)[step];
  }
  return at;
}

export function quote(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a group of settings';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}…"` : text;
}

/** Finds the line of a fault: that of the setting, or where it is missing that of what it is missing in. */
export function placeFault(fault: PlacedFault, document: Document, lines: LineCounter): ConfigurationFault {
  const { line, col } = lines.linePos(offsetOf(document.contents, fault.path));
  return { line: Math.max(1, line), column: Math.max(1, col), path: writePath(fault.path), message: fault.message };
}

function offsetOf(root: Node | null, path: FaultPath): number {
  let node: unknown = root;
  let offset = root?.range?.[0] ?? 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => String(isScalar(key) ? key.value : key) === String(step));
      if (pair === undefined) return offset;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      const item = node.items[Number(step)] as Node | undefined;
      if (item === undefined) return offset;
      offset = item.range?.[0] ?? offset;
      node = item;
    } else return offset;
  }
  return offset;
}

export function writePath(path: FaultPath): string {
  return path.map((step, i) => (typeof step === 'number' ? `[${step}]` : i === 0 ? step : `.${step}`)).join('');
}
