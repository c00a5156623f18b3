/**
 * Kerberos (RFC 4752) by a keytab, through the optional package `kerberos`: GSSAPI tokens go to and fro until both sides
 * know each other; then the security layer is declined, since TLS does that.
 */
import { DirpostError } from '@dirpost/core';
import type { BindContext } from './bind.ts';
import type { LdapBind } from './options.ts';
import type { LdapResult } from './responses.ts';
import { SASL_BIND_IN_PROGRESS } from './results.ts';
import type { Session } from './session.ts';

export type GssapiBind = Extract<LdapBind, { method: 'gssapi' }>;

/** What of the package `kerberos` is used. */
interface Kerberos {
  initializeClient(service: string, options: { principal?: string; mechOID?: number }): Promise<KerberosClient>;
}

interface KerberosClient {
  readonly contextComplete: boolean;
  /** Base64 in and out. */
  step(challenge: string): Promise<string>;
  wrap(challenge: string, options: { user?: string; protect?: boolean }): Promise<string>;
  unwrap(challenge: string): Promise<string>;
}

const MAX_STEPS = 10;

export async function gssapi(session: Session, how: GssapiBind, { host, signal }: BindContext): Promise<LdapResult> {
  const client = await openClient(how, host);
  const send = (token: string) =>
    session.request({ type: 'sasl-bind', mechanism: 'GSSAPI', credentials: Buffer.from(token, 'base64') }, { signal });
  let answer: LdapResult;
  let challenge = '';
  for (let steps = 0; ; steps++) {
    if (steps === MAX_STEPS) throw failed(how, new Error('the server does not come to an end'));
    const token = (await client.step(challenge).catch((cause: unknown) => Promise.reject(failed(how, cause)))) ?? '';
    answer = await send(token);
    if (answer.code !== SASL_BIND_IN_PROGRESS) return answer;
    challenge = answer.value?.toString('base64') ?? '';
    if (client.contextComplete) break;
  }
  try {
    // RFC 4752 §3.1: the layers that the server offers; ours is "none", of size 0.
    await client.unwrap(challenge);
    const none = Buffer.from([1, 0, 0, 0]).toString('base64');
    return await send(await client.wrap(none, { protect: false }));
  } catch (cause) {
    throw cause instanceof DirpostError ? cause : failed(how, cause);
  }
}

async function openClient({ principal, keytab, serviceHost }: GssapiBind, host: string): Promise<KerberosClient> {
  const { initializeClient } = await loadKerberos();
  // MIT Kerberos takes the first ticket from there (client keytab); there is no other way in to name it.
  process.env['KRB5_CLIENT_KTNAME'] = keytab;
  process.env['KRB5CCNAME'] ??= 'MEMORY:dirpost';
  return initializeClient(`ldap@${serviceHost ?? host}`, { principal });
}

/** A package that is not installed by itself, since it is built from source with Kerberos' own headers. */
async function loadKerberos(): Promise<Kerberos> {
  const name = 'kerberos';
  try {
    const loaded = (await import(name)) as Kerberos & { default?: Kerberos };
    return loaded.default ?? loaded;
  } catch (cause) {
    throw new DirpostError('config-invalid', 'Login by Kerberos needs the package `kerberos`, which is not there.', {
      retry: 'operator',
      hint: 'Install libkrb5-dev and a compiler, then `npm install -g kerberos` beside dirpost; or bind by password over TLS.',
      cause,
    });
  }
}

function failed({ principal, keytab }: GssapiBind, cause: unknown): DirpostError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new DirpostError(
    'directory-failed',
    `Kerberos does not let ${principal} in by the keytab ${keytab}: ${why}.`,
    {
      retry: 'operator',
      hint: 'Look with: klist -k, and kinit -kt, with that keytab; and at the clocks of both sides.',
      cause,
    },
  );
}
