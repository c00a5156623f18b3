/**
 * What every store must do, run against each adapter (seams/store.ts): here the transactions, beside it the tables.
 * `open` gives an empty store.
 */
import { isDirpostError, type Store, type StoreTx } from '@dirpost/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { associationsContract } from './store-associations.ts';
import { claimContract } from './store-claims.ts';
import { entryContract } from './store-entries.ts';
import { listContract } from './store-lists.ts';
import { entries, entry, outgoing, part, read, write, type OpenedStore } from './store-samples.ts';
import { tableContract } from './store-tables.ts';

export function storeContract(name: string, open: () => Promise<OpenedStore>): void {
  describe(`store contract: ${name}`, () => {
    let opened: OpenedStore;
    beforeEach(async () => {
      opened = await open();
    });
    afterEach(() => opened.dispose());

    const store = () => opened.store;
    transactionContract(store);
    snapshotContract(store);
    entryContract(store);
    listContract(store);
    claimContract(store);
    associationsContract(store);
    tableContract(store);

    it('what was committed is there when the store is opened again', async () => {
      await write(store(), async (tx) => {
        await tx.putEntries('collected', entries(10));
        await tx.putOutgoing(outgoing(1));
        await tx.putDocument('server', { seq: 10 });
      });
      const again = await opened.reopen();
      const found = await read(again, async (tx) => [
        await tx.scanEntries('collected', 0, 100, 'oslo'),
        await tx.outgoingPayload(outgoing(1).id),
        await tx.getDocument('server'),
      ]);
      expect(found).toEqual([entries(10, (seed) => ({ number: seed })), outgoing(1).payload, { seq: 10 }]);
    });

    it('a number is not used again after the table was cleared and the store opened again', async () => {
      await write(store(), async (tx) => {
        await tx.putEntries('replica', entries(5));
        await tx.clearEntries('replica');
      });
      const again = await opened.reopen();
      expect(await write(again, (tx) => tx.putEntries('replica', [entry(1)]))).toEqual([6]);
    });
  });
}

function transactionContract(store: () => Store): void {
  it('gives back what the work returns', async () => {
    expect(await write(store(), async () => 'done')).toBe('done');
    expect(await read(store(), async () => 'read')).toBe('read');
  });

  it('work that throws leaves nothing behind, and its error comes out', async () => {
    await write(store(), (tx) => tx.putEntries('published', entries(2)));
    const failure = new Error('the work failed');
    const failed = write(store(), async (tx) => {
      await tx.putEntries('published', [entry(3, { owner: 'bergen' })]);
      await tx.putEntries('published', [entry(1, { number: 1, seq: 9 })]);
      await tx.putDocument('state', 1);
      await tx.putListRows('all', []);
      await tx.putPart(part(1, 1));
      throw failure;
    });
    await expect(failed).rejects.toBe(failure);
    await read(store(), async (tx) => {
      expect(await tx.scanEntries('published', 0, 10)).toEqual(entries(2, (seed) => ({ number: seed })));
      expect(await tx.getDocument('state')).toBeUndefined();
      expect(await tx.parts('hq', 'update')).toEqual([]);
    });
  });

  it('names that were taken back with a transaction can be used again', async () => {
    const failed = write(store(), async (tx) => {
      await tx.putEntries('collected', [entry(1, { owner: 'bergen' })]);
      throw new Error('taken back');
    });
    await expect(failed).rejects.toThrow('taken back');
    await write(store(), (tx) =>
      tx.putEntries('collected', [entry(1, { owner: 'tromsø' }), entry(2, { owner: 'bergen' })]),
    );
    const found = await read(store(), (tx) => tx.scanEntries('collected', 0, 10));
    expect(found.map((row) => row.owner)).toEqual(['tromsø', 'bergen']);
  });

  it('an operation that failed takes the transaction back, even if its error was swallowed', async () => {
    const clash = [entry(1), entry(1)];
    const swallowing = write(store(), async (tx) => {
      await tx.putDocument('state', 1);
      await tx.putEntries('published', clash).catch(() => undefined);
    });
    await expect(swallowing).rejects.toSatisfy((error) => isDirpostError(error, 'store-failed'));
    expect(await read(store(), (tx) => tx.getDocument('state'))).toBeUndefined();
    await write(store(), (tx) => tx.putDocument('state', 2));
    expect(await read(store(), (tx) => tx.getDocument('state'))).toBe(2);
  });

  it('transactions run one after another, in the order of the calls', async () => {
    const log: string[] = [];
    const step = (name: string) => async (tx: StoreTx) => {
      log.push(`${name} begins`);
      const before = (await tx.getDocument<string[]>('names')) ?? [];
      await tx.putDocument('names', [...before, name]);
      log.push(`${name} ends`);
    };
    await Promise.all([
      store().transaction(step('first')),
      store().transaction(step('second'), { large: true }),
      store().transaction(step('third')),
      store().transaction(step('fourth'), { large: false }),
    ]);
    const names = ['first', 'second', 'third', 'fourth'];
    expect(await read(store(), (tx) => tx.getDocument('names'))).toEqual(names);
    expect(log).toEqual(names.flatMap((name) => [`${name} begins`, `${name} ends`]));
  });

  it('a transaction that failed does not stop the next', async () => {
    const failing = write(store(), () => Promise.reject(new Error('first')));
    const next = write(store(), (tx) => tx.putDocument('state', 'next'));
    await expect(failing).rejects.toThrow('first');
    await next;
    expect(await read(store(), (tx) => tx.getDocument('state'))).toBe('next');
  });

  it('a transaction sees what it has written', async () => {
    await write(store(), async (tx) => {
      await tx.putEntries('published', entries(3));
      expect(await tx.countEntries('published')).toEqual({ live: 3, deleted: 0 });
    });
  });

  it('a method that is called after its transaction is refused', async () => {
    const kept = await write(store(), async (tx) => ({ tx }));
    await expect(kept.tx.putDocument('late', 1)).rejects.toThrow('after its transaction had ended');
    expect(await read(store(), (tx) => tx.getDocument('late'))).toBeUndefined();
  });

  it('a closed store refuses transactions and reads; closing again changes nothing', async () => {
    const last = write(store(), (tx) => tx.putDocument('state', 1));
    await store().close();
    await last;
    await expect(write(store(), async () => 1)).rejects.toSatisfy((error) => isDirpostError(error, 'wrong-use'));
    await expect(read(store(), async () => 1)).rejects.toSatisfy((error) => isDirpostError(error, 'wrong-use'));
    await store().close();
  });
}

