/**
 * Whether the servers that a file of tests talks to are installed. Where they are not, its tests are skipped, and that is
 * said once with the way to get them; where tests are counted (CI) that is a failure.
 */
import { describe } from 'vitest';
import { INSTALL, type Servers } from './programs.ts';

/** As `describe`, for tests that need these servers. */
export function describeWith(servers: Servers, name: string, tests: () => void): void {
  const lacking = servers.lacks();
  if (lacking.length === 0) return void describe(name, tests);
  const why = `${servers.name}: ${lacking.join('; ')}. To get them: ${INSTALL}`;
  if (process.env['CI'] === 'true') throw new Error(why);
  sayOnce(`SKIPPED: ${name}. ${why}`, servers);
  describe.skip(name, tests);
}

const said = new Set<Servers>();

function sayOnce(text: string, servers: Servers): void {
  if (said.has(servers)) return;
  said.add(servers);
  console.warn(text);
}
