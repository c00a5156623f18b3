import { expect, it } from 'vitest';
import { deriveEntryId, type EntryKind, encodeEntry } from './entry.ts';
import { publishJudge } from './permission.ts';

function entry(mail: string, kind: EntryKind = 'person') {
  const attributes = new Map([['mail', [Buffer.from(mail)]]]);
  return encodeEntry({ id: deriveEntryId('oslo', 'uid', Buffer.from(mail)), owner: 'oslo', kind, attributes });
}

const rules = new Map([
  ['oslo', { mailDomains: ['oslo.example'], kinds: ['person' as const], maxEntries: 2 }],
  ['lima', { mailDomains: ['lima.example'] }],
]);

it('an entry within the rule may be published', () => {
  expect(publishJudge('oslo', rules)(entry('anna@OSLO.example'), 1)).toBeNull();
});

it('another kind, another mail domain, one too many are refused, each with its reason', () => {
  const judge = publishJudge('oslo', rules);
  expect(judge(entry('a@oslo.example', 'group'), 0)?.code).toBe('kind-not-allowed');
  expect(judge(entry('a@elsewhere.example'), 0)?.code).toBe('mail-domain-not-allowed');
  expect(judge(entry('a@oslo.example'), 2)?.code).toBe('too-many-entries');
});

it('without a rule everything may be published but the mail domains of others', () => {
  const judge = publishJudge('bonn', rules);
  expect(judge(entry('a@bonn.example'), 10_000)).toBeNull();
  expect(judge(entry('a@lima.example'), 0)?.code).toBe('mail-domain-not-allowed');
});
