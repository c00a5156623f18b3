/** What can be said of a message file without any key: `dirpost message show --header`. Nothing of it is authenticated. */
import { defaultLimits, type Limits } from '@dirpost/core';
import { cut, type Envelope } from './header.ts';

export interface Inspection {
  version: number;
  envelope: Envelope;
  /** 16 hexadecimal digits. */
  signingKeyId: string;
  critical: string[];
  totalBytes: number;
  bodyBytes: number;
}

/** Throws DirpostError as opening does, up to and including the header. */
export function inspect(bytes: Uint8Array, limits: Limits = defaultLimits): Inspection {
  const { header, body } = cut(bytes, limits);
  return {
    version: 1,
    envelope: header.envelope,
    signingKeyId: Buffer.from(header.signingKeyId).toString('hex'),
    critical: header.critical,
    totalBytes: bytes.length,
    bodyBytes: body.length,
  };
}
