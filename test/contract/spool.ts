/** What every spool must do (packages/agent/src/spool.ts): the folder of the agent and the memory of the simulation. */
import { beforeEach, describe, expect, it } from 'vitest';
import { pruneDone, type Spool, type SpoolNote } from '../../packages/agent/src/spool.ts';

const note: SpoolNote = {
  atMs: Date.UTC(2026, 1, 3, 4, 5, 6),
  transport: 'folder',
  code: 'message-truncated',
  reason: 'ends early',
};

export function spoolContract(name: string, open: () => Promise<Spool>): void {
  describe(`spool contract: ${name}`, () => {
    let spool: Spool;
    beforeEach(async () => {
      spool = await open();
    });
    const names = async (queue: 'incoming' | 'outgoing' | 'corrupt' | 'done') =>
      (await spool.list(queue)).map((file) => file.name);
    const content = async (queue: 'incoming' | 'corrupt' | 'done', file: string) =>
      Buffer.from(await spool.read(queue, file)).toString();

    it('what is put can be listed and read, in its queue only', async () => {
      await spool.put('incoming', 'a.dpm', Buffer.from('abc'));
      expect(await spool.list('incoming')).toMatchObject([{ name: 'a.dpm', bytes: 3 }]);
      expect(await content('incoming', 'a.dpm')).toBe('abc');
      expect(await names('outgoing')).toEqual([]);
    });

    it('a file that is put again is replaced', async () => {
      await spool.put('incoming', 'a.dpm', Buffer.from('one'));
      await spool.put('incoming', 'a.dpm', Buffer.from('two'));
      expect(await names('incoming')).toEqual(['a.dpm']);
      expect(await content('incoming', 'a.dpm')).toBe('two');
    });

    it('a processed file moves to done', async () => {
      await spool.put('incoming', 'a.dpm', Buffer.from('abc'));
      expect(await spool.move('incoming', 'a.dpm', 'done')).toBe('a.dpm');
      expect(await names('incoming')).toEqual([]);
      expect(await content('done', 'a.dpm')).toBe('abc');
    });

    it('a corrupt file keeps its bytes and says why it is there', async () => {
      await spool.put('incoming', 'a.dpm', Buffer.from('abc'));
      await spool.move('incoming', 'a.dpm', 'corrupt', note);
      expect(await names('corrupt')).toEqual(['a.dpm']);
      expect(await spool.note('a.dpm')).toEqual(note);
    });

    it('a corrupt file is never replaced by another of the same name', async () => {
      for (const bytes of ['one', 'two', 'three']) {
        await spool.put('incoming', 'a.dpm', Buffer.from(bytes));
        await spool.move('incoming', 'a.dpm', 'corrupt', note);
      }
      const kept = await Promise.all((await names('corrupt')).map((file) => content('corrupt', file)));
      expect(kept.toSorted()).toEqual(['one', 'three', 'two']);
    });

    it('what is corrupt cannot be removed', async () => {
      await spool.put('incoming', 'a.dpm', Buffer.from('abc'));
      await spool.move('incoming', 'a.dpm', 'corrupt', note);
      await expect(spool.remove('corrupt', 'a.dpm')).rejects.toThrow();
      expect(await names('corrupt')).toEqual(['a.dpm']);
    });

    it('removing twice is no error; reading and moving what is gone says that it is missing', async () => {
      await spool.put('outgoing', 'a.dpm', Buffer.from('abc'));
      await spool.remove('outgoing', 'a.dpm');
      await spool.remove('outgoing', 'a.dpm');
      await expect(spool.read('outgoing', 'a.dpm')).rejects.toMatchObject({ code: 'file-missing' });
      await expect(spool.move('outgoing', 'a.dpm', 'done')).rejects.toMatchObject({ code: 'file-missing' });
      await expect(spool.move('outgoing', 'a.dpm', 'corrupt', note)).rejects.toMatchObject({ code: 'file-missing' });
    });

    it.each(['../a.dpm', 'a/b.dpm', '.a.dpm', 'a', '', 'a.dpm/..', 'a\\b.dpm'])(
      '%j is refused as a name',
      async (bad) => {
        await expect(spool.put('incoming', bad, Buffer.from('x'))).rejects.toThrow();
      },
    );

    it('done is pruned by count and by age, the newest stay', async () => {
      for (const one of ['a', 'b', 'c', 'd']) {
        await spool.put('incoming', `${one}.dpm`, Buffer.from(one));
        await spool.move('incoming', `${one}.dpm`, 'done');
      }
      const files = await spool.list('done');
      const newest = files.at(-1)!;
      expect(await pruneDone(spool, newest.modifiedMs, { maxAgeMs: 1e9, maxFiles: 2 })).toBe(2);
      expect(await names('done')).toEqual(files.slice(2).map((file) => file.name));
      expect(await pruneDone(spool, newest.modifiedMs + 2000, { maxAgeMs: 1000, maxFiles: 2 })).toBe(2);
      expect(await names('done')).toEqual([]);
    });
  });
}
