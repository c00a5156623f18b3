/** What a write would do to an LDAP directory, as change records of LDIF: compared with what stands there, and nothing is changed. */
import type { DirectoryChange } from '@dirpost/core';
import type { ChangeRecord } from '../../ldif/records.ts';
import type { LdapOptions } from './options.ts';
import { pipelined } from './pipelined.ts';
import type { Operation } from './requests.ts';
import { readEntry, readRootDse } from './root-dse.ts';
import { readSchema } from './schema.ts';
import type { LdapServers } from './servers.ts';
import { shapeEntry } from './shape.ts';
import { type Draft, EntryWriter } from './write-entry.ts';

const BATCH = 500;

export interface PreviewedChange {
  dn: string;
  /** `nothing`: it stands there as it should. `refused`: without asking; what the server would refuse is not known. */
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
  changes: Iterable<DirectoryChange>,
  signal: AbortSignal,
): AsyncGenerator<PreviewedChange> {
  const session = await servers.open(signal);
  try {
    const dse = await readRootDse(session, signal);
    const schema = await readSchema(session, dse, signal);
    const writer = new EntryWriter({ session, options, schema, signal });
    await writer.requireContainer();
    const look = async (one: DirectoryChange) => ({
      ...(await preview(writer, one)),
      leftOut: one.action === 'put' ? shapeEntry(one, options.target!, schema).leftOut : [],
    });
    let batch: DirectoryChange[] = [];
    for (const change of changes) {
      batch.push(change);
      if (batch.length < BATCH) continue;
      yield* await pipelined(batch, look);
      batch = [];
    }
    yield* await pipelined(batch, look);
  } finally {
    session.close();
  }
}

async function preview(writer: EntryWriter, change: DirectoryChange): Promise<Omit<PreviewedChange, 'leftOut'>> {
  const draft = await writer.draft(change);
  const isNew = draft.outcome === null && draft.operations.some(({ type }) => type === 'add');
  if (!isNew) return shown(draft);
  // A write asks for it only when the server says that something stands there.
  const found = await readEntry(writer.session, change.dn, ['1.1'], { signal: writer.signal });
  if (found === null) return shown(draft);
  if (change.kind === 'container') return { dn: change.dn, action: 'nothing', records: [] };
  return shown(await writer.draft({ ...change, place: { dn: found.dn, anchor: '' } }));
}

function shown({ change, operations, outcome }: Draft): Omit<PreviewedChange, 'leftOut'> {
  const { dn } = change;
  if (outcome?.result === 'refused') {
    const { code = 'refused', reason = '' } = outcome;
    return { dn, action: 'refused', records: [], code, reason };
  }
  const records = outcome === null ? operations.flatMap(recordOf) : [];
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
