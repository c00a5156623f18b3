/**
 * `dirpost unlink` forgets which entry of the network an entry of a directory is; one that was there before dirpost wrote it is never
 * taken for that entry again, until `dirpost link` takes it back. Only an administrator does either.
 */
import { DirpostError, type Link, linkAgain, normalizeDn, unlink } from '@dirpost/core';
import type { Postoffice } from '../postoffice.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';

export async function unlinkCommand(
  call: Invocation,
  directory: string,
  dn: string,
  { entry }: { entry?: string } = {},
): Promise<ExitCode> {
  const only = entry === undefined ? null : idFrom(entry);
  return withAgent(call, {}, async ({ postoffice }) => {
    requireDirectory(postoffice, directory);
    const link = await postoffice.store.transaction((tx) => unlink(tx, directory, dn, only));
    if (link !== null) return tellUnlinked(call, directory, link);
    const association = await postoffice.store.transaction(async (tx) => {
      const [found] = await tx.associationsByDn(directory, [normalizeDn(dn)]);
      if (found !== undefined) await tx.removeAssociations(directory, [found.id]);
      return found;
    });
    if (association === undefined) {
      throw new DirpostError('wrong-use', `No entry of the network is linked to ${dn} in ${directory}.`);
    }
    const id = Buffer.from(association.id).toString('hex');
    call.screen.data({ directory, dn: association.dn, id });
    call.screen.line(`${association.dn} in ${directory} is no longer linked to entry ${id}.`);
    return EXIT.done;
  });
}

/** What waits is looked at anew. */
const NEXT = 'It is looked at anew with the next write: dirpost dispatch --again';

function tellUnlinked({ screen }: Invocation, directory: string, { id, dn, state }: Link): ExitCode {
  const entry = Buffer.from(id).toString('hex');
  screen.data({ directory, dn, id: entry });
  screen.line(
    state === 'adopted'
      ? `${dn} in ${directory} is no longer linked to entry ${entry}. It stays as it is, and the entry gets one of its own.`
      : `${dn} in ${directory} is not entry ${entry}.`,
  );
  screen.line(NEXT);
  return EXIT.done;
}

export async function linkCommand(call: Invocation, directory: string, dn: string): Promise<ExitCode> {
  return withAgent(call, {}, async ({ postoffice }) => {
    requireDirectory(postoffice, directory);
    const links = await postoffice.store.transaction((tx) => linkAgain(tx, directory, dn));
    const [link] = links;
    if (link === undefined) throw new DirpostError('wrong-use', `Nothing was unlinked from ${dn} in ${directory}.`);
    const ids = links.map((one) => Buffer.from(one.id).toString('hex'));
    call.screen.data({ directory, dn: link.dn, ids });
    call.screen.line(
      `${link.dn} in ${directory} may be entry ${ids.join(', ')} again, as long as that has no entry of its own there.`,
    );
    call.screen.line(NEXT);
    return EXIT.done;
  });
}

function idFrom(text: string): Buffer {
  if (/^[0-9a-f]{32}$/i.test(text)) return Buffer.from(text, 'hex');
  throw new DirpostError('wrong-use', 'An entry id has 32 hexadecimal digits; dirpost held shows them with --json.');
}

function requireDirectory({ publishing, subscribing }: Postoffice, directory: string): void {
  const names = [...publishing, ...subscribing].map((one) => one.directory.name);
  if (!names.includes(directory)) {
    throw new DirpostError('wrong-use', `There is no directory ${directory} in the configuration.`, {
      hint: `There are: ${names.join(', ')}`,
    });
  }
}
