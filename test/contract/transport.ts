/**
 * What every transport must do, run against each adapter (seams/transport.ts). An adapter's own test gives two ends of
 * one line; the suite delivers at one end and collects at the other.
 */
import { randomBytes } from 'node:crypto';
import { isDirpostError, type MessageFile, type Transport } from '@dirpost/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

export interface TransportLine {
  sender: Transport;
  receiver: Transport;
  dispose(): Promise<void>;
}

/** Opened with this limit, so that a message over it is cheap to make. */
export const CONTRACT_MAX_MESSAGE_BYTES = 64 * 1024;

const byOctets = (a: Buffer, b: Buffer) => Buffer.compare(a, b);
const never = () => new AbortController().signal;

export function messageFile(bytes: Uint8Array = randomBytes(300)): MessageFile {
  return { id: randomBytes(16).toString('hex'), from: 'oslo', to: 'hq', bytes };
}

/** All that waits, in the order in which it came. */
export async function collectAll(transport: Transport): Promise<Buffer[]> {
  const found: Buffer[] = [];
  await transport.collect(async (bytes) => found.push(Buffer.from(bytes)) > 0, never());
  return found;
}

export function transportContract(name: string, open: () => Promise<TransportLine>): void {
  describe(`transport contract: ${name}`, () => {
    let line: TransportLine;
    beforeEach(async () => {
      line = await open();
    });
    afterEach(() => line.dispose());

    it('what is delivered arrives unchanged, once', async () => {
      const file = messageFile(Uint8Array.from({ length: 1000 }, (_, i) => i % 256));
      await line.sender.deliver(file, never());
      expect(await collectAll(line.receiver)).toEqual([Buffer.from(file.bytes)]);
      expect(await collectAll(line.receiver)).toEqual([]);
    });

    it('where nothing waits, nothing is collected', async () => {
      expect(await line.receiver.collect(() => Promise.reject(new Error('not called')), never())).toBe(0);
    });

    it('the sender does not collect what it delivered', async () => {
      await line.sender.deliver(messageFile(), never());
      expect(await collectAll(line.sender)).toEqual([]);
    });

    it('the sender may use its buffer again once it has delivered', async () => {
      const file = messageFile();
      const copy = Buffer.from(file.bytes);
      await line.sender.deliver(file, never());
      file.bytes.fill(0);
      expect(await collectAll(line.receiver)).toEqual([copy]);
    });

    it('all that wait are handed over one after another, and counted', async () => {
      const files = Array.from({ length: 10 }, () => messageFile());
      for (const file of files) await line.sender.deliver(file, never());
      let running = 0;
      const found: string[] = [];
      const count = await line.receiver.collect(async (bytes) => {
        expect(++running).toBe(1);
        await new Promise(setImmediate);
        found.push(Buffer.from(bytes).toString('hex'));
        running--;
        return true;
      }, never());
      expect(count).toBe(10);
      expect(found.toSorted()).toEqual(files.map(({ bytes }) => Buffer.from(bytes).toString('hex')).toSorted());
    });

    it('a file that could not be spooled is there again the next time', async () => {
      const file = messageFile();
      await line.sender.deliver(file, never());
      const full = new Error('spool is full');
      await expect(line.receiver.collect(() => Promise.reject(full), never())).rejects.toThrow(full);
      expect(await collectAll(line.receiver)).toEqual([Buffer.from(file.bytes)]);
    });

    it('a file that is not taken stays for the one whom it is for', async () => {
      const files = [messageFile(), messageFile()];
      for (const file of files) await line.sender.deliver(file, never());
      const first = Buffer.from(files[0]!.bytes);
      expect(await line.receiver.collect(async (bytes) => !first.equals(bytes), never())).toBe(1);
      expect(await collectAll(line.receiver)).toEqual([first]);
    });

    it('a spool that fails at the second file keeps the first and loses none', async () => {
      const files = [messageFile(), messageFile(), messageFile()];
      for (const file of files) await line.sender.deliver(file, never());
      const found: Buffer[] = [];
      const failing = line.receiver.collect(async (bytes) => {
        if (found.length === 1) throw new Error('spool is full');
        found.push(Buffer.from(bytes));
        return true;
      }, never());
      await expect(failing).rejects.toThrow('spool is full');
      found.push(...(await collectAll(line.receiver)));
      expect(found.toSorted(byOctets)).toEqual(files.map(({ bytes }) => Buffer.from(bytes)).toSorted(byOctets));
    });

    it('a delivery that is repeated does no harm', async () => {
      const file = messageFile();
      await line.sender.deliver(file, never());
      await line.sender.deliver(file, never());
      const found = await collectAll(line.receiver);
      expect(found.length).toBeGreaterThan(0);
      for (const bytes of found) expect(bytes).toEqual(Buffer.from(file.bytes));
      await line.sender.deliver(file, never());
      expect(await collectAll(line.receiver)).toEqual([Buffer.from(file.bytes)]);
    });

    it('a message file over the limit is refused, one at the limit passes', async () => {
      expect(line.sender.maxMessageBytes).toBe(CONTRACT_MAX_MESSAGE_BYTES);
      const error = await line.sender.deliver(messageFile(randomBytes(CONTRACT_MAX_MESSAGE_BYTES + 1)), never()).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(isDirpostError(error, 'message-too-large')).toBe(true);
      expect(await collectAll(line.receiver)).toEqual([]);
      await line.sender.deliver(messageFile(randomBytes(CONTRACT_MAX_MESSAGE_BYTES)), never());
      expect((await collectAll(line.receiver)).map((bytes) => bytes.length)).toEqual([CONTRACT_MAX_MESSAGE_BYTES]);
    });

    it('an aborted call changes nothing', async () => {
      const aborted = AbortSignal.abort();
      const file = messageFile();
      await expect(line.sender.deliver(file, aborted)).rejects.toThrow();
      expect(await collectAll(line.receiver)).toEqual([]);
      await line.sender.deliver(file, never());
      await expect(line.receiver.collect(async () => true, aborted)).rejects.toThrow();
      expect(await collectAll(line.receiver)).toHaveLength(1);
    });

    it('a watching receiver is woken by a delivery, until it stops watching', async () => {
      const { sender, receiver } = line;
      if (receiver.watch === undefined) return;
      const stop = new AbortController();
      let watching: Promise<void> | undefined;
      await new Promise<void>((woken) => {
        watching = receiver.watch!(woken, stop.signal);
        // A watch takes effect some time after the call; deliver until one is seen.
        const again = setInterval(() => {
          if (stop.signal.aborted) clearInterval(again);
          else void sender.deliver(messageFile(), stop.signal).catch(() => {});
        }, 20);
        stop.signal.addEventListener('abort', () => clearInterval(again));
      });
      stop.abort();
      await watching;
    });
  });
}
