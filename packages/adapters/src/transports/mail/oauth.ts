/**
 * The ways to an access token, each as one function that gets a new one: client credentials (RFC 6749 §4.4) by secret or by
 * certificate (RFC 7523 §2.2), a Google service account (RFC 7523 §2.1), and a program that prints one. Secrets and keys
 * are read anew each time.
 */
import { clientAssertion, clientKeyOf, serviceAccountAssertion, serviceAccountOf } from './assertion.ts';
import { loginInvalid } from './login-failures.ts';
import type { LoginOptions } from './options.ts';
import { readKept, readSecret } from './secret.ts';
import type { CommandLimits } from './secret-command.ts';
import { requestToken, type Token, tokenUrlOf } from './token-request.ts';

/** RFC 7521 §4.2, RFC 7523 §2.2 and §2.1. */
const CLIENT_ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const JWT_BEARER_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const MAX_KEY_FILE_BYTES = 64 * 1024;

export interface TokenDeps {
  nowMs: () => number;
  /** PEM file of a private authority, trusted besides the public ones. */
  ca: string | undefined;
  /** For the whole of one token request. */
  answerMs: number;
  command: CommandLimits;
}

export type TokenLogin = Exclude<LoginOptions, { method: 'password' }>;
type ClientLogin = Extract<LoginOptions, { method: 'client-credentials' }>;
type ServiceLogin = Extract<LoginOptions, { method: 'service-account' }>;

/** Throws DirpostError `config-invalid`. */
export function checkTokenLogin(login: TokenLogin): void {
  if (login.method === 'client-credentials') tokenUrlOf(login.tokenUrl);
  if (login.method === 'token-command' && (login.command[0] ?? '') === '') {
    throw loginInvalid('The command that prints an access token is empty.', 'Give the program and its arguments.');
  }
}

/** Throws DirpostError `transport-failed`, or `config-invalid` for an address of a token server that cannot be used. */
export async function newToken(login: TokenLogin, deps: TokenDeps): Promise<Token> {
  switch (login.method) {
    case 'client-credentials':
      return await byClientCredentials(login, deps);
    case 'service-account':
      return await byServiceAccount(login, deps);
    case 'token-command': {
      const secret = { command: login.command };
      return { value: await readSecret(secret, `the access token of ${login.user}`, deps.command), lifetimeMs: null };
    }
  }
}

async function byClientCredentials(login: ClientLogin, deps: TokenDeps): Promise<Token> {
  const { user, clientId, scope } = login;
  const url = tokenUrlOf(login.tokenUrl);
  const { proof, secrets } = await proofOf(login, url, deps);
  const form = { grant_type: 'client_credentials', client_id: clientId, scope, ...proof };
  return await requestToken({ url, form, secrets, user, ca: deps.ca, answerMs: deps.answerMs });
}

/** In the form and not in a header (RFC 6749 §2.3.1): that is what the large providers document. */
async function proofOf(
  { proof, clientId }: ClientLogin,
  url: URL,
  { nowMs, command }: TokenDeps,
): Promise<{ proof: Record<string, string>; secrets: string[] }> {
  if ('secret' in proof) {
    const secret = await readSecret(proof.secret, `the secret of the client ${clientId}`, command);
    return { proof: { client_secret: secret }, secrets: [secret] };
  }
  const pem = {
    certificate: await readKept(proof.certificate, `the certificate of the client ${clientId}`, MAX_KEY_FILE_BYTES),
    key: await readKept(proof.key, `the key of the client ${clientId}`, MAX_KEY_FILE_BYTES),
  };
  const client = clientKeyOf(pem, { certificate: proof.certificate, key: proof.key }, nowMs());
  const assertion = clientAssertion(client, clientId, url, nowMs());
  return {
    proof: { client_assertion_type: CLIENT_ASSERTION_TYPE, client_assertion: assertion },
    secrets: [assertion],
  };
}

async function byServiceAccount({ user, keyFile, scope }: ServiceLogin, deps: TokenDeps): Promise<Token> {
  const file = await readKept(keyFile, 'the key of the service account', MAX_KEY_FILE_BYTES);
  const account = serviceAccountOf(file, keyFile);
  const url = tokenUrlOf(account.tokenUri);
  const assertion = serviceAccountAssertion(account, user, scope, deps.nowMs());
  const form = { grant_type: JWT_BEARER_GRANT, assertion };
  return await requestToken({ url, form, secrets: [assertion], user, ca: deps.ca, answerMs: deps.answerMs });
}
