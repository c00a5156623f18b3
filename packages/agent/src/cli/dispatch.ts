/** `dirpost dispatch`: take and process what has arrived, and send what is due. */
import { collect } from '../collect.ts';
import { addSent, catchUpOwn, dispatch } from '../dispatch.ts';
import { exchangeIsDue, submit, sendOutgoing } from '../send.ts';
import { counted } from '../events.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { bytes } from './screen.ts';

export async function dispatchCommand(call: Invocation): Promise<ExitCode> {
  return withAgent(call, {}, async ({ postoffice }) => {
    const { screen, signal } = call;
    const options = { signal, progress: screen.progress.bind(screen) };
    // A person who types it does not want to wait for the next try.
    const sent = await sendOutgoing(postoffice, signal, true);
    const result = await dispatch(postoffice, options);
    addSent(result.sent, sent);
    await catchUpOwn(postoffice, result, options);
    // What the server asked for (a full submission, bucket digests), and exchanges that nobody answered.
    if ((await exchangeIsDue(postoffice)) && postoffice.server === null) {
      await collect(postoffice, options);
      await submit(postoffice);
      addSent(result.sent, await sendOutgoing(postoffice, signal));
    }
    screen.data(result);
    const { collected, corrupt, unwritten } = result;
    screen.line(
      `${counted(collected, 'message file')} collected, ${result.sent.messages} sent (${bytes(result.sent.bytes)}).`,
    );
    if (corrupt > 0) screen.line(`${counted(corrupt, 'message file')} could not be taken; see: dirpost queue`);
    return corrupt > 0 || unwritten > 0 || result.sent.failed > 0 ? EXIT.failed : EXIT.done;
  });
}
