/**
 * Small files that ask for much, sealed and signed by a postoffice that is known: what opening them costs, measured in a
 * process of its own. That each is refused, and with which code: test/vectors (bad-brotli-bomb, bad-count-bomb,
 * bad-head-nesting …). Bombs in YAML: packages/agent/src/config/load.test.ts; in mails: …/mail/recognise.test.ts.
 */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompressSync, constants } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { configurationFaults } from 'dirpost';
import { tooDeepAt } from '../../packages/agent/src/config/nesting.ts';
import { Octets } from '../../packages/message/src/columns/octets.ts';
import { encodeHead } from '../../packages/message/src/head.ts';
import { updateHead } from '../vectors/heads.ts';
import { payloadOf, sealWith } from '../vectors/sealing.ts';
import { folder as vectors, formatVector } from '../vectors/vector.ts';

const MIB = 1024 * 1024;
const run = promisify(execFile);
const script = fileURLToPath(new URL('open-once.ts', import.meta.url));

interface Cost {
  code: string;
  ms: number;
  peakBytes: number;
}

const named = readdirSync(vectors).filter((file) => /bomb|nesting|huge|count/.test(file));

let folder: string;
let costs: Record<string, Cost>;

/** 256 MiB of nothing, in columns that say to hold so many octets. */
async function squeezed(packed: Uint8Array, name: string, saidBytes: number): Promise<string> {
  const columns = new Octets();
  columns.varint(saidBytes);
  columns.varint(packed.length);
  columns.raw(packed);
  const bytes = await sealWith({ payload: payloadOf(encodeHead(updateHead('delta')), columns.view()) });
  await writeFile(join(folder, name), formatVector({ name, expect: '', receiver: 'bergen', comment: '', bytes }));
  return join(folder, name);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dirpost-bombs-'));
  // A higher quality only takes longer.
  const packed = brotliCompressSync(Buffer.alloc(256 * MIB), { params: { [constants.BROTLI_PARAM_QUALITY]: 3 } });
  expect(packed.length).toBeLessThan(64 * 1024);
  const files = [
    await squeezed(packed, '256 MiB as it says', 256 * MIB),
    await squeezed(packed, '256 MiB that say to be 1,000 octets', 1_000),
    await squeezed(packed, '256 MiB that say to be 8 MiB', 8 * MIB),
    ...named.map((file) => fileURLToPath(new URL(file, vectors))),
  ];
  const args = ['--conditions', 'development', '--import', 'tsx', script, ...files];
  costs = JSON.parse((await run(process.execPath, args)).stdout) as Record<string, Cost>;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('a small file that asks for much is refused, for less than 64 MiB and a second of processor time', () => {
  expect(named.length).toBeGreaterThan(6);
  expect(Object.keys(costs)).toHaveLength(named.length + 3);
  const tooDear = Object.entries(costs).filter(
    ([, { code, ms, peakBytes }]) => code === 'ok' || ms >= 1_000 || peakBytes >= 64 * MIB,
  );
  expect(tooDear).toEqual([]);
});

it.each(['- ', '? ', 'a: - ', '[', '{a: '])(
  'a configuration that is nothing but levels of %j is told as such',
  (level) => {
    const [fault, ...others] = configurationFaults(`postoffice: oslo\n${level.repeat(6_000)}`, folder);
    expect([fault!.message, others]).toEqual(['this is nested far too deeply', []]);
    expect(fault!.line).toBe(2);
  },
);

it.each(['? '.repeat(123), `${'{'.repeat(60)}a${': 1}'.repeat(60)}: 1`, '[[a]]: 1', 'a: &x [b]\n? *x\n: 1'])(
  'a configuration whose keys are no texts is told so, at once: %.20j',
  (text) => {
    const faults = configurationFaults(`postoffice: oslo\n${text}\n`, folder);
    expect(faults.length).toBeGreaterThan(0);
  },
);

it('a configuration as people write it is not too deep', () => {
  const deep = Array.from({ length: 20 }, (_, level) => `${'  '.repeat(level)}a:`).join('\n');
  const text = `${deep} [[[[1]], {b: {c: [d, '[[[[[', "{{{"]}}]] # ${'['.repeat(200)}\n${'x'.repeat(1_000)}: "${'- '.repeat(500)}"\n`;
  expect(tooDeepAt(deep)).toBeNull();
  expect(tooDeepAt(text.replace('x'.repeat(1_000), 'x'))).toBeNull();
});
