/**
 * Rule 5, played: a submission of a dead branch is on its way while the other branch lives on, and comes late. Worlds come
 * to it too seldom (none of 110 seeds) for one of the mutations of mutations.ts.
 */
import { recoverOnlyCopy } from '@dirpost/core';
import { expect, it } from 'vitest';
import { readingExchangesAs, readingRequestors, withLive } from './lies.ts';
import { Machine, type Mutation } from './machine.ts';
import { Play } from './play.ts';

/** A copy takes a new incarnation and submits everything; before that arrives the original submits somebody new. */
async function lateSubmissionOfCopy(mutation?: Mutation): Promise<Play> {
  const play = new Play(mutation);
  const { world, oslo } = play;
  play.joins('k1');
  await play.arrive(await play.arriveAtServer(await play.sends(oslo)), oslo);
  const copy = new Machine("oslo'", oslo.office, world.around, oslo.image());
  const { postoffice } = await copy.start();
  await postoffice.store.transaction((tx) => recoverOnlyCopy(tx, postoffice.random));
  const late = await play.sends(copy);
  play.joins('k2');
  await play.arrive(await play.arriveAtServer(await play.sends(oslo)), oslo);
  await play.arriveAtServer(late);
  return play;
}

it('what replaces another stamp than the present one changes nothing', async () => {
  const { world } = await lateSubmissionOfCopy();
  expect(world.watch.violations).toEqual([]);
});

it('without that rule somebody is lost who never left, and it is noticed', async () => {
  let present = '';
  const { world } = await lateSubmissionOfCopy({
    codec: (codec, postoffice) =>
      readingExchangesAs(codec, postoffice, (head) => ({
        ...head,
        submission: withLive(head.submission, 'replaces', () => present),
      })),
    store: (tx, postoffice) =>
      readingRequestors(tx, postoffice, (record) => {
        present = record.stamp;
        return record;
      }),
  });
  expect(world.watch.violations).toEqual(['lost: collected on hq no longer has k2 of oslo, who never left']);
});
