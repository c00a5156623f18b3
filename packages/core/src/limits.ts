/**
 * Everything from outside has a limit (design rule 7). One object, handed to whoever checks; tests and the simulation
 * make it smaller to reach the edges quickly.
 */
export interface Limits {
  /** A sealed message file, bytes. */
  maxMessageBytes: number;
  /** The decoded payload of one part: sum of the canonical bytes of its changes, and the inflated columns, bytes. */
  maxPartBytes: number;
  /** Changes in one part. */
  maxPartChanges: number;
  /** Parts of one exchange or update. */
  maxParts: number;
  /** The plain header of a message file, bytes. */
  maxHeaderBytes: number;
  /** The head of a payload (everything but the changes), bytes. */
  maxHeadBytes: number;
  /** Nesting of msgpack maps and arrays in headers and heads. */
  maxNesting: number;
  /** An entry in canonical bytes. */
  maxEntryBytes: number;
  /** One value of an attribute, bytes. */
  maxValueBytes: number;
  /** Values of one attribute. */
  maxValues: number;
  /** Attributes of one entry. */
  maxAttributes: number;
  /** Refused entries named one by one in a receipt or a verification; more are only counted. */
  maxRefusedNamed: number;
  /** Message files waiting for one peer; above it repeats are no longer answered. */
  maxOutgoing: number;
  /** Checkpoints kept of each stream, newest first: how far back a peer's store may be restored without a full submission. */
  checkpointsKept: number;
  /** Conflict records of directories of both ways, and for how many days those that are settled are kept. */
  maxConflicts: number;
  maxConflictDays: number;
  /** Announcements of a new incarnation that may fail before a node stops (rule 7). */
  maxRollbacksTold: number;
}

export const MIB = 1024 * 1024;

export const defaultLimits: Limits = {
  maxMessageBytes: 16 * MIB,
  maxPartBytes: 8 * MIB,
  maxPartChanges: 65_536,
  maxParts: 4_096,
  maxHeaderBytes: 4_096,
  maxHeadBytes: 256 * 1024,
  maxNesting: 8,
  maxEntryBytes: 4 * MIB,
  maxValueBytes: 2 * MIB,
  maxValues: 100_000,
  maxAttributes: 200,
  maxRefusedNamed: 100,
  maxOutgoing: 1_000,
  checkpointsKept: 1_000,
  maxConflicts: 1_000,
  maxConflictDays: 90,
  maxRollbacksTold: 3,
};
