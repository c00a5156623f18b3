import { describe, expect, it } from 'vitest';
import { isArchiveName, type Manifest, requireReadable } from './backup-archive.ts';

const manifest = (files: Record<string, number>): Manifest => ({
  dirpost: 'backup',
  version: 1,
  postoffice: 'oslo',
  role: 'requestor',
  madeMs: 0,
  program: '1',
  files: Object.entries(files).map(([name, bytes]) => ({ name, bytes, sha256: '0'.repeat(64) })),
});
const least = { 'dirpost.yaml': 1, 'keys.json': 1, 'store.db': 1 };

describe('a name in a backup', () => {
  it.each(['peers/oslo.json~', 'peers/a/b.json', 'files/../x', 'files/a\u001b[2J', 'peers/a\n.json', 'files/a\u0085b'])(
    'is not %j',
    (name) => expect(isArchiveName(name)).toBe(false),
  );

  it.each(['peers/oslo.json', 'files/tls/hq key.pem', 'files/Schlüssel.pem'])('may be %j', (name) =>
    expect(isArchiveName(name)).toBe(true),
  );
});

describe('a list of files', () => {
  it.each<[string, Record<string, number>, RegExp | null]>([
    ['of a whole backup', least, null],
    ['without keys', { 'dirpost.yaml': 1, 'peers/oslo.json': 1, 'store.db': 1 }, /keys\.json is not among/],
    ['with a copy that an editor made', { 'peers/oslo.json~': 1, ...least }, /files\.0\.name/],
    ['with a large small file', { 'files/a': 17 * 1024 * 1024, ...least }, /files\/a is far too large/],
    [
      'with more small files than a restore takes',
      { ...Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`files/${i}`, 16 * 1024 * 1024])), ...least },
      /too many/,
    ],
    ['with a large store', { ...least, 'store.db': 2 ** 40 }, null],
  ])('%s', (_name, files, fault) => {
    const check = (): void => requireReadable(manifest(files));
    if (fault === null) expect(check).not.toThrow();
    else expect(check).toThrow(fault);
  });
});
