/** What status judges by itself; the whole is tested by the command (test/cli/status.test.ts). */
import { describe, expect, it } from 'vitest';
import { isOlder } from './requestor-status.ts';

describe('a version', () => {
  it.each([
    ['0.1.0', '0.1.0', false],
    ['0.1.0', '0.2.0', true],
    ['0.9.0', '0.10.0', true],
    ['1.0.0', '0.10.7', false],
    ['1.2.3-rc.1', '1.2.4', true],
    ['', '0.1.0', false],
    ['of today', '0.1.0', false],
  ])('%j beside %j: older %j', (version, than, older) => {
    expect(isOlder(version, than)).toBe(older);
  });
});
