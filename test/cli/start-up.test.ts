/** A command loads what it needs and no more: that, and not the work, is what a short command's time goes into. */
import { appendFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { expect, it } from 'vitest';
import { BINARY, ended } from '../demo/office.ts';
import { freshNetwork } from './network.ts';
import { startAgent } from './running-agent.ts';

/** Packages, and our own as `packages/…`, of which the program loaded something: Node's coverage names every script. */
async function loadedBy(...args: string[]): Promise<Set<string>> {
  const folder = await mkdtemp(join(tmpdir(), 'dirpost-loaded-'));
  try {
    const env = { ...process.env, NODE_V8_COVERAGE: folder };
    const child = spawn(process.execPath, [BINARY, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    expect(await ended(child, args)).toMatchObject({ code: 0, err: '' });
    const loaded = new Set<string>();
    for (const name of await readdir(folder)) {
      const { result } = JSON.parse(await readFile(join(folder, name), 'utf8')) as { result: { url: string }[] };
      for (const { url } of result) {
        const [, found] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url) ?? /\/(packages\/\w+)\//.exec(url) ?? [];
        if (found !== undefined) loaded.add(found);
      }
    }
    return loaded;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

it.each([['--version'], ['--help']])('%s loads the command line alone', async (option) => {
  expect([...(await loadedBy(option))].sort()).toEqual(['commander', 'packages/agent']);
});

it('status loads neither what seals and opens message files, nor a transport that is not configured', async () => {
  const { hq } = await freshNetwork();
  const loaded = await loadedBy('--config', hq.config, 'status');
  expect([...loaded]).toEqual(expect.arrayContaining(['zod', 'better-sqlite3']));
  for (const name of ['age-encryption', 'fastify', 'undici', 'pino']) expect([...loaded]).not.toContain(name);
});

it('a command that the agent runs loads the command line alone', async () => {
  const { hq } = await freshNetwork();
  const agent = await startAgent(hq);
  try {
    for (const command of [['dispatch'], ['sync'], ['preview']]) {
      const loaded = await loadedBy('--config', hq.config, ...command);
      expect([command, [...loaded].sort()]).toEqual([command, ['commander', 'packages/agent']]);
    }
    // Nobody has said yet that it is in order.
    await appendFile(hq.config, '# a comment\n');
    expect([...(await loadedBy('--config', hq.config, 'dispatch'))]).toEqual(expect.arrayContaining(['zod', 'yaml']));
  } finally {
    await agent.stop();
  }
});
