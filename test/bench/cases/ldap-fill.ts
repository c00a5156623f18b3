/** Filling an empty directory from another through dirpost, beside the own replication of slapd: both durable. */
import { measureFill } from '../ldap-fill.ts';
import type { BenchCase } from '../run.ts';

const ENTRIES = 100_000;

const bench: BenchCase = {
  name: 'ldap-fill',
  describe: `an empty slapd is filled with ${ENTRIES.toLocaleString('en')} entries of another, both durable`,
  run: (entries = ENTRIES) => measureFill({ entries, writes: 'durable', atMost: 0.2 }),
};
export default bench;
