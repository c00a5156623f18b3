/**
 * How long a check takes must not tell how much of a secret or of a code made with one was right. Signatures are checked by
 * OpenSSL, and their keys are public. Everything else that is compared with something secret is compared by
 * `timingSafeEqual`: this looks at the sources, so that a new comparison is noticed.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const packages = fileURLToPath(new URL('../../packages/', import.meta.url));

/** Where a code that was made with a secret is compared, or an answer to one. */
const comparing = [
  'adapters/src/directories/ldap/scram.ts',
  'adapters/src/transports/http/collecting.ts',
  'adapters/src/transports/http/nonces.ts',
  'adapters/src/transports/http/posting.ts',
  'adapters/src/transports/mail/mark.ts',
  'message/src/age-file.ts',
  'message/src/age-stream.ts',
  'message/src/enrolment.ts',
];

/**
 * Comparisons of what is no secret: the checksum of a recovery key that somebody typed in, the id of a public key, the first
 * octets of a file, the tags of BER.
 */
const harmless = new Set([
  'adapters/src/directories/ldap/ber.ts',
  'message/src/authentication.ts',
  'message/src/header.ts',
  'message/src/recovery-key.ts',
]);

const sources = readdirSync(packages, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => /^[a-z]+\/src\/.*(?<!\.test)\.ts$/.test(path))
  .map((path) => ({ path, text: readFileSync(`${packages}${path}`, 'utf8') }));

const SECRET = /\b(?:secret|password|passphrase|proof|proven|mac|tag|hmac|nonce|token|signature)\w*\b/i;
/** Two values of which one is called like something secret, compared octet by octet until they differ. */
const EARLY_END =
  /(?:(\w[\w.]*)\.equals\(([^()]*(?:\([^()]*\))?)\)|Buffer\.compare\(([^,]+),([^)]+)\)|(\w[\w.]*) (?:===|!==) (\w[\w.]*\b(?!\()))/g;
const CONSTANTS = /^(?:null|undefined|true|false|\d+|0x[0-9a-f]+|typeof|[A-Z_]+)$/;

function suspects(text: string): string[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
  return [...code.matchAll(EARLY_END)]
    .filter((found) => {
      const sides = found
        .slice(1)
        .filter((side) => side !== undefined)
        .map((side) => side.trim());
      const isOfConstants = sides.some((side) => CONSTANTS.test(side) || /\.length$|^type/.test(side));
      return !isOfConstants && sides.some((side) => SECRET.test(side.split('.').at(-1)!));
    })
    .map(([words]) => words);
}

describe('comparisons', () => {
  it('with what was made by a secret take the same time wherever they differ', () => {
    const withConstantTime = sources.filter(({ text }) => text.includes('timingSafeEqual(')).map(({ path }) => path);
    expect(withConstantTime.sort()).toEqual(comparing);
  });

  it('that end early are of nothing secret', () => {
    const found = sources
      .filter(({ path }) => !harmless.has(path))
      .flatMap(({ path, text }) => suspects(text).map((words) => `${path}: ${words}`));
    expect(found).toEqual([]);
  });

  it('would be noticed', () => {
    expect(suspects('if (proof.equals(expected)) return;')).toHaveLength(1);
    expect(suspects('return Buffer.compare(given, tagOf(mark)) === 0;')).toHaveLength(1);
    expect(suspects('return request.token === known.token;')).toHaveLength(1);
    expect(suspects('if (secret === undefined) return;')).toEqual([]);
  });
});

it('a proof of an invitation that is almost right is as wrong as any other', async () => {
  const { isProof, proofKeyOf, proofOf } = await import('@dirpost/message');
  const proven = {
    invitation: '00'.repeat(16),
    server: 'hq',
    name: 'oslo',
    signing: createHash('sha256').update('key').digest('base64'),
    recipient: 'age1x',
  };
  const key = proofKeyOf(Buffer.alloc(20, 1));
  const right = proofOf(key, proven);
  const almost = Buffer.from(right);
  almost[31]! ^= 1;
  expect([right, almost, Buffer.alloc(32)].map((one) => isProof(one, key, proven))).toEqual([true, false, false]);
});
