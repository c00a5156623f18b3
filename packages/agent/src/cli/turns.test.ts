/** Steps of commands that run in an agent, where others have asked for the same. */
import { Command } from 'commander';
import { expect, it } from 'vitest';
import type { CycleEvent } from '../events.ts';
import { WorkQueue } from '../work-queue.ts';
import { EXIT, invocation, type RunningHere, withTurns } from './command.ts';

it('a step that is done for two commands is told to both, and once to the log', async () => {
  const log: string[] = [];
  const postoffice = { tell: ({ text }: CycleEvent) => log.push(text) };
  const signal = new AbortController().signal;
  const queue = new WorkQueue(signal);
  const running: RunningHere = {
    agent: { postoffice } as unknown as RunningHere['agent'],
    configuration: {} as RunningHere['configuration'],
    configFile: 'dirpost.yaml',
    inTurn: (work, of, name) => queue.addOnce(name!, () => work(postoffice as never), of),
  };
  const said = ['', ''];
  const commands = said.map((_, i) => {
    const out = { write: (text: string) => void (said[i] += text), isTTY: false };
    const call = invocation(new Command(), [], { out, err: out }, signal, { cwd: '.', running });
    return withTurns(call, async (turn) => {
      await turn(async ({ tell }) => tell({ time: 'T0', level: 'info', text: 'read by one' }), 'sync');
      return EXIT.done;
    });
  });
  expect(await Promise.all(commands)).toEqual([EXIT.done, EXIT.done]);
  expect(log).toEqual(['read by one']);
  for (const text of said) expect(text.match(/read by one/g)).toHaveLength(1);
});
