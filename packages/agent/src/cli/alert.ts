/**
 * `dirpost status --alert`: one line for a monitoring program, and exit code 1 where something stands still until somebody
 * does something about it. What only wants to be looked at now and then (refused entries, duplicates, conflicts) is no reason.
 */
import type { AttentionCode } from '../requestor-status.ts';
import { directoryProblem, type Status } from '../status.ts';
import { EXIT, type ExitCode } from './command.ts';
import type { Screen } from './screen.ts';

/** In the order of urgency. */
const REASONS: [AttentionCode, words: string][] = [
  ['stopped', 'stopped: another copy of it is alive'],
  ['not-joined', 'its invitation was refused'],
  ['directory', 'cannot be read or written'],
  ['unanswered', 'the server does not answer'],
  ['unsent', 'cannot be sent to'],
  ['uncollected', 'a transport cannot be asked for what has arrived'],
  ['bounced', 'mails came back'],
  ['removed-directory', 'no longer configured, and nobody said what becomes of its entries'],
  ['stale', 'silent beyond the retention'],
  ['overdue', 'overdue'],
  ['never-heard', 'never heard of'],
  ['older-copy', 'an older copy of it still sends'],
  ['older-keys', 'uses keys that it has replaced'],
  ['no-keys', 'no keys of it here'],
  ['held', 'held for a word'],
];

export function tellAlert(screen: Screen, status: Status): ExitCode {
  const told = REASONS.map(([code, words]) => ({ code, words, who: whoIsMeant(status, code) })).filter(
    ({ who }) => who.length > 0,
  );
  if (told.length === 0) {
    screen.line(`OK ${status.postoffice}: nothing needs an administrator.`);
    return EXIT.done;
  }
  const isOnlyHeld = told.every(({ code }) => code === 'held');
  const what = told.map(({ words, who }) => `${who.join(', ')} (${words})`).join('; ');
  screen.line(`${isOnlyHeld ? 'HELD' : 'ALERT'} ${status.postoffice}: ${what}. Look closer: dirpost status`);
  return isOnlyHeld ? EXIT.held : EXIT.failed;
}

/** Directories and requestors by name; this postoffice where it is about itself. */
function whoIsMeant(status: Status, code: AttentionCode): string[] {
  const { attention, directories, removedDirectories, server, postoffice } = status;
  const requestors = (server?.requestors ?? []).filter((one) => one.attention.includes(code)).map(({ name }) => name);
  if (!attention.includes(code)) return requestors;
  if (code === 'directory') return directories.filter((one) => directoryProblem(one) !== null).map(({ name }) => name);
  if (code === 'removed-directory') return removedDirectories.map(({ name }) => name);
  return [...new Set([postoffice, ...requestors])];
}
