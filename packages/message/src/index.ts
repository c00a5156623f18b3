/** @dirpost/message: bytes ⇄ message. Encode, compress, seal, sign, open, inspect; usable alone. */
export * from './announcement.ts';
export { type AgeKey, type AgeLock, asksForPassphrase, openAge, sealAge } from './age-stream.ts';
export * from './authentication.ts';
export * from './enrolment.ts';
export { type EnrolmentMark, type Envelope, type Header, headerOf, looksLikeMessage } from './header.ts';
export { type Inspection, inspect } from './inspect.ts';
export * from './key-statement.ts';
export * from './keys.ts';
export { createSealer, type OpenedMessage, type Sealer, type SealerOptions } from './open.ts';
export { createCodec } from './payload.ts';
export * from './recovery-key.ts';
export { pack, unpack } from './scan.ts';
export { ParsedKeys } from './x25519.ts';
