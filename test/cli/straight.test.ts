/** Commands that go straight to the agent that runs (cli/straight.ts): they say what they say when they go the long way. */
import { cp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Office, type Ran, runBinary } from '../demo/office.ts';
import { freshNetwork } from './network.ts';
import { startAgent } from './running-agent.ts';

let agent: Awaited<ReturnType<typeof startAgent>>;
let oslo: Office;
let text: string;

beforeAll(async () => {
  oslo = new Office((await freshNetwork()).root, 'oslo');
  text = await readFile(oslo.config, 'utf8');
  agent = await startAgent(oslo);
});
afterAll(() => agent.stop());
beforeEach(() => writeFile(oslo.config, text));

async function both(...args: string[]): Promise<{ straight: Ran; long: Ran }> {
  await writeFile(oslo.config, text);
  const straight = await oslo.run(...args);
  await writeFile(oslo.config, `${text}\n# The agent does not know this file.\n`);
  return { straight, long: await oslo.run(...args) };
}

describe('the same is said on both ways', () => {
  it.each([
    { args: ['dispatch'], code: 0 },
    { args: ['--json', 'dispatch', '--again'], code: 0 },
    { args: ['preview', '--ldif'], code: 0 },
    { args: ['approve'], code: 2 },
    { args: ['approve', '--all'], code: 0 },
    { args: ['approve', 'nowhere'], code: 2 },
    { args: ['approve', '--all', '--owner', 'hq'], code: 2 },
    { args: ['--json', 'sync', '--wait', 'long'], code: 2 },
    { args: ['unlink', 'nowhere', 'cn=x'], code: 2 },
    { args: ['recover'], code: 2 },
    { args: ['requestor', 'remove', 'bergen', '--keep-entries'], code: 2 },
    { args: ['dispatch', '--agane'], code: 2 },
    { args: ['dispatch', '--help'], code: 0 },
  ])('$args', async ({ args, code }) => {
    const { straight, long } = await both(...args);
    expect(straight).toEqual(long);
    expect(straight.code).toBe(code);
  });
});

describe('as ever', () => {
  it('a configuration with faults is told, and nothing runs, whatever the agent was started with', async () => {
    await writeFile(oslo.config, `${text}\nschedule: { T1: "61 * * * *" }\n`);
    for (const command of ['dispatch', 'preview']) {
      const { code, out, err } = await oslo.run(command);
      expect({ code, out }).toEqual({ code: 2, out: '' });
      expect(err).toMatch(/dirpost\.yaml:\d+: schedule\.T1/);
    }
  });

  it('a configuration that is away is told', async () => {
    const { code, err } = await runBinary(['--config', join(oslo.root, 'none.yaml'), 'dispatch']);
    expect([code, err]).toEqual([2, expect.stringContaining('There is no configuration')]);
  });

  it('another file with the same text is another configuration: its paths are seen from elsewhere', async () => {
    const other = join(oslo.root, 'other');
    await cp(oslo.config, join(other, 'dirpost.yaml'));
    const { code, err } = await runBinary(['--config', join(other, 'dirpost.yaml'), 'dispatch']);
    expect([code, err]).toEqual([2, expect.stringContaining('keys')]);
    await rm(other, { recursive: true });
  });

  it.skipIf(process.platform === 'win32')('a configuration that is a link is refused', async () => {
    const link = join(oslo.root, 'link.yaml');
    await symlink(oslo.config, link);
    const { code, err } = await runBinary(['--config', link, 'dispatch']);
    expect([code, err]).toEqual([1, expect.stringContaining('link.yaml')]);
  });
});
