/**
 * Kerberos (RFC 4752) by a keytab, through the optional package `kerberos`: GSSAPI tokens go to and fro until both sides
 * know each other; then the security layer is declined, since TLS does that.
 */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { DirpostError } from '@dirpost/core';
import type { BindContext } from './bind.ts';
import type { LdapBind } from './options.ts';
import type { LdapResult } from './responses.ts';
import { SASL_BIND_IN_PROGRESS } from './results.ts';
import type { Session } from './session.ts';

export type GssapiBind = Extract<LdapBind, { method: 'gssapi' }>;

/** What of the package `kerberos` is used. */
interface Kerberos {
  readonly GSS_MECH_OID_KRB5: number;
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
  const { client, first } = await oneAfterAnother(() => begin(how, host));
  const send = (token: string) =>
    session.request({ type: 'sasl-bind', mechanism: 'GSSAPI', credentials: Buffer.from(token, 'base64') }, { signal });
  let answer: LdapResult;
  let challenge = '';
  for (let steps = 0; ; steps++) {
    if (steps === MAX_STEPS) throw failed(how, new Error('the server does not come to an end'));
    answer = await send(steps === 0 ? first : await stepOf(client, how, challenge));
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

interface Begun {
  client: KerberosClient;
  /** What is sent to the server first; base64. */
  first: string;
}

/** Names the principal's own keytab and tickets in the environment: there is no other way to tell MIT Kerberos. */
async function begin(how: GssapiBind, host: string): Promise<Begun> {
  const { principal, keytab, serviceHost } = how;
  const { initializeClient, GSS_MECH_OID_KRB5: mechOID } = loadKerberos();
  const before = { KRB5_CLIENT_KTNAME: process.env['KRB5_CLIENT_KTNAME'], KRB5CCNAME: process.env['KRB5CCNAME'] };
  setEnvironment({ KRB5_CLIENT_KTNAME: keytab, KRB5CCNAME: ticketsOf(how) });
  try {
    const client = await initializeClient(`ldap@${serviceHost ?? host}`, { principal, mechOID });
    return { client, first: await stepOf(client, how, '') };
  } catch (cause) {
    throw cause instanceof DirpostError ? cause : failed(how, cause);
  } finally {
    setEnvironment(before);
  }
}

/** In memory, and of one principal: a place for tickets that another one has used is refused. */
function ticketsOf({ principal, keytab }: GssapiBind): string {
  const whose = createHash('sha256')
    .update(JSON.stringify([principal, keytab]))
    .digest('hex')
    .slice(0, 16);
  return `MEMORY:dirpost-${whose}`;
}

function setEnvironment(values: Record<string, string | undefined>): void {
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}

/** The environment is that of the whole process: two logins would have each other's. */
let last: Promise<unknown> = Promise.resolve();

function oneAfterAnother<T>(work: () => Promise<T>): Promise<T> {
  const result = last.then(work);
  last = result.catch(() => {});
  return result;
}

async function stepOf(client: KerberosClient, how: GssapiBind, challenge: string): Promise<string> {
  try {
    return (await client.step(challenge)) ?? '';
  } catch (cause) {
    throw failed(how, cause);
  }
}

const PACKAGE = 'kerberos';

/**
 * Where the package is; null: it is not installed. It stands beside dirpost (npm install -g), or among what is installed for
 * this Node.js as a whole, or where NODE_PATH says.
 */
export function findKerberos(): string | null {
  const places = [import.meta.url, join(dirname(process.execPath), '../lib/node_modules/beside')];
  for (const place of places) {
    try {
      return createRequire(place).resolve(PACKAGE);
    } catch {
      continue;
    }
  }
  return null;
}

/** A package that is not installed by itself, since it is built from source with Kerberos' own headers. */
function loadKerberos(): Kerberos {
  const path = findKerberos();
  try {
    return createRequire(import.meta.url)(path ?? PACKAGE) as Kerberos;
  } catch (cause) {
    const what = path === null ? 'which is not there' : `which is at ${path} and cannot be loaded`;
    throw new DirpostError('config-invalid', `Login by Kerberos needs the package \`kerberos\`, ${what}.`, {
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
