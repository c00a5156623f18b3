/** @dirpost/message: bytes ⇄ message. Encode, compress, seal, sign, open, inspect; usable alone. */
export { type Envelope, looksLikeMessage } from './header.ts';
export { type Inspection, inspect } from './inspect.ts';
export * from './keys.ts';
export { createSealer, type OpenedMessage, type Sealer, type SealerOptions } from './open.ts';
export { createCodec } from './payload.ts';
