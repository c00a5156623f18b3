import { organisation, OWNER, toCanonical } from './organisation.ts';
import { codec, cpuSeconds, cutParts, updateHead } from './updates.ts';
const changes = [];
for (const person of organisation(100_000, 1)) { const { id, bytes } = toCanonical(person); changes.push({ number: changes.length + 1, id, owner: OWNER, state: 'whole', bytes } as any); }
const parts = cutParts(changes);
let s = process.cpuUsage(); let w=performance.now();
const payloads = parts.map((p) => codec.encode(updateHead({ mode: 'repair' }), p));
console.log('encode', cpuSeconds(s), (performance.now()-w)/1e3, 'B/entry', payloads.reduce((a, p) => a + p.length, 0) / 1e5);
for (let i=0;i<3;i++){ s = process.cpuUsage(); w=performance.now();
const d = payloads.map((p) => codec.changes(p));
console.log('decode', cpuSeconds(s), (performance.now()-w)/1e3, d.length);}
