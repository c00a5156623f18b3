/** The same without waiting for the disk: what slapd replicates in seconds. */
import { measureFill } from '../ldap-fill.ts';
import type { BenchCase } from '../run.ts';

const ENTRIES = 100_000;

const bench: BenchCase = {
  name: 'ldap-fill-nosync',
  describe: `an empty slapd is filled with ${ENTRIES.toLocaleString('en')} entries of another, both nosync`,
  run: (entries = ENTRIES) => measureFill({ entries, writes: 'nosync', atMost: 1 }),
};
export default bench;
