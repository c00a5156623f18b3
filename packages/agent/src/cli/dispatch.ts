/** `dirpost dispatch`: take and process what has arrived, and send what is due. */
import { loadOwn } from '@dirpost/core';
import { addSubmission, answerWhatIsDue, dispatchAll } from '../cycle.ts';
import { addSent } from '../dispatch.ts';
import { counted } from '../events.ts';
import { heldHere, heldLines, isHeld } from '../held.ts';
import { sendOutgoing } from '../send.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { bytes } from './screen.ts';

export async function dispatchCommand(call: Invocation, { again = false }: { again?: boolean }): Promise<ExitCode> {
  return withAgent(call, {}, async ({ postoffice }) => {
    const { screen, signal } = call;
    const options = { signal, progress: screen.progress.bind(screen) };
    // A person who types it does not want to wait for the next try.
    const sent = await sendOutgoing(postoffice, signal, true);
    const result = await dispatchAll(postoffice, { ...options, again });
    addSent(result.sent, sent);
    addSubmission(result.sent, await answerWhatIsDue(postoffice, options));
    const held = await postoffice.store.read((tx) => heldHere(tx, postoffice));
    const { stopped } = await postoffice.store.read(loadOwn);
    screen.data({ ...result, held, stopped });
    const { collected, corrupt, unwritten } = result;
    screen.line(
      `${counted(collected, 'message file')} collected, ${result.sent.messages} sent (${bytes(result.sent.bytes)}).`,
    );
    if (corrupt > 0) screen.line(`${counted(corrupt, 'message file')} could not be taken; see: dirpost queue`);
    for (const line of heldLines(held)) screen.line(line);
    if (stopped !== null) {
      screen.line('This postoffice has stopped; what is meant for it was left to its other copy. See: dirpost status');
    }
    if (stopped !== null || corrupt > 0 || unwritten > 0 || result.sent.failed > 0) return EXIT.failed;
    return isHeld(held) ? EXIT.held : EXIT.done;
  });
}
