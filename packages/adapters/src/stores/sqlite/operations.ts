/**
 * All methods of a store transaction, synchronous, on one connection: the same code serves the main thread and the
 * worker thread. One file per group of tables.
 */
import type { StoreTx } from '@dirpost/core';
import { aliasOperations } from './aliases.ts';
import { claimOperations } from './claims.ts';
import type { Connection } from './connection.ts';
import { documentOperations } from './documents.ts';
import { entryOperations } from './entries.ts';
import { linkOperations } from './links.ts';
import { listOperations } from './lists.ts';
import { outgoingOperations } from './outgoing.ts';
import { placedOperations } from './placed.ts';
import { stagingOperations } from './staging.ts';
import { watchedOperations } from './watched.ts';

export type Method = keyof StoreTx;

export type Operations = {
  [M in Method]: (...args: Parameters<StoreTx[M]>) => Awaited<ReturnType<StoreTx[M]>>;
};

export function operations(db: Connection): Operations {
  return {
    ...aliasOperations(db),
    ...claimOperations(db),
    ...documentOperations(db),
    ...entryOperations(db),
    ...linkOperations(db),
    ...listOperations(db),
    ...outgoingOperations(db),
    ...placedOperations(db),
    ...stagingOperations(db),
    ...watchedOperations(db),
  };
}

/** What a method does decides whether a read transaction may call it. */
export const access: Record<Method, 'reads' | 'writes'> = {
  getDocument: 'reads',
  putDocument: 'writes',
  removeDocument: 'writes',
  documentNames: 'reads',
  entriesById: 'reads',
  entriesByNumber: 'reads',
  entriesByPeerNumber: 'reads',
  putEntries: 'writes',
  removeEntries: 'writes',
  entriesSince: 'reads',
  scanEntries: 'reads',
  scanHashes: 'reads',
  editsOf: 'reads',
  scanEdits: 'reads',
  countEdits: 'reads',
  countEntries: 'reads',
  clearPeerNumbers: 'writes',
  clearEntries: 'writes',
  heldEntries: 'reads',
  purgePublished: 'writes',
  listRows: 'reads',
  putListRows: 'writes',
  listSince: 'reads',
  scanList: 'reads',
  scanListHashes: 'reads',
  purgeList: 'writes',
  purgeCollected: 'writes',
  removeList: 'writes',
  clearListIntroduced: 'writes',
  putClaims: 'writes',
  dropClaims: 'writes',
  dropAllClaims: 'writes',
  unsettledClaims: 'reads',
  claimants: 'reads',
  claimsOf: 'reads',
  settleClaims: 'writes',
  removeClaims: 'writes',
  waitingClaims: 'reads',
  countWaitingClaims: 'reads',
  sums: 'reads',
  sum: 'reads',
  putSums: 'writes',
  removeSums: 'writes',
  checkpoint: 'reads',
  putCheckpoint: 'writes',
  dropCheckpoints: 'writes',
  keepCheckpoints: 'writes',
  clearCheckpoints: 'writes',
  putOutgoing: 'writes',
  outgoing: 'reads',
  outgoingPayload: 'reads',
  updateOutgoing: 'writes',
  removeOutgoing: 'writes',
  putPart: 'writes',
  parts: 'reads',
  partPayload: 'reads',
  removeParts: 'writes',
  stageEntries: 'writes',
  stagedEntries: 'reads',
  clearStaged: 'writes',
  replaceStaged: 'writes',
  aliasesByKey: 'reads',
  aliasesById: 'reads',
  putAliases: 'writes',
  removeAliases: 'writes',
  countAliases: 'reads',
  aliasDirectories: 'reads',
  clearAliases: 'writes',
  associationsById: 'reads',
  associationsByDn: 'reads',
  putAssociations: 'writes',
  removeAssociations: 'writes',
  scanAssociations: 'reads',
  clearAssociations: 'writes',
  placedById: 'reads',
  putPlaced: 'writes',
  removePlaced: 'writes',
  scanPlaced: 'reads',
  refusedPlaced: 'reads',
  countPlaced: 'reads',
  refusedDueMs: 'reads',
  clearPlaced: 'writes',
  watchedById: 'reads',
  putWatched: 'writes',
  removeWatched: 'writes',
  clearWatched: 'writes',
  placedByAnchor: 'reads',
  links: 'reads',
  putLinks: 'writes',
  removeLinks: 'writes',
  linksInState: 'reads',
  countLinks: 'reads',
  clearLinks: 'writes',
};

export const methods = Object.keys(access) as Method[];
