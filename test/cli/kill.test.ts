/** Few kills by a folder at each change; `npm run chaos -- --folder` and `npm run soak` have more. */
import { expect, it } from 'vitest';
import { killByFolder } from '../network/folder-kills.ts';
import { temporaryFolder } from './network.ts';

const KILLS = 50;

it(`kill -9 at ${KILLS} random moments loses nothing and doubles nothing`, { timeout: 170_000 }, async () => {
  const { table, violations } = await killByFolder(await temporaryFolder(), { kills: KILLS, seed: 'kill 1' }, () => {});
  expect(violations).toEqual([]);
  expect(table['kills']).toBeGreaterThanOrEqual(KILLS);
});
