/** Whole LDAP messages (RFC 4511 §4.1.1, §5.1) out of the octets of a line, which cuts them anywhere. */
import { DirpostError } from '@dirpost/core';
import { BerError, peekElement } from './ber.ts';
import { type Response, responseIn } from './responses.ts';

const SMALLEST_MESSAGE = 7;
/** A SEQUENCE. */
const MESSAGE_TAG = 0x30;

/** Of an entry with very many or very large values; or what only looks like LDAP. */
class MessageTooLarge extends BerError {
  override readonly name = 'MessageTooLarge';

  constructor(bytes: number, mostBytes: number) {
    super(`a message of ${bytes} octets, and at most ${mostBytes} are taken`);
  }
}

/** Why the line cannot be used any more. */
export function notTaken(server: string, cause: BerError): DirpostError {
  const isTooLarge = cause instanceof MessageTooLarge;
  const what = isTooLarge ? 'an entry that is too large, or what is not LDAP' : 'what is not LDAP';
  const hint = isTooLarge
    ? 'Leave the entry out by the filter, or leave out the attribute that is so large (`ask`); or raise `limits: { maxEntryBytes }`.'
    : 'Does an LDAP server listen at that port, and is it ldap or ldaps?';
  return new DirpostError('directory-failed', `${server} sent ${what}: ${cause.message}.`, {
    retry: 'later',
    hint,
    cause,
  });
}

export class Framing {
  readonly #maxMessageBytes: number;
  #chunks: Buffer[] = [];
  #have = 0;
  #need = SMALLEST_MESSAGE;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Calls `each` for each message that is there as a whole; `octets` are not copied. Throws BerError, and what `each` throws. */
  take(chunk: Buffer, each: (octets: Buffer, response: Response, bytes: number) => void): void {
    this.#chunks.push(chunk);
    this.#have += chunk.length;
    if (this.#have < this.#need) return;
    const octets = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#have);
    const rest = octets.subarray(this.#messagesIn(octets, each));
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#have = rest.length;
  }

  /** Forgets what has begun. */
  reset(): void {
    this.#chunks = [];
    this.#have = 0;
    this.#need = SMALLEST_MESSAGE;
  }

  /** Where the first message begins that is not there as a whole. */
  #messagesIn(octets: Buffer, each: (octets: Buffer, response: Response, bytes: number) => void): number {
    this.#need = SMALLEST_MESSAGE;
    for (let at = 0; ; ) {
      const message = peekElement(octets, at);
      if (message === null) return at;
      // At once: the length that another protocol seems to tell may never come together.
      if (message.tag !== MESSAGE_TAG) throw new BerError('no LDAP message');
      const bytes = message.end - at;
      if (bytes > this.#maxMessageBytes) throw new MessageTooLarge(bytes, this.#maxMessageBytes);
      if (message.end > octets.length) {
        this.#need = bytes;
        return at;
      }
      each(octets, responseIn(octets, message), bytes);
      at = message.end;
    }
  }
}
