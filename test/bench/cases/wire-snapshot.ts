/** A snapshot of 100,000 people on the wire, stable ids included, signed and encrypted, against xz of the same LDIF. */
import { type Change, cutParts, defaultLimits } from '@dirpost/core';
import { organisation, OWNER, toCanonical, toLdif } from '../organisation.ts';
import { compress } from '../peers.ts';
import type { BenchCase, Figure } from '../run.ts';
import { bestOf, codec, cpuSeconds, makeSealers, seal, updateHead } from '../updates.ts';

const ENTRIES = 100_000;

const bench: BenchCase = {
  name: 'wire-snapshot',
  describe: `bytes on the wire for ${ENTRIES.toLocaleString('en')} entries, ids included, signed and encrypted`,
  async run() {
    const changes: Change[] = [];
    const ldif: string[] = [];
    for (const person of organisation(ENTRIES, 1)) {
      const { id, bytes } = toCanonical(person);
      changes.push({ number: changes.length + 1, id, owner: OWNER, state: 'whole', bytes });
      ldif.push(toLdif(person));
    }
    const wire = await measureWire(changes);
    const text = ldif.join('');
    const xz = compress('xz', ['-6'], text);
    const zstd = compress('zstd', ['-19', '-q'], text);
    const perEntry = (bytes: number) => bytes / ENTRIES;
    const sealed = { value: perEntry(wire.sealedBytes), unit: 'B/entry' };
    const figures: Figure[] = [
      {
        what: `sealed, ${wire.parts} parts`,
        ...sealed,
        ...(xz === undefined
          ? {}
          : { peer: 'xz -6', peerValue: perEntry(xz.bytes), goal: { of: 'ratio', atMost: 0.75 } }),
      },
    ];
    if (zstd !== undefined) {
      figures.push({ what: 'the same', ...sealed, peer: 'zstd -19', peerValue: perEntry(zstd.bytes) });
    }
    figures.push({ what: 'LDIF', value: perEntry(Buffer.byteLength(text)), unit: 'B/entry' });
    figures.push({
      what: 'encoding',
      value: wire.encodeCpu,
      unit: 's of CPU',
      // 5 s where xz takes 25 s: others share the machine, so that seconds alone say little.
      ...(xz === undefined ? {} : { peer: 'xz -6', peerValue: xz.cpuSeconds, goal: { of: 'ratio', atMost: 0.2 } }),
    });
    figures.push({ what: 'sealing', value: wire.sealCpu, unit: 's of CPU' });
    figures.push({ what: 'decoding', value: wire.decodeCpu, unit: 's of CPU', goal: { of: 'value', atMost: 0.7 } });
    return figures;
  },
};
export default bench;

async function measureWire(changes: Change[]) {
  const { server, requestor } = await makeSealers();
  // As answers are cut: what travels is what is measured.
  const parts: Change[][] = [];
  for await (const part of cutParts([changes], defaultLimits)) parts.push(part);
  const head = (part: number) => updateHead({ mode: 'repair', part, parts: parts.length, total: changes.length });
  let payloads: Uint8Array[] = [];
  const encodeCpu = bestOf(2, () => (payloads = parts.map((part, i) => codec.encode(head(i), part))));
  const started = process.cpuUsage();
  const sealed: Uint8Array[] = [];
  for (const payload of payloads) sealed.push(await seal(server, payload));
  const sealCpu = cpuSeconds(started);
  const opened: Uint8Array[] = [];
  for (const file of sealed) opened.push((await requestor.open(file)).payload);
  // Part by part, as T3 does.
  const decodeCpu = bestOf(4, () => opened.forEach((payload) => codec.changes(payload)));
  checkSame(
    opened.flatMap((payload) => codec.changes(payload)),
    changes,
  );
  const sealedBytes = sealed.reduce((sum, file) => sum + file.length, 0);
  return { parts: parts.length, sealedBytes, encodeCpu, sealCpu, decodeCpu };
}

function checkSame(decoded: Change[], changes: Change[]): void {
  const same = decoded.filter(({ bytes }, i) => Buffer.compare(bytes, changes[i]!.bytes) === 0).length;
  if (same !== changes.length) throw new Error(`Only ${same} of ${changes.length} entries came back as they were.`);
}
