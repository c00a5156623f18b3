/** What a write would do to an LDAP directory, as change records of LDIF: compared with what stands there, and nothing is changed. */
import type { DirectoryChange } from '@dirpost/core';
import type { ChangeRecord } from '../../ldif/records.ts';
import { Foreteller, type Refused } from './foretell.ts';
import { isThere } from './group-members.ts';
import type { LdapOptions } from './options.ts';
import { pipelined } from './pipelined.ts';
import type { Operation } from './requests.ts';
import { readRootDse } from './root-dse.ts';
import { readRanges } from './schema-ranges.ts';
import { readSchema } from './schema.ts';
import type { LdapServers } from './servers.ts';
import { shapeEntry } from './shape.ts';
import { type Draft, EntryWriter } from './write-entry.ts';

const BATCH = 500;

export interface PreviewedChange {
  dn: string;
  /** `nothing`: it stands there as it should. `refused`: from here, or by the server (foretell.ts). */
  action: 'add' | 'modify' | 'rename' | 'delete' | 'nothing' | 'refused';
  records: ChangeRecord[];
  /** Attributes that the directory has no place for, or that are never written; in lower case. */
  leftOut: string[];
  /** With `refused`. */
  code?: string;
  reason?: string;
}

/** In the order of `changes`. Throws DirpostError `directory-failed`. */
export async function* previewChanges(
  options: LdapOptions,
  servers: LdapServers,
  changes: DirectoryChange[],
  signal: AbortSignal,
): AsyncGenerator<PreviewedChange> {
  const session = await servers.open(signal);
  try {
    const dse = await readRootDse(session, signal);
    const schema = await readSchema(session, dse, signal);
    const ranges = await readRanges(session, dse, signal);
    const writer = new EntryWriter({ session, options, schema, signal });
    await writer.requireContainer();
    const dns = changes.filter(({ action }) => action === 'put').map(({ dn }) => dn);
    const foreteller = new Foreteller({ session, dse, schema, ranges, signal }, dns);
    for (let from = 0; from < changes.length; from += BATCH) {
      const drafts = await pipelined(changes.slice(from, from + BATCH), (change) => draftOf(writer, change));
      const refusals = await foreteller.foretell(drafts);
      for (const [i, draft] of drafts.entries()) {
        const { change } = draft;
        const { leftOut } = change.action === 'put' ? shapeEntry(change, options.target!, schema) : { leftOut: [] };
        yield { ...shown(draft, refusals[i]!), leftOut };
      }
    }
  } finally {
    session.close();
  }
}

async function draftOf(writer: EntryWriter, change: DirectoryChange): Promise<Draft> {
  const draft = await writer.draft(change);
  const isNew = draft.outcome === null && draft.operations.some(({ type }) => type === 'add');
  if (!isNew) return draft;
  // A write asks for it only when the server says that something stands there.
  if (!(await isThere(writer.session, change.dn, writer.signal))) return draft;
  if (change.kind === 'container') return { ...draft, operations: [] };
  return writer.draft({ ...change, place: { dn: change.dn, anchor: '' } });
}

function shown({ change, operations, outcome }: Draft, foretold: Refused | null): Omit<PreviewedChange, 'leftOut'> {
  const { dn } = change;
  const records = outcome === null ? operations.flatMap(recordOf) : [];
  if (foretold !== null) return { dn, action: 'refused', records: [], ...foretold };
  if (outcome?.result === 'refused') {
    const { code = 'refused', reason = '' } = outcome;
    return { dn, action: 'refused', records: [], code, reason };
  }
  const kinds = new Set(records.map(({ kind }) => kind));
  const action = (['add', 'delete', 'rename', 'modify'] as const).find((kind) => kinds.has(kind)) ?? 'nothing';
  return { dn, action, records };
}

function recordOf(operation: Operation): ChangeRecord[] {
  const base = { controls: [], line: 0 };
  switch (operation.type) {
    case 'add':
      return [{ ...base, kind: 'add', dn: operation.dn, attributes: new Map(operation.attributes) }];
    case 'delete':
      return [{ ...base, kind: 'delete', dn: operation.dn }];
    case 'rename': {
      const { dn, rdn, keepOldRdn, superior } = operation;
      const newSuperior = superior === null ? {} : { newSuperior: superior };
      return [{ ...base, kind: 'rename', dn, newRdn: rdn, deleteOldRdn: !keepOldRdn, ...newSuperior }];
    }
    case 'modify': {
      const modifications = operation.changes.map(({ kind, attribute, values }) => ({
        operation: kind,
        attribute,
        values,
      }));
      return [{ ...base, kind: 'modify', dn: operation.dn, modifications }];
    }
    default:
      return [];
  }
}
