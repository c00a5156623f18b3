/** `describe` for tests that need a directory server. */
import { findKerberos } from '../../../packages/adapters/src/directories/ldap/gssapi.ts';
import { describeWith } from '../presence.ts';
import type { Servers } from '../programs.ts';
import { ds389Servers, sambaServers, slapdServers } from './programs.ts';

/** The client's side is a package of npm that is built with the headers of Kerberos. */
const kerberosServers: Servers = {
  name: 'Samba AD with Kerberos',
  lacks: () => [...sambaServers.lacks(), ...(findKerberos() === null ? ['the package kerberos is not installed'] : [])],
};

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
