/**
 * What the schema cannot say of one place alone. Works on the values as they stand in the file, also where the schema
 * complained about some of them, so that an administrator is told everything at once.
 */
import { ATTRIBUTE_PATTERN, resolvePath } from './fields.ts';
import { type FaultPath, type PlacedFault, quote, valueAt } from './faults.ts';
import { defaultLimits, isEditable } from '@dirpost/core';
import { checkLdap } from './ldap-checks.ts';
import { checkMail } from './mail-checks.ts';
import { parseDuration, parseSize } from './units.ts';

/** `folder`: of the configuration file, for comparing paths. */
export function crossCheck(values: unknown, folder: string): PlacedFault[] {
  return [
    ...checkRole(values),
    ...checkDirectories(values, folder),
    ...checkLdap(values),
    ...checkLists(values),
    ...checkReceivers(values),
    ...checkLimits(values),
    ...checkSchedule(values),
    ...checkMail(values),
  ];
}

const serverOnly = ['lists', 'unique', 'postQuantum', 'requestors', 'retention'];

function checkRole(values: unknown): PlacedFault[] {
  const faults: PlacedFault[] = [];
  const role = textAt(values, ['role']);
  const own = textAt(values, ['postoffice']);
  const server = textAt(values, ['server']);
  if (role === 'requestor') {
    if (valueAt(values, ['server']) === undefined) {
      faults.push({
        path: ['server'],
        message: 'is missing: a requestor needs the name of its directory server postoffice',
      });
    } else if (server !== undefined && server === own) {
      faults.push({
        path: ['server'],
        message: `${quote(server)} is this postoffice itself; give role: server, or the name of the server`,
      });
    }
    for (const name of serverOnly) {
      if (valueAt(values, [name]) !== undefined) faults.push({ path: [name], message: 'is for role: server only' });
    }
    if (Object.keys(asRecord(valueAt(values, ['transports']))).length === 0) {
      faults.push({ path: ['transports'], message: 'is missing: a requestor needs at least one transport' });
    }
  }
  if (role === 'server' && server !== undefined && server !== own) {
    faults.push({
      path: ['server'],
      message: `is for role: requestor only; the server of this network is ${quote(own)}`,
    });
  }
  return faults;
}

function checkDirectories(values: unknown, folder: string): PlacedFault[] {
  const faults = repeatedNames(values, 'directories');
  const directories = recordsAt(values, 'directories').map(({ value, path }) => ({
    path,
    name: textAt(value, ['name']) ?? '?',
    // A CSV file has no tree (its container has a default), a command is not written, and the schema says it of a server.
    hasTree: !['csv', 'command', 'ldap'].includes(textAt(value, ['type']) ?? ''),
    direction: textAt(value, ['direction']),
    file: comparablePath(folder, textAt(value, ['path'])),
    scope: JSON.stringify([textAt(value, ['base']) ?? '', textAt(value, ['filter']) ?? '']),
    dn: textAt(value, ['dn']) ?? 'container',
    container: valueAt(value, ['container']),
  }));
  for (const [i, one] of directories.entries()) {
    if (one.direction === 'subscribe' && one.hasTree && one.dn === 'container' && one.container === undefined) {
      faults.push({
        path: [...one.path, 'container'],
        message: 'is missing: dn: container needs the DN below which entries are written',
      });
    }
    if (one.direction === 'subscribe' && one.dn === 'source' && one.container !== undefined) {
      faults.push({ path: [...one.path, 'container'], message: 'has no meaning with dn: source' });
    }
    for (const other of directories.slice(0, i)) {
      if (one.file === undefined || one.file !== other.file) continue;
      if (one.direction === 'subscribe' || other.direction === 'subscribe') {
        const message = `is the file of ${quote(other.name)} too; a file that dirpost writes has no other use`;
        faults.push({ path: [...one.path, 'path'], message });
      } else if (one.scope === other.scope) {
        const message = `${quote(other.name)} publishes the same entries already; give one of them another base or filter`;
        faults.push({ path: [...one.path, 'path'], message });
      }
    }
  }
  return faults;
}

function checkLists(values: unknown): PlacedFault[] {
  const faults = repeatedNames(values, 'lists');
  const listOf = new Map<string, string>();
  for (const { value, path } of recordsAt(values, 'lists')) {
    const name = textAt(value, ['name']) ?? '?';
    faults.push(...checkEdits(valueAt(value, ['edits']), [...path, 'edits']));
    const receivers = valueAt(value, ['receivers']);
    const wanted = Array.isArray(receivers) ? receivers : [receivers];
    for (const [i, receiver] of wanted.entries()) {
      if (typeof receiver !== 'string') continue;
      const earlier = listOf.get(receiver);
      const who = receiver === '*' ? '"*" stands' : `${quote(receiver)} is a receiver`;
      const message = `${who} in list ${quote(earlier)} already; each requestor follows exactly one list`;
      const place = Array.isArray(receivers) ? [...path, 'receivers', i] : [...path, 'receivers'];
      if (earlier !== undefined) faults.push({ path: place, message });
      else listOf.set(receiver, name);
    }
  }
  return faults;
}

