/** `dirpost recover --only-copy`: the administrator's word that no other copy of this postoffice runs. */
import { DirpostError, recoverOnlyCopy } from '@dirpost/core';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';

export async function recover(call: Invocation, options: { onlyCopy?: boolean }): Promise<ExitCode> {
  if (options.onlyCopy !== true) {
    throw new DirpostError('wrong-use', 'Recovering lets this copy go on and makes any other one stop.', {
      retry: 'operator',
      hint: 'Make sure that no other copy of this postoffice runs, then: dirpost recover --only-copy',
    });
  }
  return withAgent(call, {}, async ({ postoffice }) => {
    const incarnation = await postoffice.store.transaction((tx) => recoverOnlyCopy(tx, postoffice.random));
    call.screen.data({ postoffice: postoffice.name, incarnation });
    call.screen.line(`${postoffice.name} goes on as incarnation ${incarnation}. Next: dirpost sync`);
    return EXIT.done;
  });
}
