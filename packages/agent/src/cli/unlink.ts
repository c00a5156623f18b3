/** `dirpost unlink`: forget which entry of the network an entry of a directory is. Only an administrator does that. */
import { DirpostError, normalizeDn } from '@dirpost/core';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';

export async function unlinkCommand(call: Invocation, directory: string, dn: string): Promise<ExitCode> {
  return withAgent(call, {}, async ({ postoffice }) => {
    const names = [...postoffice.publishing, ...postoffice.subscribing].map((one) => one.directory.name);
    if (!names.includes(directory)) {
      throw new DirpostError('wrong-use', `There is no directory ${directory} in the configuration.`, {
        hint: `There are: ${names.join(', ')}`,
      });
    }
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
