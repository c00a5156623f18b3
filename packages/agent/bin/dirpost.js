#!/usr/bin/env node
/** Starts the command line: compiled in dist/ in the repository, bundled in dist/packed/ where it was installed. */
import { existsSync } from 'node:fs';
import module from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

// From Node 22.8 on compiled code is kept for the next start: below the cache folder of the account and nowhere else,
// since what lies in a temporary folder could be another's.
const caches = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
if (existsSync(caches)) module.enableCompileCache?.(join(caches, 'dirpost'));

// `dirpost status | head -1`: whoever reads has seen enough. The command runs to its end all the same.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error;
});

const built = new URL('../dist/cli/program.js', import.meta.url);
const packed = new URL('../dist/packed/program.js', import.meta.url);
const { main } = await import((existsSync(built) ? built : packed).href);
process.exitCode = await main(process.argv);
