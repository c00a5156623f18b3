import { expect, it } from 'vitest';
import { escapedOctets, namingContextsOf, usnOfAttribute } from './domain-controller.ts';
import type { LdapBase } from './options.ts';
import type { RootDse } from './root-dse.ts';

const NAME = 0x00090001;

/** replPropertyMetaData (MS-DRSR 5.166) of attributes with these local USNs. */
function metadata(usns: [attribute: number, usn: number][]): Buffer {
  const octets = Buffer.alloc(16 + usns.length * 48);
  octets.writeUInt32LE(1, 0);
  octets.writeUInt32LE(usns.length, 8);
  for (const [i, [attribute, usn]] of usns.entries()) {
    octets.writeUInt32LE(attribute, 16 + i * 48);
    octets.writeBigInt64LE(BigInt(usn), 16 + i * 48 + 40);
  }
  return octets;
}

it('the change number of an attribute is found among those of the others', () => {
  const octets = metadata([
    [0, 3],
    [NAME, 5_000_000_000],
    [13, 7],
  ]);
  expect(usnOfAttribute(octets, NAME)).toBe(5_000_000_000);
  expect(usnOfAttribute(octets, 99)).toBeNull();
  expect(usnOfAttribute(octets.subarray(0, 80), 13)).toBeNull();
  expect(usnOfAttribute(Buffer.alloc(0), NAME)).toBeNull();
});

it('each base lies in the nearest naming context', () => {
  const dse = { namingContexts: ['DC=a,DC=b', 'CN=Configuration,DC=a,DC=b', 'DC=c'] } as RootDse;
  const bases = (...dns: string[]): LdapBase[] => dns.map((dn) => ({ dn, scope: 'sub', filter: '(cn=*)' }));
  expect(namingContextsOf(dse, bases('OU=x, dc=A,dc=b', 'dc=a,dc=b'))).toEqual(['DC=a,DC=b']);
  expect(namingContextsOf(dse, bases('CN=y,CN=Configuration,DC=a,DC=b', 'OU=z,DC=c'))).toEqual([
    'CN=Configuration,DC=a,DC=b',
    'DC=c',
  ]);
  expect(namingContextsOf(dse, bases('DC=a,DC=b', 'DC=elsewhere'))).toBeNull();
});

it('octets in a filter are escaped each', () => {
  expect(escapedOctets(Buffer.from([0, 0x2a, 0xff]))).toBe(String.raw`\00\2a\ff`);
});
