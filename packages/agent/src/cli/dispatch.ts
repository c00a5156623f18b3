/** `dirpost dispatch`: take and process what has arrived, and send what is due. */
import { dispatch } from '../dispatch.ts';
import { exchangeIsDue, submit, sendOutgoing } from '../send.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { bytes } from './screen.ts';

export async function dispatchCommand(call: Invocation): Promise<ExitCode> {
  return withAgent(call, {}, async ({ postoffice }) => {
    const { screen, signal } = call;
    const result = await dispatch(postoffice, { signal, progress: screen.progress.bind(screen) });
    // What the server asked for (a full submission, bucket digests), and exchanges that nobody answered.
    if ((await exchangeIsDue(postoffice)) && postoffice.server === null) {
      await submit(postoffice);
      const sent = await sendOutgoing(postoffice, signal);
      result.sent.messages += sent.messages;
      result.sent.bytes += sent.bytes;
      result.sent.failed += sent.failed;
    }
    screen.data(result);
    const { collected, corrupt, sent } = result;
    screen.line(`${collected} message files collected, ${sent.messages} sent (${bytes(sent.bytes)}).`);
    if (corrupt > 0) screen.line(`${corrupt} could not be taken; see: dirpost queue`);
    return corrupt > 0 || sent.failed > 0 ? EXIT.failed : EXIT.done;
  });
}
