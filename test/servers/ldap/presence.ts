/** `describe` for tests that need a directory server. */
import { describeWith } from '../presence.ts';
import { ds389Servers, kerberosServers, sambaServers, slapdServers } from './programs.ts';

export function describeSlapd(name: string, tests: () => void): void {
  describeWith(slapdServers, name, tests);
}

export function describe389(name: string, tests: () => void): void {
  describeWith(ds389Servers, name, tests);
}

export function describeSamba(name: string, tests: () => void): void {
  describeWith(sambaServers, name, tests);
}

export function describeKerberos(name: string, tests: () => void): void {
  describeWith(kerberosServers, name, tests);
}
