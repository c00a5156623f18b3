/** Which folders of the mailbox are used, as the server names them, and making the ones that are ours. */
import type { Connection } from './connection.ts';
import { imapFailure } from './imap-failures.ts';
import type { MailboxOptions } from './options.ts';

export interface Folders {
  inbox: string;
  processed: string;
  hasProcessed: boolean;
  /** null: the server has none, or it is not to be read. */
  junk: string | null;
  foreign: string | null;
  hasForeign: boolean;
  /** By special use (RFC 6154); null: none. */
  sent: string | null;
  trash: string | null;
}

export async function findFolders(connection: Connection, options: MailboxOptions): Promise<Folders> {
  const { client } = connection;
  const listed = await ask(connection, 'list the folders', () => client.list());
  const paths = new Set(listed.filter(({ flags }) => !flags.has('\\Noselect')).map(({ path }) => path));
  const used = (use: string) => listed.find(({ specialUse }) => specialUse === use)?.path ?? null;
  const own = (name: string) => ownPath(client.namespace, name, paths);
  const processed = own(options.processed);
  const foreign = options.foreign === null ? null : own(options.foreign);
  const inbox = own(options.inbox);
  const junk = junkOf(options, own, paths, used);
  return {
    inbox,
    processed,
    hasProcessed: paths.has(processed),
    junk: junk === inbox ? null : junk,
    foreign,
    hasForeign: foreign !== null && paths.has(foreign),
    sent: used('\\Sent'),
    trash: used('\\Trash'),
  };
}

/** Made and subscribed to where they are missing, so that people see them. Throws DirpostError `transport-failed`. */
export async function makeFolders(connection: Connection, folders: Folders): Promise<void> {
  if (!folders.hasProcessed) await make(connection, folders.processed);
  folders.hasProcessed = true;
  if (folders.foreign !== null && !folders.hasForeign) await make(connection, folders.foreign);
  folders.hasForeign = folders.foreign !== null;
}

async function make(connection: Connection, path: string): Promise<void> {
  await ask(connection, `make the folder ${path}`, () => connection.client.mailboxCreate(path));
}

async function ask<T>(connection: Connection, doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw imapFailure(error, connection.server, doing);
  }
}

interface Namespace {
  prefix: string;
  delimiter: string | null | undefined;
}

/**
 * RFC 2342: own folders lie below a prefix on some servers ("INBOX."), and levels are parted by their own character. In the
 * configuration levels are parted by "/". A name that the server has as it stands is that folder.
 */
export function ownPath(namespace: Namespace | undefined, name: string, paths: ReadonlySet<string>): string {
  if (name.toUpperCase() === 'INBOX') return 'INBOX';
  if (paths.has(name)) return name;
  const delimiter = namespace?.delimiter;
  const local = delimiter === null || delimiter === undefined ? name : name.replaceAll('/', delimiter);
  const prefix = namespace?.prefix ?? '';
  return local.startsWith(prefix) ? local : `${prefix}${local}`;
}

function junkOf(
  { junk }: MailboxOptions,
  own: (name: string) => string,
  paths: ReadonlySet<string>,
  used: (use: string) => string | null,
): string | null {
  if (junk === false) return null;
  if (junk === null) return used('\\Junk');
  // A server makes its junk folder with the first mail in it.
  return paths.has(own(junk)) ? own(junk) : null;
}
