/** The compressors that dirpost is compared with, as the system has them. */
import { spawnSync } from 'node:child_process';

export interface Compressed {
  bytes: number;
  cpuSeconds: number;
}

/** What the program makes of the text, and the CPU that it took; undefined where it is not installed. */
export function compress(program: string, args: string[], text: string): Compressed | undefined {
  // The shell's `times` says on its second line what its children used: user, system.
  const script = 'command -v "$1" >/dev/null || exit 127; "$@" -c || exit 1; times >&2';
  const result = spawnSync('sh', ['-c', script, 'sh', program, ...args], { input: text, maxBuffer: 1 << 30 });
  if (result.status === 127) return undefined;
  if (result.status !== 0) throw new Error(`${program} failed: ${result.stderr.toString()}`);
  const used = result.stderr
    .toString()
    .trim()
    .split('\n')
    .at(-1)!
    .matchAll(/(\d+)m([\d.]+)s/g);
  const cpuSeconds = [...used].reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0);
  return { bytes: result.stdout.length, cpuSeconds };
}
