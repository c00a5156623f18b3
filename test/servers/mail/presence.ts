/** `describe` for tests that need Exim and Dovecot. */
import { describeWith } from '../presence.ts';
import { mailServers } from './programs.ts';

export function describeMail(name: string, tests: () => void): void {
  describeWith(mailServers, name, tests);
}
