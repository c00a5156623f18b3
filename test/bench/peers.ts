/** The compressors that dirpost is compared with, as the system has them. */
import { spawnSync } from 'node:child_process';

/** The size of what the program makes of the text; undefined where it is not installed. */
export function compressedBytes(program: string, args: string[], text: string): number | undefined {
  const result = spawnSync(program, [...args, '-c'], { input: text, maxBuffer: 1 << 30 });
  if (result.error !== undefined) return undefined;
  if (result.status !== 0) throw new Error(`${program} failed: ${result.stderr.toString()}`);
  return result.stdout.length;
}
