/** An agent of the built program, for tests of what commands do beside it. */
import { once } from 'node:events';
import { type Office, start } from '../demo/office.ts';

/** Until it is ready. Throws when it ends before. */
export async function startAgent(office: Office): Promise<{ pid: number; stop(): Promise<void> }> {
  const child = start(['--config', office.config, 'run']);
  const closed = once(child, 'close');
  let out = '';
  for await (const text of child.stdout!.setEncoding('utf8')) {
    out += String(text);
    if (/ ready/.test(out)) break;
  }
  if (!/ ready/.test(out)) throw new Error(`The agent of ${office.name} ended:\n${out}`);
  return {
    pid: child.pid!,
    async stop() {
      child.kill('SIGKILL');
      await closed;
    },
  };
}
