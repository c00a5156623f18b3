import fc from 'fast-check';
import { defaultLimits, DirpostError, type Enrolment } from '@dirpost/core';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  enrolmentAnswer,
  type EnrolmentAnswer,
  enrolmentRequest,
  isProof,
  type Proven,
  proofKeyOf,
  proofOf,
  readEnrolmentAnswer,
  readEnrolmentRequest,
} from './enrolment.ts';
import { generateKeys, publicKeys } from './keys.ts';
import { createCodec } from './payload.ts';
import { generateRecoveryKey, parseRecoveryKey, recoveryFingerprint } from './recovery-key.ts';

const codec = createCodec(defaultLimits);
const carried = (head: Enrolment) => codec.head(codec.encode(head, [])) as Enrolment;
const proofKey = proofKeyOf(Buffer.alloc(20, 7));
let proven: Proven;

beforeAll(async () => {
  proven = { invitation: 'ab'.repeat(16), server: 'hq', name: 'oslo', ...(await publicKeys(await generateKeys())) };
});

describe('a proof', () => {
  test('holds for what it speaks of, and for nothing else', async () => {
    const proof = proofOf(proofKey, proven);
    expect(isProof(proof, proofKey, proven)).toBe(true);
    const others = await publicKeys(await generateKeys());
    const altered: Partial<Proven>[] = [
      { invitation: 'ac'.repeat(16) },
      { server: 'hqo', name: 'slo' },
      { name: 'lima' },
      { signing: others.signing },
      { recipient: others.recipient },
    ];
    for (const one of altered) expect(isProof(proof, proofKey, { ...proven, ...one })).toBe(false);
    expect(isProof(proof, proofKeyOf(Buffer.alloc(20, 8)), proven)).toBe(false);
    expect(isProof(proof.subarray(1), proofKey, proven)).toBe(false);
  });
});

describe('an enrolment', () => {
  test('comes back from its payload', () => {
    const { signing, recipient } = proven;
    const request = { signing, recipient, version: '0.1.0', proof: proofOf(proofKey, proven) };
    expect(readEnrolmentRequest(carried(enrolmentRequest('0.00112233445566aa', request)))).toEqual(request);
  });

  test('tells the mail address of the new postoffice, where it has one', () => {
    const request = { ...proven, version: '0.1.0', proof: proofOf(proofKey, proven) };
    const read = (mail?: string) =>
      readEnrolmentRequest(carried(enrolmentRequest('0.00112233445566aa', { ...request, ...(mail && { mail }) })));
    expect(read('dirpost@oslo.example.org').mail).toBe('dirpost@oslo.example.org');
    expect(read()).not.toHaveProperty('mail');
    expect(() => read('a@b.c\r\nBcc: eve@example.org')).toThrow(/"mail"/);
  });

  test.each<[string, Partial<EnrolmentAnswer>]>([
    ['joined', { publish: { kinds: ['person'], mailDomains: ['a.example'], maxEntries: 9 }, list: 'all' }],
    ['late', { result: 'late', stamp: '' }],
  ])('its answer too: %s', (_, fields) => {
    const stamp = `3.00112233445566aa#${'cd'.repeat(16)}`;
    const answer: EnrolmentAnswer = {
      invitation: proven.invitation,
      result: 'joined',
      stamp,
      heard: '2.00112233445566bb',
      list: null,
      publish: {},
      nowMs: 1_790_000_000_000,
      expiresMs: 1_790_000_000_001,
      ...fields,
    };
    expect(readEnrolmentAnswer(carried(enrolmentAnswer(answer.heard, answer)))).toEqual(answer);
    // What is no date could be shown to nobody.
    const never = enrolmentAnswer(answer.heard, { ...answer, expiresMs: Number.MAX_SAFE_INTEGER });
    expect(() => readEnrolmentAnswer(carried(never))).toThrow(/expiresMs/);
  });

  test('of any other fields is refused with a code', () => {
    const value = fc.oneof(fc.string(), fc.integer(), fc.uint8Array(), fc.constant(null), fc.array(fc.string()));
    const names = [
      'signing',
      'recipient',
      'version',
      'proof',
      'invitation',
      'result',
      'stamp',
      'heard',
      'list',
      'kinds',
    ];
    const fields = fc.dictionary(fc.constantFrom(...names), value);
    fc.assert(
      fc.property(fields, (given) => {
        for (const read of [readEnrolmentRequest, readEnrolmentAnswer]) {
          try {
            read({ kind: 'enrolment', incarnation: '0.0', fields: given });
            throw new Error('it was taken');
          } catch (error) {
            expect(error).toBeInstanceOf(DirpostError);
            expect(error).toMatchObject({ code: 'message-payload' });
          }
        }
      }),
    );
  });
});

describe('a recovery key', () => {
  test('comes back from paper, however it was typed', () => {
    const key = generateRecoveryKey();
    expect(key.text).toMatch(/^([a-z2-7]{4}-){13}[a-z2-7]{4}$/);
    expect(parseRecoveryKey(key.text)).toEqual(key);
    expect(parseRecoveryKey(` ${key.text.toUpperCase().replaceAll('-', ' ')}\n`)).toEqual(key);
    expect(recoveryFingerprint(key.publicKey)).toMatch(/^([a-z2-7]{4}-){7}[a-z2-7]{4}$/);
  });

  test('with a wrong, a missing or a strange letter is refused without being quoted', () => {
    const { text } = generateRecoveryKey();
    const wrong = text[20] === 'a' ? 'b' : 'a';
    for (const typed of [
      text.slice(0, 20) + wrong + text.slice(21),
      text.slice(5),
      `${text}-aaaa`,
      text.replace(/^./, '1'),
      '',
    ]) {
      expect(() => parseRecoveryKey(typed)).toThrow(expect.objectContaining({ code: 'wrong-use' }) as Error);
      expect(() => parseRecoveryKey(typed)).not.toThrow(text.slice(5, 20));
    }
  });
});
