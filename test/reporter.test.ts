import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs vitest with the reporter on these files; the last line of its output, and the exit code. */
async function lastLine(files: Record<string, string>): Promise<{ line: string; code: number }> {
  const folder = await mkdtemp(join(root, 'test', 'tmp-reporter-'));
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    const config = `export default { test: { include: ['**/*.probe.mjs'], reporters: ['default', '../reporter.ts'] } }`;
    await writeFile(join(folder, 'vitest.config.mjs'), config);
    const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
    return await new Promise((resolve) => {
      execFile(process.execPath, [vitest, 'run', '--root', folder], (error, stdout) => {
        const code = typeof error?.code === 'number' ? error.code : 0;
        resolve({ line: stdout.trimEnd().split('\n').at(-1) ?? '', code });
      });
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const start = `import { it, expect } from 'vitest';\n`;

it('the last line sums up passed, failed and skipped tests', async () => {
  const text = `${start}it('a', () => {}); it('b', () => {}); it('c', () => expect(1).toBe(2)); it.skip('d', () => {});`;
  expect(await lastLine({ 'x.probe.mjs': text })).toEqual({ line: '2 passed, 1 failed, 1 skipped', code: 1 });
});

it('a file that does not load counts as failed', async () => {
  const good = `${start}it('a', () => {});`;
  const files = { 'x.probe.mjs': 'import "./gone.mjs";', 'y.probe.mjs': good };
  expect(await lastLine(files)).toEqual({ line: '1 passed, 1 failed, 0 skipped', code: 1 });
});

it('all passed is exit code 0', async () => {
  expect(await lastLine({ 'x.probe.mjs': `${start}it('a', () => {});` })).toEqual({
    line: '1 passed, 0 failed, 0 skipped',
    code: 0,
  });
});
