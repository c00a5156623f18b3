/**
 * `npm run install-check`: packs dirpost, installs it with `npm install --global` below a temporary folder from the
 * registry that is configured, and runs it there. Takes minutes where SQLite has to be compiled; removes all it made.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const isWindows = process.platform === 'win32';

function run(program: string, args: string[], cwd: string): void {
  console.log(`\n$ ${program} ${args.join(' ')}`);
  const { status, error } = spawnSync(program, args, { cwd, stdio: 'inherit', shell: isWindows });
  if (status !== 0) throw new Error(`${program} ${args[0]} ended with ${status ?? error?.message}`);
}

const folder = mkdtempSync(join(tmpdir(), 'dirpost-install-'));
try {
  run('npm', ['pack', '--workspace', 'dirpost', '--silent', '--pack-destination', folder], root);
  const [tarball = ''] = readdirSync(folder);
  const prefix = join(folder, 'prefix');
  run('npm', ['install', '--global', '--prefix', prefix, join(folder, tarball)], folder);
  const dirpost = isWindows ? join(prefix, 'dirpost.cmd') : join(prefix, 'bin', 'dirpost');
  run(dirpost, ['--version'], folder);
  run(dirpost, ['--config', join(folder, 'hq', 'dirpost.yaml'), 'init', 'hq', '--role', 'server'], folder);
  run(dirpost, ['--config', join(folder, 'hq', 'dirpost.yaml'), 'status'], folder);
  run(dirpost, ['--config', join(folder, 'hq', 'dirpost.yaml'), 'backup', join(folder, 'backup')], folder);
  console.log('\nIt installs, and it runs.');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
