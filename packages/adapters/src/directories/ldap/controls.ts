/** The values of the controls that are used here, as octets and back: paged results (RFC 2696), content sync (RFC 4533), deleted objects, DirSync and change notification (MS-ADTS). */
import { BerWriter } from 'ldapts';
import { BerError, elementAt, elementsIn, type Element, integerIn, octetsIn } from './ber.ts';
import type { LdapControl } from './requests.ts';
import {
  CHANGE_NOTIFICATION,
  DIR_SYNC,
  PAGED_RESULTS,
  PERSISTENT_SEARCH,
  SHOW_DELETED,
  SYNC_REQUEST,
} from './root-dse.ts';

const OCTET_STRING = 0x04;
const BOOLEAN = 0x01;
const SYNC_STATE = '1.3.6.1.4.1.4203.1.9.1.2';
const SYNC_DONE = '1.3.6.1.4.1.4203.1.9.1.3';
/** Name of the intermediate response (RFC 4533 §2.5). */
export const SYNC_INFO = '1.3.6.1.4.1.4203.1.9.1.4';

export function pagedResults(size: number, cookie: Buffer): LdapControl {
  const value = sequence((writer) => {
    writer.writeInt(size);
    writer.writeBuffer(cookie, OCTET_STRING);
  });
  return { type: PAGED_RESULTS, critical: true, value };
}

/** The cookie for the next page: empty after the last one; null: the server did not page. */
export function nextPage(controls: LdapControl[]): Buffer | null {
  const value = valueOf(controls, PAGED_RESULTS);
  if (value === null) return null;
  const [, cookie] = contentOf(value);
  if (cookie === undefined) throw new BerError('a page without a cookie');
  return octetsIn(value, cookie);
}

export type SyncMode = 'refresh-only' | 'refresh-and-persist';

/** `cookie` null: everything. */
export function syncRequest(mode: SyncMode, cookie: Buffer | null): LdapControl {
  const value = sequence((writer) => {
    writer.writeEnumeration(mode === 'refresh-only' ? 1 : 3);
    if (cookie !== null) writer.writeBuffer(cookie, OCTET_STRING);
  });
  return { type: SYNC_REQUEST, critical: true, value };
}

export type SyncState = 'present' | 'add' | 'modify' | 'delete';
const states: SyncState[] = ['present', 'add', 'modify', 'delete'];

/** RFC 4533 §2.3, of an entry. `uuid`: 16 octets; null: the entry carries none. */
export function syncStateOf(controls: LdapControl[]): { state: SyncState; uuid: Buffer; cookie: Buffer | null } | null {
  const value = valueOf(controls, SYNC_STATE);
  if (value === null) return null;
  const [state, uuid, cookie] = contentOf(value);
  const name = state && states[integerIn(value, state)];
  if (name === undefined || uuid === undefined) throw new BerError('a sync state that is none');
  return { state: name, uuid: octetsIn(value, uuid), cookie: cookie ? octetsIn(value, cookie) : null };
}

/** RFC 4533 §2.4, at the end of a refresh. `deletes`: who was not named stays. Else who was not named is gone. */
export function syncDoneOf(controls: LdapControl[]): { cookie: Buffer | null; deletes: boolean } | null {
  const value = valueOf(controls, SYNC_DONE);
  return value === null ? null : { deletes: false, ...cookieAndFlag(value, contentOf(value)) };
}

export type SyncInfo =
  | { kind: 'cookie'; cookie: Buffer | null }
  /** The end of a phase: of deletes, or of entries that are present. */
  | { kind: 'refresh-delete' | 'refresh-present'; cookie: Buffer | null; isDone: boolean }
  | { kind: 'ids'; cookie: Buffer | null; deletes: boolean; uuids: Buffer[] };

