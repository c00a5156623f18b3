/**
 * A message that could not be sent has a time for its next try. When the clock goes back after that, it must not wait until
 * then: parts once waited 200 days. Played, for worlds come to it too seldom (none of 96 seeds).
 */
import { DirpostError } from '@dirpost/core';
import { expect, it } from 'vitest';
import { DAY_MS } from './machine.ts';
import { Play } from './play.ts';

it.each([1, 30, 200])('what waits for its next try is sent although the clock went back by %i days', async (days) => {
  const play = new Play();
  const { world, oslo } = play;
  const exchange = await play.sends(oslo);
  const post = world.network.post.bind(world.network);
  world.network.post = () => {
    throw new DirpostError('transport-failed', 'The line is down.', { retry: 'later' });
  };
  expect(await play.arriveAtServer(exchange)).toEqual([]);
  world.network.post = post;
  expect(await play.arriveAtServer([])).toEqual([]);
  world.nowMs -= days * DAY_MS;
  const answer = await play.arriveAtServer([]);
  expect(answer.map(({ to }) => to)).toEqual(['oslo']);
  await play.arrive(answer, oslo);
  expect((await oslo.own()).cursor).not.toBeNull();
});
