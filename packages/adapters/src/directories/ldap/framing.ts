/** Whole LDAP messages (RFC 4511 §4.1.1, §5.1) out of the octets of a line, which cuts them anywhere. */
import { BerError, peekElement } from './ber.ts';
import { type Response, responseIn } from './responses.ts';

const SMALLEST_MESSAGE = 7;
/** A SEQUENCE. */
const MESSAGE_TAG = 0x30;

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
      if (bytes > this.#maxMessageBytes) throw new BerError(`a message of ${bytes} octets`);
      if (message.end > octets.length) {
        this.#need = bytes;
        return at;
      }
      each(octets, responseIn(octets, message), bytes);
      at = message.end;
    }
  }
}
