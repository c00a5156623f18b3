/** What LDAP servers say: framing and responses, a session over any octets, values of controls and of some attributes. */
import { strict as assert } from 'node:assert';
import { Duplex } from 'node:stream';
import { isDirpostError } from '@dirpost/core';
import { BerError } from '../../../packages/adapters/src/directories/ldap/ber.ts';
import {
  dirSyncOf,
  nextPage,
  syncDoneOf,
  syncInfoOf,
  syncStateOf,
} from '../../../packages/adapters/src/directories/ldap/controls.ts';
import { usnOfAttribute } from '../../../packages/adapters/src/directories/ldap/domain-controller.ts';
import { Framing } from '../../../packages/adapters/src/directories/ldap/framing.ts';
import { secondsOf } from '../../../packages/adapters/src/directories/ldap/generalized-time.ts';
import { isBesideThePoint, parseReferral } from '../../../packages/adapters/src/directories/ldap/referrals.ts';
import {
  controlsOf,
  entryOf,
  intermediateOf,
  notificationName,
  referenceOf,
  type Response,
  resultOf,
} from '../../../packages/adapters/src/directories/ldap/responses.ts';
import { DIR_SYNC, PAGED_RESULTS } from '../../../packages/adapters/src/directories/ldap/root-dse.ts';
import { Schema } from '../../../packages/adapters/src/directories/ldap/schema.ts';
import {
  BIND,
  disconnection,
  DONE,
  entry,
  EXTENDED,
  intermediate,
  reference,
  result,
} from '../../../packages/adapters/src/directories/ldap/scripted-server.ts';
import { Session } from '../../../packages/adapters/src/directories/ldap/session.ts';
import { octets, type Target, text } from '../target.ts';

const MAX_MESSAGE_BYTES = 64 * 1024;

const seeds = () => [
  Buffer.concat([
    entry(1, 'cn=a,dc=x', { cn: ['a', 'b'], 'member;range=0-1': ['x'] }),
    reference(1, 'ldap://other.example/dc=x??sub'),
    intermediate(1, '1.3.6.1.4.1.4203.1.9.1.4', Buffer.from('a0030401ff', 'hex')),
    result(1, DONE, { controls: [{ type: PAGED_RESULTS, value: Buffer.from('3006020100040161', 'hex') }] }),
  ]),
  Buffer.concat([
    result(2, BIND, { code: 49, message: 'no' }),
    result(1, DONE, { code: 10, referrals: ['ldap://x/'] }),
  ]),
  result(2, EXTENDED, {}),
  disconnection('going'),
];

/** A BerError means that the connection is given up, which the session turns into a DirpostError. */
function readable(read: () => void): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof BerError)) throw error;
  }
}

const responses: Target = {
  name: 'ldap-responses',
  about: 'octets of an LDAP server, cut anywhere: framing, and every reader of a response',
  seeds,
  run(input) {
    const framing = new Framing(MAX_MESSAGE_BYTES);
    const each = (given: Buffer, response: Response) => {
      for (const read of [controlsOf, resultOf, entryOf, referenceOf, intermediateOf, notificationName]) {
        readable(() => void read(given, response));
      }
    };
    readable(() => {
      const middle = Math.floor(input.length / 3);
      framing.take(Buffer.from(input.subarray(0, middle)), each);
      framing.take(Buffer.from(input.subarray(middle)), each);
    });
  },
};

/** A line that says what it is told to, and takes everything. */
class Line extends Duplex {
  override _read(): void {}
  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    done();
  }
}

const session: Target = {
  name: 'ldap-session',
  about: 'a search and a request over a connection on which anything comes: both end, with a result or an error',
  seeds,
  async run(input) {
    // As a socket: it closes when the other side ends.
    const line = new Line({ allowHalfOpen: false });
    const open = new Session(line, { server: 'fuzz', operationMs: 60_000, maxMessageBytes: MAX_MESSAGE_BYTES });
    const searching = (async () => {
      const request = { base: 'dc=x', scope: 'sub' as const, filter: '(cn=*)', attributes: ['cn'] };
      for await (const { items } of open.search(request)) assert.equal(items.length < 10_000, true);
    })();
    const asking = open.request({ type: 'simple-bind', dn: '', password: '' });
    const ended = Promise.allSettled([searching, asking]);
    line.push(input);
    line.push(null);
    for (const outcome of await ended) {
      if (outcome.status === 'rejected' && !isDirpostError(outcome.reason)) throw outcome.reason;
    }
    open.close();
  },
};

const values: Target = {
  name: 'ldap-values',
  about: 'values inside of what an LDAP server says: controls, cookies, referrals, times, schema',
  seeds: () => [
    ...['3006020100040161', '30150a01010410000102030405060708090a0b0c0d0e0f', 'a303040161', '300402010a0400'].map(
      (hex) => Buffer.from(hex, 'hex'),
    ),
    ...octets(
      'ldap://[::1]:389/dc=x??sub?(cn=%20)?!bindname=x',
      '20260131235959.123Z',
      "( 2.5.4.3 NAME ( 'cn' 'commonName' ) SUP name SINGLE-VALUE )",
      "( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( sn $ cn ) MAY description )",
    ),
  ],
  words: ["NAME '", 'SUP ', 'MUST ( ', ' $ ', ' )', 'ldap://', '%zz', '?', '.000Z', '+0100'],
  run(input) {
    const value = Buffer.from(input);
    const given = text(input);
    const withValue = (type: string) => [{ type, value }];
    readable(() => void nextPage(withValue(PAGED_RESULTS)));
    readable(() => void dirSyncOf(withValue(DIR_SYNC)));
    readable(() => void syncStateOf(withValue('1.3.6.1.4.1.4203.1.9.1.2')));
    readable(() => void syncDoneOf(withValue('1.3.6.1.4.1.4203.1.9.1.3')));
    readable(() => void syncInfoOf(value));
    usnOfAttribute(value, 1);
    const seconds = secondsOf(given);
    assert.equal(seconds === null || Number.isFinite(seconds), true);
    parseReferral(given, true);
    isBesideThePoint([given]);
    const schema = new Schema([given], [given], [given]);
    schema.allowedBy([given, 'person']);
    schema.isSingleValued(given);
  },
};

export const ldapTargets = [responses, session, values];
