/** Tests that need servers are not left out unnoticed. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { describeWith } from './presence.ts';
import { findProgram, INSTALL, programOf } from './programs.ts';

const none = { name: 'A server', lacks: () => ['there is none'] };

describe('tests whose servers are not installed', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  it('fail where tests are counted', () => {
    vi.stubEnv('CI', 'true');
    expect(() => describeWith(none, 'tests', () => {})).toThrow(INSTALL);
  });

  it('are found by their programs', () => {
    expect(findProgram('sh')).toMatch(/\/sh$/);
    expect(findProgram('no-such-program')).toBeNull();
    expect(() => programOf('no-such-program')).toThrow(INSTALL);
  });
});
