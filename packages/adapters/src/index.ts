/** @dirpost/adapters: every third-party driver, and what touches files and lines. */
export { type CommandDirectoryOptions, CommandDirectory } from './directories/command/directory.ts';
export { type CsvDirectoryOptions, CsvDirectory } from './directories/csv/directory.ts';
export { type CsvEncoding, csvEncodings } from './directories/csv/encoding-names.ts';
export { foldColumn } from './directories/csv/header.ts';
export type { CsvColumn } from './directories/csv/write-file.ts';
export type { Amendment, AmendOutcome, AttributeAmendment } from './directories/ldap/amend.ts';
export { LdapDirectory, type Shaping } from './directories/ldap/directory.ts';
export type { LdapFacts } from './directories/ldap/facts.ts';
export type { EntryQuestion } from './directories/ldap/entry-rights.ts';
export { isNeverWritten, isNeverWrittenToOthers } from './directories/ldap/never-written.ts';
export type * from './directories/ldap/options.ts';
export type { PreviewedChange } from './directories/ldap/preview.ts';
export { type LdifDirectoryOptions, LdifDirectory } from './directories/ldif/directory.ts';
export { displayName, isKnownAttribute } from './ldif/attribute-names.ts';
export { differences } from './ldif/difference.ts';
export { folderUrlReader } from './ldif/file-urls.ts';
export { type LdifParseOptions, LdifParser, parseLdif, parseLdifBatches } from './ldif/parse.ts';
export type * from './ldif/records.ts';
export {
  formatLdif,
  type LdifWriteOptions,
  type WritableRecord,
  writeLdif,
} from './ldif/write.ts';
export * from './durable-file.ts';
export { readLocalFile, statLocalFile, writeLocalFile } from './local-file.ts';
export { parseCsv } from './table.ts';
export * from './transports/folder.ts';
export { checkServerUrl } from './transports/http/addresses.ts';
export * from './transports/http/client.ts';
export type { HttpClientTimes } from './transports/http/line.ts';
export type { RefusalReason } from './transports/http/refusal.ts';
export * from './transports/http/server.ts';
export { type Profile, profileOf } from './transports/mail/profiles.ts';
export { formatArmour, parseArmour } from './transports/mail/armour.ts';
export type * from './transports/mail/options.ts';
export { isOpenToOthers } from './secret-rights.ts';
export { readSecret, secretFilesOf } from './transports/mail/secret.ts';
export type { SmtpContext } from './transports/mail/smtp-failures.ts';
export { type MailDependencies, type MailFacts, MailTransport } from './transports/mail/transport.ts';
export * from './transports/memory.ts';
export { backUpStore, checkStoreFile } from './stores/sqlite/backup.ts';
export { requireUsable } from './stores/sqlite/errors.ts';
export * from './stores/sqlite/lock.ts';
export { createMemoryStore, type MemoryStore } from './stores/sqlite/memory.ts';
export { openSqliteStore, SqliteStore, type SqliteStoreOptions } from './stores/sqlite/store.ts';
