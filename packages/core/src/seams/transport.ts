/**
 * What carries a message file: mail, http, folder, or memory for the server's own requestor. A transport may lose,
 * delay, repeat, reorder, truncate or corrupt anything; it must never invent a success.
 */
export interface MessageFile {
  /** Of the message, as it stands in its header: 32 hexadecimal digits, also the file's name. */
  id: string;
  from: string;
  to: string;
  bytes: Uint8Array;
  /** For transports whose files a person may see on their way (mail). */
  about?: MessageSummary;
}

/** What may be said in the open of a sealed message. */
export interface MessageSummary {
  kind: 'exchange' | 'update' | 'verification' | 'enrolment' | 'announcement';
  number: number;
  /** From 0. */
  part: number;
  parts: number;
  /** In all parts; null: not counted. */
  changes: number | null;
}

export interface Transport {
  /** For logs and screens: `folder`, `http`, `mail`, `memory`. */
  readonly name: string;
  /** Largest message file that it takes, bytes. May become smaller while it runs. */
  readonly maxMessageBytes: number;
  /** … where the way to one peer takes less than others. */
  maxMessageBytesTo?(peer: string): number;
  /** Resolved: the next hop has it durably. May be repeated for the same file. Throws DirpostError `transport-failed`. */
  deliver(file: MessageFile, signal: AbortSignal): Promise<void>;
  /**
   * Hands every waiting message file to `spool`, one after another, and removes it remotely only after `spool` resolved
   * to true (the file is durable here); false means that it is for another incarnation, and is left where it is (rule 13).
   * The bytes are untrusted. Resolves to how many were taken.
   */
  collect(spool: (bytes: Uint8Array) => Promise<boolean>, signal: AbortSignal): Promise<number>;
  /** Calls `wake` when something may have arrived, until the signal aborts. Missing where only polling is possible. */
  watch?(wake: () => void, signal: AbortSignal): Promise<void>;
}

/**
 * Signs for a transport that has an authorisation of its own (http): Ed25519 by the signing key of this postoffice, over
 * a hash separated from that of message files.
 */
export interface RequestSigner {
  readonly name: string;
  sign(request: Uint8Array): Uint8Array;
  /** What leads from older keys to the one that signs, where the other side may know only those; they prove themselves. */
  statements?(): Uint8Array[];
}

/** Checks what a RequestSigner made. False also for postoffices that are unknown or suspended. */
export interface RequestChecker {
  check(name: string, request: Uint8Array, signature: Uint8Array, statements?: Uint8Array[]): boolean;
}

/** What a transport that listens may take of a message file, by its beginning alone and by its whole. */
export interface Admission {
  /** By the plain header, of which `start` has at least the first 5,000 octets: who says to have sent it; null: refuse it. */
  admit(start: Uint8Array): { from: string } | null;
  /** By the signature of the whole file: nothing that a stranger made up is ever stored. */
  authenticate(file: Uint8Array): boolean;
}
