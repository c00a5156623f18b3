/**
 * `dirpost unlink` forgets which entry of the network an entry of a directory is; one that was there before dirpost wrote it is never
 * taken for that entry again, until `dirpost link` takes it back. Only an administrator does either. Of an entry that is published
 * there is something to forget only where it was taken for one that had another key; that costs the others a removal and
 * a new entry, and so has to be said (`--as-new`).
 */
import {
  bringTogether,
  DirpostError,
  type Link,
  linkAgain,
  normalizeDn,
  type PublishedAt,
  publishedAt,
  setApart,
  type StoreTx,
  unlink,
} from '@dirpost/core';
import type { Postoffice } from '../postoffice.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';

interface UnlinkOptions {
  entry?: string;
  asNew?: boolean;
}

export async function unlinkCommand(
  call: Invocation,
  directory: string,
  dn: string,
  { entry, asNew = false }: UnlinkOptions = {},
): Promise<ExitCode> {
  const only = entry === undefined ? null : idFrom(entry);
  return withAgent(call, {}, async ({ postoffice }) => {
    requireDirectory(postoffice, directory);
    const { store } = postoffice;
    const link = await store.transaction((tx) => unlink(tx, directory, dn, only));
    if (link !== null) return tellUnlinked(call, directory, link);
    const published = await store.read((tx) => publishedAt(tx, directory, dn));
    if (published !== null) return unlinkPublished(call, postoffice, directory, { ...published, asNew });
    const association = await store.transaction((tx) => forgetWrittenAt(tx, postoffice, directory, dn));
    const id = hex(association.id);
    call.screen.data({ directory, dn: association.dn, id });
    call.screen.line(`${association.dn} in ${directory} is no longer linked to entry ${id}.`);
    return EXIT.done;
  });
}

async function unlinkPublished(
  { screen }: Invocation,
  { store }: Postoffice,
  directory: string,
  { row, dn, key, asNew }: PublishedAt & { asNew: boolean },
): Promise<ExitCode> {
  const id = hex(row.id);
  if (key === null) {
    const why = `${dn} is published from ${directory} as entry ${id}, which its own key makes it: there is nothing to unlink.`;
    throw new DirpostError('wrong-use', why, {
      hint: 'To take it out of the network leave it out of what is read there: filter, or exclude.',
    });
  }
  if (!asNew) {
    const why = `${dn} was taken for entry ${id}, which had another key in ${directory}, and is published as that. Unlinked, that entry leaves the network, and this one comes as a new one, for everybody.`;
    throw new DirpostError('wrong-use', `${why} Nothing was done.`, {
      hint: `If that is meant: dirpost unlink ${directory} "${dn}" --as-new`,
    });
  }
  await store.transaction((tx) => setApart(tx, directory, { key, id: row.id, dn }));
  screen.data({ directory, dn, id, asNew });
  screen.line(`${dn} in ${directory} is not entry ${id}.`);
  screen.line('With the next sync that entry leaves the network, and this one comes as a new one, within the limits.');
  screen.line(`  Look first: dirpost preview. Until then this takes it back: dirpost link ${directory} "${dn}"`);
  return EXIT.done;
}

/** What dirpost wrote itself. Throws DirpostError `wrong-use` where that is nothing, or has no use. */
async function forgetWrittenAt(tx: StoreTx, { subscribing }: Postoffice, directory: string, dn: string) {
  const [found] = await tx.associationsByDn(directory, [normalizeDn(dn)]);
  if (found === undefined)
    throw new DirpostError('wrong-use', `No entry of the network is linked to ${dn} in ${directory}.`);
  const target = subscribing.find((one) => one.directory.name === directory);
  // Groups name him by it, and the next change would write him there again.
  if (target?.directory.writes === 'changes') {
    const why = `${found.dn} in ${directory} is what dirpost made for entry ${hex(found.id)}: there is nothing to unlink.`;
    throw new DirpostError('wrong-use', why, {
      hint: 'Only what was there before can be unlinked (adopt). What was made goes when its owner removes it, or with dirpost directory remove --withdraw.',
    });
  }
  await tx.removeAssociations(directory, [found.id]);
  return found;
}

/** What waits is looked at anew. */
const NEXT = 'It is looked at anew with the next write: dirpost dispatch --again';

function tellUnlinked({ screen }: Invocation, directory: string, { id, dn, state }: Link): ExitCode {
  const entry = hex(id);
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
    const { links, back } = await postoffice.store.transaction(async (tx) => ({
      links: await linkAgain(tx, directory, dn),
      back: await bringTogether(tx, directory, dn),
    }));
    if (links.length + back.length === 0)
      throw new DirpostError('wrong-use', `Nothing was unlinked from ${dn} in ${directory}.`);
    const ids = [...links.map(({ id }) => id), ...back].map(hex);
    call.screen.data({ directory, dn: links[0]?.dn ?? dn, ids });
    if (back.length > 0) {
      call.screen.line(
        `${dn} in ${directory} may be entry ${back.map(hex).join(', ')} again, as long as that is published.`,
      );
      call.screen.line('It is looked at with the next sync.');
    }
    if (links.length === 0) return EXIT.done;
    call.screen.line(
      `${links[0]!.dn} in ${directory} may be entry ${links.map(({ id }) => hex(id)).join(', ')} again, as long as that has no entry of its own there.`,
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
      hint: `There are: ${[...new Set(names)].join(', ')}`,
    });
  }
}

function hex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}