/** What is its owner's alone would stand there in vain. */
function checkEdits(edits: unknown, path: FaultPath): PlacedFault[] {
  if (!Array.isArray(edits)) return [];
  return edits.flatMap((name: unknown, i) =>
    typeof name !== 'string' || name === '*' || !ATTRIBUTE_PATTERN.test(name) || isEditable(name.toLowerCase())
      ? []
      : [{ path: [...path, i], message: `${quote(name)} cannot be edited by others: it is its owner's alone` }],
  );
}

/** Every requestor that is named, and the server's own when it has directories, has a list to follow. */
function checkReceivers(values: unknown): PlacedFault[] {
  if (textAt(values, ['role']) !== 'server') return [];
  const followers = recordsAt(values, 'lists').flatMap(({ value }) => valueAt(value, ['receivers']));
  if (followers.includes('*')) return [];
  const missing = (name: string) => `${quote(name)} follows no list; name it under receivers of one`;
  const named = Object.keys(asRecord(valueAt(values, ['requestors'])));
  const faults = named
    .filter((name) => !followers.includes(name))
    .map((name): PlacedFault => ({ path: ['requestors', name], message: missing(name) }));
  const own = textAt(values, ['postoffice']);
  if (own === undefined || named.includes(own) || followers.includes(own)) return faults;
  if (recordsAt(values, 'directories').length > 0) faults.push({ path: ['lists'], message: missing(own) });
  return faults;
}

function checkLimits(values: unknown): PlacedFault[] {
  const limit = (name: 'maxMessageBytes' | 'maxPartBytes' | 'maxEntryBytes' | 'maxValueBytes') => {
    const given = valueAt(values, ['limits', name]);
    return typeof given === 'number' ? given : (parseSize(String(given)) ?? defaultLimits[name]);
  };
  const order = ['maxMessageBytes', 'maxPartBytes', 'maxEntryBytes', 'maxValueBytes'] as const;
  const faults: PlacedFault[] = [];
  for (const [i, name] of order.entries()) {
    const larger = order[i - 1];
    if (larger === undefined || limit(name) < limit(larger)) continue;
    const at = valueAt(values, ['limits', name]) === undefined ? larger : name;
    faults.push({
      path: ['limits', at],
      message: `${name} (${limit(name)}) must be less than ${larger} (${limit(larger)})`,
    });
  }
  return faults;
}

const scheduleBounds = [
  { name: 'every', least: '1s', most: '366d' },
  { name: 'poll', least: '1s', most: '1d' },
  { name: 'jitter', least: '0s', most: '1d' },
] as const;

function checkSchedule(values: unknown): PlacedFault[] {
  const faults: PlacedFault[] = [];
  for (const { name, least, most } of scheduleBounds) {
    const givenMs = parseDuration(textAt(values, ['schedule', name]) ?? '');
    if (givenMs === undefined || (givenMs >= parseDuration(least)! && givenMs <= parseDuration(most)!)) continue;
    faults.push({ path: ['schedule', name], message: `must be between ${least} and ${most}` });
  }
  if (textAt(values, ['role']) === 'requestor' && valueAt(values, ['schedule', 'T2']) !== undefined) {
    const message = 'is for role: server only; a requestor dispatches at T3';
    faults.push({ path: ['schedule', 'T2'], message });
  }
  const [opens, closes] = (textAt(values, ['schedule', 'window']) ?? '').split('-');
  if (opens !== undefined && opens === closes) {
    faults.push({ path: ['schedule', 'window'], message: 'opens and closes at the same time; leave it out' });
  }
  return faults;
}

function repeatedNames(values: unknown, section: string): PlacedFault[] {
  const seen = new Set<string>();
  const faults: PlacedFault[] = [];
  for (const { value, path } of recordsAt(values, section)) {
    const name = textAt(value, ['name']);
    if (name === undefined) continue;
    if (seen.has(name)) faults.push({ path: [...path, 'name'], message: `${quote(name)} is used twice in ${section}` });
    seen.add(name);
  }
  return faults;
}

function comparablePath(folder: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const full = resolvePath(folder, path);
  return process.platform === 'win32' ? full.toLowerCase() : full;
}

function recordsAt(values: unknown, section: string): { value: Record<string, unknown>; path: FaultPath }[] {
  const found = valueAt(values, [section]);
  if (!Array.isArray(found)) return [];
  return found.map((value, i) => ({ value: asRecord(value), path: [section, i] }));
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function textAt(values: unknown, path: FaultPath): string | undefined {
  const value = valueAt(values, path);
  return typeof value === 'string' ? value : undefined;
}
