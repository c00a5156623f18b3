/** `dirpost list show`: who receives what. */
import {
  allRequestors,
  type ListRecord,
  listDocument,
  listFor,
  DirpostError,
  type ServerContext,
  type StoreTx,
} from '@dirpost/core';
import { counted } from '../events.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';

export async function listShow(call: Invocation, name: string | undefined): Promise<ExitCode> {
  return withAgent(call, { readOnly: true, quiet: true }, async ({ postoffice }) => {
    const { server } = postoffice;
    if (server === null) {
      throw new DirpostError(
        'wrong-use',
        `${postoffice.name} is a requestor; address lists are defined on its server.`,
        {
          hint: 'What this postoffice received: dirpost entries',
        },
      );
    }
    const { screen } = call;
    const lists = (await postoffice.store.read((tx) => gather(tx, server))).filter(
      (list) => name === undefined || list.name === name,
    );
    if (lists.length === 0 && name !== undefined)
      throw new DirpostError('wrong-use', `There is no list ${name} in the configuration.`);
    screen.data(lists);
    for (const list of lists) {
      screen.line(`${list.name}: ${counted(list.entries, 'entry')}`);
      screen.facts([
        ['filter', list.filter],
        ['released', list.attributes.join(', ')],
        ['edits', (list.edits ?? []).join(', ') || 'none'],
        ['receivers', list.receivers === '*' ? 'all that no other list names' : list.receivers.join(', ')],
        ['followed by', list.followers.join(', ')],
        ['digest', list.digest],
      ]);
      screen.table(list.owners, [
        { title: '  owner', value: (one) => `  ${one.owner}` },
        { title: 'entries', value: (one) => one.count, align: 'right' },
        { title: 'digest', value: (one) => one.digest },
      ]);
    }
    if (lists.length === 0) screen.line('No address lists are defined; nobody receives anything.');
    return EXIT.done;
  });
}

async function gather(tx: StoreTx, server: ServerContext) {
  const names = (await allRequestors(tx)).map((record) => record.name);
  const lists = [];
  for (const { definition } of server.lists) {
    const record = await tx.getDocument<ListRecord>(listDocument(definition.name));
    lists.push({
      ...definition,
      entries: record?.count ?? 0,
      digest: record?.digest ?? null,
      followers: names.filter((name) => listFor(server.lists, name)?.definition.name === definition.name),
      owners: await tx.sums(definition.name),
    });
  }
  return lists;
}
