/**
 * The server's certificate and key: read when it begins to listen, and again when a file changes, so that a renewed
 * certificate needs no restart. One that cannot be used is reported, and the one before stays in use.
 */
import { createSecureContext } from 'node:tls';
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import type { Server as HttpsServer } from 'node:https';
import { DirpostError } from '@dirpost/core';
import { fileError } from '../../durable-file.ts';

export interface CertificateFiles {
  /** PEM, with those between it and its authority. */
  certificate: string;
  key: string;
}

export interface Certificate {
  cert: Buffer;
  key: Buffer;
}

/** Throws DirpostError `config-invalid`. */
export function readCertificate(files: CertificateFiles): Certificate {
  const [cert, key] = [read(files.certificate), read(files.key)];
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DirpostError('config-invalid', `${files.certificate} and ${files.key} do not serve for TLS: ${reason}.`, {
      retry: 'operator',
      hint: 'Both must be PEM files, the key without a passphrase and the one of the certificate.',
      context: { ...files },
      cause,
    });
  }
  return { cert, key };
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const { message, hint } = fileError(cause, `read ${path}`);
    const details = { retry: 'operator', context: { path }, cause } as const;
    throw new DirpostError('config-invalid', message, hint === undefined ? details : { ...details, hint });
  }
}

/** Ends with the returned function. `checkMs`: how often the files are looked at. */
export function watchCertificate(
  server: HttpsServer,
  files: CertificateFiles,
  checkMs: number,
  onProblem: (problem: DirpostError) => void,
): () => void {
  const paths = [files.certificate, files.key];
  const renew = () => {
    try {
      server.setSecureContext(readCertificate(files));
    } catch (error) {
      // Most often one file was replaced and the other not yet: it is tried again with the next change.
      onProblem(error as DirpostError);
    }
  };
  // Looked at and not listened for: what renews certificates replaces links and folders, too.
  for (const path of paths) watchFile(path, { persistent: false, interval: checkMs }, renew);
  return () => {
    for (const path of paths) unwatchFile(path, renew);
  };
}
