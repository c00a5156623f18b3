/** @dirpost/adapters: every third-party driver, and what touches files and lines. */
export { type LdifDirectoryOptions, LdifDirectory } from './directories/ldif/directory.ts';
export { differences } from './directories/ldif/difference.ts';
export { folderUrlReader } from './directories/ldif/file-urls.ts';
export { type LdifParseOptions, LdifParser, parseLdif, parseLdifBatches } from './directories/ldif/parse.ts';
export type * from './directories/ldif/records.ts';
export {
  formatLdif,
  type LdifWriteOptions,
  type WritableRecord,
  writeLdif,
} from './directories/ldif/write.ts';
export * from './durable-file.ts';
export * from './transports/folder.ts';
export * from './transports/memory.ts';
export * from './stores/sqlite/lock.ts';
export { createMemoryStore, type MemoryStore } from './stores/sqlite/memory.ts';
export { openSqliteStore, SqliteStore, type SqliteStoreOptions } from './stores/sqlite/store.ts';
