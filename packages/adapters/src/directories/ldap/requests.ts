/** LDAP requests as octets (RFC 4511 §4). Values are octets, never guessed to be text. */
import { parseFilter } from '@dirpost/core';
import { writeFilterOctets } from './filter-octets.ts';
import { MessageWriter } from './message-writer.ts';

export interface LdapControl {
  /** Object identifier. */
  type: string;
  critical?: boolean;
  value?: Buffer;
}

export type Scope = 'base' | 'one' | 'sub';

export interface SearchRequest {
  base: string;
  scope: Scope;
  /** RFC 4515. */
  filter: string;
  attributes: string[];
  /** 0: no limit of the client's. */
  sizeLimit?: number;
  /** Names of attributes only. */
  typesOnly?: boolean;
}

export type ModifyKind = 'add' | 'delete' | 'replace' | 'increment';

export interface Modification {
  kind: ModifyKind;
  attribute: string;
  values: Uint8Array[];
}

export type Operation =
  | { type: 'simple-bind'; dn: string; password: string }
  | { type: 'sasl-bind'; mechanism: string; credentials: Buffer | null }
  | { type: 'add'; dn: string; attributes: Iterable<[name: string, values: Uint8Array[]]> }
  | { type: 'modify'; dn: string; changes: Modification[] }
  | { type: 'delete'; dn: string }
  | { type: 'rename'; dn: string; rdn: string; keepOldRdn: boolean; superior: string | null }
  | { type: 'compare'; dn: string; attribute: string; value: Uint8Array }
  | { type: 'extended'; name: string; value?: Buffer };

const MODIFY_KINDS: Record<ModifyKind, number> = { add: 0, delete: 1, replace: 2, increment: 3 };
const SCOPES: Record<Scope, number> = { base: 0, one: 1, sub: 2 };
const OCTET_STRING = 0x04;
const SET = 0x31;

export function encodeOperation(id: number, operation: Operation, controls: LdapControl[] = []): Buffer {
  return encodeMessage(id, controls, (writer) => writeOperation(writer, operation));
}

/** Throws DirpostError `filter-syntax`. */
export function encodeSearch(id: number, request: SearchRequest, controls: LdapControl[] = []): Buffer {
  const { base, scope, filter, attributes, sizeLimit = 0, typesOnly = false } = request;
  const parsed = parseFilter(filter);
  return encodeMessage(id, controls, (writer) => {
    writer.startSequence(0x63);
    writer.writeString(base);
    writer.writeEnumeration(SCOPES[scope]);
    // neverDerefAliases: an alias is an entry like another.
    writer.writeEnumeration(0);
    writer.writeInt(sizeLimit);
    writer.writeInt(0);
    writer.writeBoolean(typesOnly);
    writeFilterOctets(writer, parsed);
    writer.startSequence();
    for (const name of attributes) writer.writeString(name);
    writer.endSequence();
    writer.endSequence();
  });
}

/** RFC 4511 §4.11; there is no answer. */
export function encodeAbandon(id: number, abandoned: number): Buffer {
  return encodeMessage(id, [], (writer) => writer.writeInt(abandoned, 0x50));
}

/** RFC 4511 §4.3; there is no answer. */
export function encodeUnbind(id: number): Buffer {
  return encodeMessage(id, [], (writer) => writer.writeBuffer(Buffer.alloc(0), 0x42));
}

/** A message is written in one go: nobody comes between. */
const writer = new MessageWriter();

function encodeMessage(id: number, controls: LdapControl[], write: (writer: MessageWriter) => void): Buffer {
  writer.reset();
  writer.startSequence();
  writer.writeInt(id);
  write(writer);
  if (controls.length > 0) writeControls(writer, controls);
  writer.endSequence();
  return writer.take();
}

function writeControls(writer: MessageWriter, controls: LdapControl[]): void {
  writer.startSequence(0xa0);
  for (const { type, critical = false, value } of controls) {
    writer.startSequence();
    writer.writeString(type);
    // RFC 4511 §5.1: what has its default value is left out.
    if (critical) writer.writeBoolean(true);
    if (value !== undefined) writer.writeBuffer(value, OCTET_STRING);
    writer.endSequence();
  }
  writer.endSequence();
}

function writeOperation(writer: MessageWriter, operation: Operation): void {
  switch (operation.type) {
    case 'simple-bind':
    case 'sasl-bind':
      return writeBind(writer, operation);
    case 'add':
      writer.startSequence(0x68);
      writer.writeString(operation.dn);
      writer.startSequence();
      for (const [name, values] of operation.attributes) writeAttribute(writer, name, values);
      writer.endSequence();
      return writer.endSequence();
    case 'modify':
      writer.startSequence(0x66);
      writer.writeString(operation.dn);
      writer.startSequence();
      for (const { kind, attribute, values } of operation.changes) {
        writer.startSequence();
        writer.writeEnumeration(MODIFY_KINDS[kind]);
        writeAttribute(writer, attribute, values);
        writer.endSequence();
      }
      writer.endSequence();
      return writer.endSequence();
    case 'delete':
      return writer.writeString(operation.dn, 0x4a);
    case 'rename':
      writer.startSequence(0x6c);
      writer.writeString(operation.dn);
      writer.writeString(operation.rdn);
      writer.writeBoolean(!operation.keepOldRdn);
      if (operation.superior !== null) writer.writeString(operation.superior, 0x80);
      return writer.endSequence();
    case 'compare':
      writer.startSequence(0x6e);
      writer.writeString(operation.dn);
      writer.startSequence();
      writer.writeString(operation.attribute);
      writer.writeBuffer(operation.value, OCTET_STRING);
      writer.endSequence();
      return writer.endSequence();
    case 'extended':
      writer.startSequence(0x77);
      writer.writeString(operation.name, 0x80);
      if (operation.value !== undefined) writer.writeBuffer(operation.value, 0x81);
      return writer.endSequence();
  }
}

function writeBind(writer: MessageWriter, operation: Extract<Operation, { type: 'simple-bind' | 'sasl-bind' }>): void {
  writer.startSequence(0x60);
  writer.writeInt(3);
  if (operation.type === 'simple-bind') {
    writer.writeString(operation.dn);
    writer.writeString(operation.password, 0x80);
  } else {
    writer.writeString('');
    writer.startSequence(0xa3);
    writer.writeString(operation.mechanism);
    if (operation.credentials !== null) writer.writeBuffer(operation.credentials, OCTET_STRING);
    writer.endSequence();
  }
  writer.endSequence();
}

function writeAttribute(writer: MessageWriter, name: string, values: Uint8Array[]): void {
  writer.startSequence();
  writer.writeString(name);
  writer.startSequence(SET);
  for (const value of values) writer.writeBuffer(value, OCTET_STRING);
  writer.endSequence();
  writer.endSequence();
}
