/** What an LDIF file (RFC 2849) holds, as values, and the errors of reading one. */
import { type Attributes, DirpostError, type ErrorCode } from '@dirpost/core';

export interface ContentRecord {
  kind: 'content';
  dn: string;
  /** Names in lower case. Values are views of the chunk that they were read from: copy what is kept for long. */
  attributes: Attributes;
  /** Of the `dn:` line, from 1; 0 for a record that was not read. */
  line: number;
}

export interface Control {
  oid: string;
  critical: boolean;
  value?: Uint8Array;
}

interface ChangeBase {
  dn: string;
  controls: Control[];
  line: number;
}

export interface AddRecord extends ChangeBase {
  kind: 'add';
  attributes: Attributes;
}

export interface DeleteRecord extends ChangeBase {
  kind: 'delete';
}

export interface Modification {
  operation: 'add' | 'delete' | 'replace' | 'increment';
  /** Attribute description in lower case. */
  attribute: string;
  values: Uint8Array[];
}

export interface ModifyRecord extends ChangeBase {
  kind: 'modify';
  modifications: Modification[];
}

/** `changetype: modrdn` or `moddn`. */
export interface RenameRecord extends ChangeBase {
  kind: 'rename';
  newRdn: string;
  deleteOldRdn: boolean;
  newSuperior?: string;
}

export type ChangeRecord = AddRecord | DeleteRecord | ModifyRecord | RenameRecord;

/** What ldapsearch writes after the entries when it is not told to leave it out (-LLL): the result of the search. */
export interface SearchResultRecord {
  kind: 'search-result';
  /** LDAP result code; anything but 0 means that entries may be missing. */
  code: number;
  text: string;
  line: number;
}

/** What ldapsearch writes for a part of the tree that another server holds. */
export interface SearchReferenceRecord {
  kind: 'search-reference';
  urls: string[];
  line: number;
}

export type LdifRecord = ContentRecord | ChangeRecord | SearchResultRecord | SearchReferenceRecord;

/** Where in which file a reader is: for messages. */
export interface LdifPlace {
  source: string | undefined;
  line: number;
}

/** `reason` is a sentence without its full stop. */
export function ldifError(
  place: LdifPlace,
  reason: string,
  details: { code?: ErrorCode; hint?: string; cause?: unknown } = {},
): DirpostError {
  const { code = 'ldif-syntax', hint, cause } = details;
  const at = place.source === undefined ? `line ${place.line}` : `${place.source}, line ${place.line}`;
  return new DirpostError(code, `${at}: ${reason}.`, {
    retry: 'operator',
    ...(hint === undefined ? {} : { hint }),
    context: { line: place.line, reason, ...(place.source === undefined ? {} : { source: place.source }) },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Octets of a file as they are shown in a message: short, and nothing that could drive a terminal. */
export function shown(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, 60))
    .toString('latin1')
    .replace(/[^ -~]/g, '?');
  return JSON.stringify(`${text}${bytes.length > 60 ? '…' : ''}`);
}
