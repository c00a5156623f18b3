import { describe, expect, it } from 'vitest';
import { type Decision, decide, type Look } from './decide.ts';
import type { ConflictPolicy } from '../config/both-ways.ts';

const policies: ConflictPolicy[] = ['network-wins', 'directory-wins', 'no-change'];
const byPolicy: Record<ConflictPolicy, Decision> = {
  'network-wins': 'overwrite',
  'directory-wins': 'keep',
  'no-change': 'ask',
};

/** Every way in which four values can be equal or not, as letters: a, then b where it is another, and so on. */
function looks(): Look[] {
  const found: Look[] = [];
  for (const network of ['a', 'b']) {
    for (const written of [null, 'a', 'b', 'c']) {
      for (const kept of [null, 'a', 'b', 'd']) found.push({ here: 'a', written, network, kept });
    }
  }
  return found;
}

/** In words of the design: what stands there (D), what was written (W), what the network says (N). */
function wanted({ here, written, network, kept }: Look, policy: ConflictPolicy, isProposed: boolean): Decision {
  if (here === network) return 'agrees';
  if (here === kept) return 'stays';
  if (here === written) return 'unchanged';
  const isLocal = written === network;
  if (isProposed && isLocal) return 'propose';
  if (isProposed && policy === 'directory-wins') return 'propose';
  return byPolicy[policy];
}

describe('what is done about a value in a container', () => {
  const cases = looks().flatMap((look) =>
    policies.flatMap((policy) => [true, false].map((isProposed) => ({ look, policy, isProposed }))),
  );

  it('is the same for all ways in which four values can be equal', () => {
    expect(cases).toHaveLength(192);
    for (const { look, policy, isProposed } of cases) {
      const decision = decide(look, { policy, isProposed });
      expect({ look, policy, isProposed, decision }).toMatchObject({ decision: wanted(look, policy, isProposed) });
    }
  });

  it.each([
    // here, written, network, kept, policy, proposed → decision
    ['changed by hand alone', 'h', 'o', 'o', null, 'network-wins', true, 'propose'],
    ['changed by hand alone, not proposed', 'h', 'o', 'o', null, 'network-wins', false, 'overwrite'],
    ['changed by the network alone', 'o', 'o', 'n', null, 'directory-wins', true, 'unchanged'],
    ['changed by both to the same', 'x', 'o', 'x', null, 'no-change', true, 'agrees'],
    ['changed by both', 'h', 'o', 'n', null, 'network-wins', true, 'overwrite'],
    ['changed by both, the directory wins', 'h', 'o', 'n', null, 'directory-wins', true, 'propose'],
    ['changed by both, nobody wins', 'h', 'o', 'n', null, 'no-change', true, 'ask'],
    ['stays by hand while the network goes on', 'h', 'o', 'n', 'h', 'no-change', true, 'stays'],
    ['changed by hand once more', 'i', 'h', 'n', 'h', 'directory-wins', false, 'keep'],
    ['never known to be written', 'h', null, 'n', null, 'network-wins', true, 'overwrite'],
    ['cleared by hand', '', 'o', 'o', null, 'network-wins', true, 'propose'],
  ] as const)('%s', (_, here, written, network, kept, policy, isProposed, decision) => {
    expect(decide({ here, written, network, kept }, { policy, isProposed })).toBe(decision);
  });
});
