/**
 * T3: requests that may be too large for the server. It does not say so, it cuts the line (OpenLDAP `sockbuf_max_incoming_auth`,
 * 389-DS `nsslapd-maxbersize`, Active Directory `MaxReceiveBuffer`), and would do it each time: nothing behind such an entry would
 * ever be written. So large requests go over a line of their own, one by one; what cuts it twice is refused, and stops no other. But
 * a group with very many members comes in parts then (split-members.ts), each half as large as what was cut; how large that was is
 * remembered for the next ones.
 */
import type { Operation } from './requests.ts';
import type { LdapResult } from './responses.ts';
import { ADMIN_LIMIT_EXCEEDED, SUCCESS } from './results.ts';
import type { Session } from './session.ts';
import { splitMembers } from './split-members.ts';

/** From here on a request counts as large: far below what servers take by default. */
const LARGE_BYTES = 512 * 1024;
const TRIES = 2;
/** No server takes less; what is cut at it has another reason. */
const SMALLEST_PART_BYTES = 16 * 1024;
/** A line that carries less is too slow to wait for: 64 kbit/s. */
const SLOWEST_BYTES_PER_MS = 8;

export function isLarge(operation: Operation): boolean {
  return octetsOf(operation) >= LARGE_BYTES;
}

export interface CarriedResult extends LdapResult {
  /** A part of it took effect before the one that was refused. */
  isPartly?: true;
}

export class LargeRequests {
  readonly #open: () => Promise<Session>;
  readonly #operationMs: number;
  readonly #signal: AbortSignal;
  #session: Session | null = null;
  #last: Promise<unknown> = Promise.resolve();
  /** Octets of the smallest request at which the server cut the line. */
  #cutAt = Infinity;

  /** `open`: another line to the server, logged in. `operationMs`: for the server; to bring a request takes more the larger it is. */
  constructor(open: () => Promise<Session>, operationMs: number, signal: AbortSignal) {
    this.#open = open;
    this.#operationMs = operationMs;
    this.#signal = signal;
  }

  /** `adminLimitExceeded` where the server cuts the line at it. Throws DirpostError `directory-failed`, as where it does not answer. */
  request(operation: Operation): Promise<CarriedResult> {
    const result = this.#last.then(() => this.#carryOrSplit(operation));
    this.#last = result.catch(() => {});
    return result;
  }

  close(): void {
    this.#session?.close();
  }

  async #carryOrSplit(operation: Operation): Promise<CarriedResult> {
    const octets = octetsOf(operation);
    const whole = octets < this.#cutAt ? await this.#carry(operation) : null;
    if (whole !== null) {
      if (whole.code !== ADMIN_LIMIT_EXCEEDED) return whole;
      this.#cutAt = octets;
      if (octets < SMALLEST_PART_BYTES) return whole;
    }
    const parts = splitMembers(operation, Math.min(this.#cutAt, octets) / 2);
    // What cannot come in parts is tried, whatever was cut before.
    if (parts === null) return whole ?? this.#carry(operation);
    for (const [i, part] of parts.entries()) {
      const result = await this.#carryOrSplit(part);
      if (result.code !== SUCCESS) return i > 0 ? { ...result, isPartly: true } : result;
    }
    return { code: SUCCESS, matchedDn: '', message: '', referrals: [], controls: [], value: null };
  }

  async #carry(operation: Operation): Promise<LdapResult> {
    const octets = octetsOf(operation);
    const timeoutMs = this.#operationMs + octets / SLOWEST_BYTES_PER_MS;
    for (let tried = 1; ; tried++) {
      const session = (this.#session ??= await this.#open());
      try {
        return await session.request(operation, { signal: this.#signal, timeoutMs });
      } catch (error) {
        // Slow is not cut; and a server that is gone says so when the next line is opened.
        if (session.ended === null || this.#signal.aborted) throw error;
        this.#session = null;
        if (tried === TRIES) return tooLarge(octets);
      }
    }
  }
}

function tooLarge(octets: number): LdapResult {
  const size = `${(octets / 1_000_000).toFixed(1)} MB`;
  const message = `the server cuts the line at an entry of ${size}: raise its limit on one request (docs/ldap.md), or let its owner make it smaller`;
  return { code: ADMIN_LIMIT_EXCEEDED, matchedDn: '', message, referrals: [], controls: [], value: null };
}

/** Of all values, without what BER adds. */
function octetsOf(operation: Operation): number {
  let octets = 0;
  const add = (values: Uint8Array[]) => {
    for (const value of values) octets += value.length;
  };
  if (operation.type === 'add') for (const [, values] of operation.attributes) add(values);
  if (operation.type === 'modify') for (const { values } of operation.changes) add(values);
  return octets;
}