function snapshotContract(store: () => Store): void {
  it('a method that writes is refused in a read, and nothing is written', async () => {
    const refused = read(store(), (tx) => tx.putEntries('published', entries(1)));
    await expect(refused).rejects.toSatisfy((error) => isDirpostError(error, 'wrong-use'));
    expect(await read(store(), (tx) => tx.countEntries('published'))).toEqual({ live: 0, deleted: 0 });
  });

  it('a read sees one state, whatever is committed meanwhile', async () => {
    await write(store(), (tx) => tx.putDocument('state', 'before'));
    let writing: Promise<void> | undefined;
    const seen = await read(store(), async (tx) => {
      const first = await tx.getDocument('state');
      writing = write(store(), async (tx) => {
        await tx.putDocument('state', 'after');
        await tx.putEntries(
          'collected',
          entries(10, () => ({ owner: 'bergen' })),
        );
      });
      for (let turn = 0; turn < 20; turn++) await tx.getDocument('state');
      return [first, await tx.getDocument('state'), await tx.countEntries('collected', 'bergen')];
    });
    await writing;
    expect(seen).toEqual(['before', 'before', { live: 0, deleted: 0 }]);
    await read(store(), async (tx) => {
      expect(await tx.getDocument('state')).toBe('after');
      expect(await tx.countEntries('collected', 'bergen')).toEqual({ live: 10, deleted: 0 });
    });
  });

  it('many reads at once all come to an end', async () => {
    await write(store(), (tx) => tx.putEntries('published', entries(3)));
    const counts = await Promise.all(
      Array.from({ length: 20 }, () => read(store(), (tx) => tx.countEntries('published'))),
    );
    expect(counts).toEqual(Array.from({ length: 20 }, () => ({ live: 3, deleted: 0 })));
  });

  it('a read that throws frees its snapshot', async () => {
    const failing = Array.from({ length: 10 }, () => read(store(), () => Promise.reject(new Error('no'))));
    for (const one of failing) await expect(one).rejects.toThrow('no');
    await write(store(), (tx) => tx.putDocument('state', 1));
    expect(await read(store(), (tx) => tx.getDocument('state'))).toBe(1);
  });
}
