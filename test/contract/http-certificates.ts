/** Certificates for the tests of transport `http`, made by openssl in a temporary folder. */
import { execFile, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Where tests are counted (CI) a missing openssl is a fault of the machine, elsewhere it is said aloud. */
export function hasOpenssl(): boolean {
  if (spawnSync('openssl', ['version']).status === 0) return true;
  if (process.env['CI'] !== undefined) throw new Error('The tests of TLS need openssl, and it is not installed.');
  console.warn('openssl is not installed: the tests of TLS are SKIPPED.');
  return false;
}

export interface Authority {
  /** PEM file of the authority. */
  ca: string;
  /** Makes `<folder>/<file>.pem` and `.key`. `names`: as they stand in subjectAltName. */
  issue(file: string, names: string): Promise<{ certificate: string; key: string }>;
}

export async function makeAuthority(folder: string, name: string): Promise<Authority> {
  const [ca, caKey] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await run('openssl', ['req', '-x509', ...newKey, '-days', '2', '-subj', `/CN=${name}`, '-keyout', caKey, '-out', ca]);
  return {
    ca,
    async issue(file, names) {
      const path = (end: string) => join(folder, `${file}.${end}`);
      await run('openssl', ['req', ...newKey, '-subj', `/CN=${file}`, '-keyout', path('key'), '-out', path('csr')]);
      await writeFile(path('ext'), `subjectAltName=${names}\n`);
      const by = ['-CA', ca, '-CAkey', caKey, '-set_serial', `${Date.now()}`, '-days', '2', '-extfile', path('ext')];
      await run('openssl', ['x509', '-req', '-in', path('csr'), ...by, '-out', path('pem')]);
      return { certificate: path('pem'), key: path('key') };
    },
  };
}