/** RFC 4533 §2.5; null: of a kind that is not known. */
export function syncInfoOf(value: Buffer): SyncInfo | null {
  const outer = elementAt(value, 0, value.length);
  if (outer.tag === 0x80) return { kind: 'cookie', cookie: octetsIn(value, outer) };
  const parts = [...elementsIn(value, outer)];
  const { cookie, deletes } = { deletes: null, ...cookieAndFlag(value, parts) };
  if (outer.tag === 0xa1) return { kind: 'refresh-delete', cookie, isDone: deletes ?? true };
  if (outer.tag === 0xa2) return { kind: 'refresh-present', cookie, isDone: deletes ?? true };
  if (outer.tag !== 0xa3) return null;
  const set = parts.find(({ tag }) => tag === 0x31);
  const uuids = set === undefined ? [] : [...elementsIn(value, set)].map((one) => octetsIn(value, one));
  return { kind: 'ids', cookie, deletes: deletes ?? false, uuids };
}

export const showDeleted: LdapControl = { type: SHOW_DELETED, critical: true };
/** MS-ADTS 3.1.1.3.4.1.9: the search never ends, and gives each entry that changes. */
export const changeNotification: LdapControl = { type: CHANGE_NOTIFICATION, critical: true };

/** draft-ietf-ldapext-psearch-03 §3: the same, of changes of every kind, and without what is there at the beginning. */
export function persistentSearch(): LdapControl {
  const value = sequence((writer) => {
    // add, delete, modify, modDN
    writer.writeInt(1 | 2 | 4 | 8);
    writer.writeBoolean(true);
    writer.writeBoolean(false);
  });
  return { type: PERSISTENT_SEARCH, critical: true, value };
}

/** Of a long attribute only the values that came or went (MS-ADTS 3.1.1.3.4.1.3, LDAP_DIRSYNC_INCREMENTAL_VALUES). */
const INCREMENTAL_VALUES = 0x80000000;
/** Bytes of one answer; the server takes less if it wants. */
const DIR_SYNC_BYTES = 1_000_000;

/** `cookie` empty: from the beginning. */
export function dirSync(cookie: Buffer): LdapControl {
  const value = sequence((writer) => {
    writer.writeInt(INCREMENTAL_VALUES);
    writer.writeInt(DIR_SYNC_BYTES);
    writer.writeBuffer(cookie, OCTET_STRING);
  });
  return { type: DIR_SYNC, critical: true, value };
}

/** null: the server did not do it. */
export function dirSyncOf(controls: LdapControl[]): { isMore: boolean; cookie: Buffer } | null {
  const value = valueOf(controls, DIR_SYNC);
  if (value === null) return null;
  const [more, , cookie] = contentOf(value);
  if (more === undefined || cookie === undefined) throw new BerError('a DirSync answer without a cookie');
  return { isMore: integerIn(value, more) !== 0, cookie: octetsIn(value, cookie) };
}

function cookieAndFlag(value: Buffer, parts: Element[]): { cookie: Buffer | null; deletes?: boolean } {
  const cookie = parts.find(({ tag }) => tag === OCTET_STRING);
  const flag = parts.find(({ tag }) => tag === BOOLEAN);
  return {
    cookie: cookie === undefined ? null : octetsIn(value, cookie),
    ...(flag !== undefined && { deletes: value[flag.start] !== 0 }),
  };
}

/** `6ba7b810-9dad-11d1-80b4-00c04fd430c8` (RFC 4530 §2.1), as the attribute entryUUID has it, of 16 octets. */
export function uuidText(octets: Uint8Array): string {
  const hex = Buffer.from(octets).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

function valueOf(controls: LdapControl[], type: string): Buffer | null {
  return controls.find((control) => control.type === type)?.value ?? null;
}

function contentOf(value: Buffer): Element[] {
  return [...elementsIn(value, elementAt(value, 0, value.length))];
}

function sequence(write: (writer: BerWriter) => void): Buffer {
  const writer = new BerWriter();
  writer.startSequence();
  write(writer);
  writer.endSequence();
  return writer.buffer;
}
