import { expect, it } from 'vitest';
import { WorkQueue } from './work-queue.ts';

const signal = new AbortController().signal;

/** A queue whose work waits until `go` is called; what was done, in order. */
function held() {
  const stop = new AbortController();
  const queue = new WorkQueue(stop.signal);
  const done: string[] = [];
  let go = () => {};
  const first = queue.add(() => new Promise<void>((resolve) => (go = resolve)));
  const work = (what: string) => async () => {
    done.push(what);
    return what;
  };
  const release = async () => {
    await Promise.resolve();
    go();
    await first;
  };
  return { queue, stop, done, work, release };
}

it('work of one name that waits is done once for all who asked', async () => {
  const { queue, done, work, release } = held();
  const asked = [queue.addOnce('sync', work('a')), queue.addOnce('sync', work('b')), queue.addOnce('other', work('c'))];
  await release();
  expect(await Promise.all(asked)).toEqual(['a', 'a', 'c']);
  expect(done).toEqual(['a', 'c']);
});

it('what is asked for while such work is being done is done after it', async () => {
  const { queue, done, work, release } = held();
  let second: Promise<string> | undefined;
  const first = queue.addOnce('sync', async () => {
    second = queue.addOnce('sync', work('second'));
    done.push('first');
    return 'first';
  });
  await release();
  expect([await first, await second, done]).toEqual(['first', 'second', ['first', 'second']]);
});

it('who asked first and goes away takes nothing from the others', async () => {
  const { queue, done, work, release } = held();
  const gone = new AbortController();
  const first = queue.addOnce('sync', work('a'), gone.signal);
  const others = ['b', 'c'].map((what) => queue.addOnce('sync', work(what), signal));
  gone.abort(new Error('gone'));
  await release();
  await expect(first).rejects.toThrow('gone');
  expect([await Promise.all(others), done]).toEqual([['b', 'b'], ['b']]);
});

it('who asked first and goes away while it is done takes nothing from the others', async () => {
  const { queue, done, work, release } = held();
  const gone = new AbortController();
  const first = queue.addOnce(
    'sync',
    async () => {
      gone.abort(new Error('gone'));
      gone.signal.throwIfAborted();
    },
    gone.signal,
  );
  const second = queue.addOnce('sync', work('b'), signal);
  await release();
  await expect(first).rejects.toThrow('gone');
  expect([await second, done]).toEqual(['b', ['b']]);
});

it('what fails fails for all who asked; after the end of the queue nothing is begun again', async () => {
  const { queue, stop, release } = held();
  const fail = async () => {
    throw new Error('failed');
  };
  const asked = [queue.addOnce('sync', fail, signal), queue.addOnce('sync', fail, signal)];
  const failed = Promise.allSettled(asked);
  await release();
  expect((await failed).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  stop.abort(new Error('stopped'));
  await expect(queue.addOnce('sync', fail, signal)).rejects.toThrow('stopped');
});
