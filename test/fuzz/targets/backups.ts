/** What is read when a postoffice is restored, and the statements by which others come to know its keys. */
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publicKeys } from '@dirpost/message';
import { isArchiveName, readArchive, writeArchive } from '../../../packages/agent/src/backup-archive.ts';
import { followStatements, rolledStatement } from '../../../packages/message/src/key-statement.ts';
import { keys } from '../../vectors/vector.ts';
import type { Target } from '../target.ts';

const BLOCK_BYTES = 512;
const CHECKSUM_AT = 148;
const KIND_AT = 156;

async function archive(): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), 'dirpost-fuzz-'));
  const names = ['dirpost.yaml', 'keys.json', 'store.db'];
  const files = names.map((name) => ({
    name,
    bytes: name.length,
    sha256: createHash('sha256').update(name).digest('hex'),
  }));
  for (const name of names) await writeFile(join(folder, name), name);
  const chunks: Uint8Array[] = [];
  const manifest = {
    dirpost: 'backup',
    version: 1,
    postoffice: 'oslo',
    role: 'requestor',
    madeMs: 0,
    program: '1',
    files,
  } as const;
  for await (const chunk of writeArchive({ ...manifest, files }, folder)) chunks.push(chunk);
  await rm(folder, { recursive: true });
  return Buffer.concat(chunks);
}

/** With the checksums of its blocks made right: else hardly any header would be looked at. */
function summed(input: Uint8Array): Buffer {
  const octets = Buffer.from(input);
  for (let at = 0; at + BLOCK_BYTES <= octets.length; at += BLOCK_BYTES) {
    const block = octets.subarray(at, at + BLOCK_BYTES);
    if (block[KIND_AT] !== 0x30) continue;
    block.fill(0x20, CHECKSUM_AT, CHECKSUM_AT + 8);
    const sum = block.reduce((total, octet) => total + octet, 0);
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, CHECKSUM_AT, 'latin1');
  }
  return octets;
}

const backup: Target = {
  name: 'backup',
  about: 'the archive inside of a backup: names, sizes and checksums',
  seeds: async () => [await archive()],
  words: ['../', 'files/', 'peers/', '"bytes":', '"version":2', '\0', 'store.db', 'keys.json', '77777777777'],
  async run(input) {
    const octets = summed(input);
    async function* source(): AsyncGenerator<Uint8Array> {
      yield octets.subarray(0, 100);
      yield octets.subarray(100);
    }
    await readArchive(
      source(),
      async () => {},
      async ({ name, content, bytes }) => {
        assert.equal(isArchiveName(name) && !name.split('/').includes('..') && !name.startsWith('/'), true);
        let length = 0;
        for await (const piece of content) length += piece.length;
        assert.equal(length, bytes);
      },
    );
  },
};

const statements: Target = {
  name: 'key-statements',
  about: 'statements by which a postoffice comes to other keys: nothing that its keys did not sign counts',
  async seeds() {
    const { signing } = await publicKeys(keys['bergen']!);
    return [rolledStatement({ serial: 1, name: 'oslo', signing }, keys['oslo']!)];
  },
  async run(input) {
    const [oslo, bergen] = [await publicKeys(keys['oslo']!), await publicKeys(keys['bergen']!)];
    const known = { signing: [oslo.signing], recipients: [oslo.recipient], recoveryKey: bergen.signing };
    const { signing, recovered } = followStatements('oslo', known, [input, input]);
    assert.equal(recovered, null);
    assert.equal(
      signing.every((one) => one === oslo.signing || one === bergen.signing),
      true,
    );
  },
};

export const backupTargets = [backup, statements];
