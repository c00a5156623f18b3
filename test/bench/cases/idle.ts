/** What an agent costs that waits: CPU, memory, and the time until it is ready, with 1,000,000 entries in its store. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentProcess } from '../agent-process.ts';
import { organisation, toLdif } from '../organisation.ts';
import type { BenchCase, Figure } from '../run.ts';

const ENTRIES = 1_000_000;
const WATCHED_MS = 30_000;
/** Once, some 10 to 20 s after the start, the collector gives back what the start took: no part of waiting. */
const SETTLING_MS = 30_000;

const bench: BenchCase = {
  name: 'idle',
  describe: `an agent that waits, with ${ENTRIES.toLocaleString('en')} entries in its store`,
  async run(): Promise<Figure[]> {
    const server = new AgentProcess();
    try {
      const file = openSync(join(server.folder, 'people.ldif'), 'w');
      writeSync(file, 'version: 1\n\n');
      for (const person of organisation(ENTRIES, 1)) writeSync(file, toLdif(person));
      closeSync(file);
      server.init();
      // As scheduled, so that nothing is due when the agent starts.
      server.command('run', '--once');
      const ready = await server.start();
      await sleep(SETTLING_MS);
      const [cpu, started] = [server.cpuSeconds(), performance.now()];
      await sleep(WATCHED_MS);
      const percent = ((server.cpuSeconds() - cpu) / ((performance.now() - started) / 1000)) * 100;
      return [
        { what: 'CPU', value: percent, unit: '%', goal: { of: 'value', atMost: 0.5 } },
        { what: 'resident', value: server.residentBytes() / 1_000_000, unit: 'MB', goal: { of: 'value', atMost: 120 } },
        { what: 'ready after', value: ready, unit: 's', goal: { of: 'value', atMost: 1 } },
      ];
    } finally {
      await server.close();
    }
  },
};
export default bench;
