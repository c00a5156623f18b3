/**
 * What every Directory promises (packages/core/src/seams/directory.ts). `make` gives an empty directory of its own
 * for each test.
 */
import type {
  Attributes,
  Directory,
  DirectoryChange,
  DirectoryEntry,
  ReadCertificate,
  WriteOutcome,
} from '@dirpost/core';
import { normalizeDn } from '@dirpost/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

export interface DirectoryUnderTest {
  directory: Directory;
  /** The DN under which entries can be written. */
  base: string;
  close(): Promise<void>;
}

export function attributesOf(values: Record<string, (string | Uint8Array)[]>): Attributes {
  return new Map(
    Object.entries(values).map(([name, list]) => [
      name,
      list.map((value) => (typeof value === 'string' ? Buffer.from(value) : value)),
    ]),
  );
}

export function put(dn: string, attributes: Record<string, (string | Uint8Array)[]>): DirectoryChange {
  return { id: idFor(dn), action: 'put', dn, attributes: attributesOf(attributes) };
}

function idFor(dn: string): Uint8Array {
  const id = Buffer.alloc(16);
  id.write(normalizeDn(dn).slice(-16));
  return id;
}

export function person(base: string, uid: string, more: Record<string, (string | Uint8Array)[]> = {}): DirectoryChange {
  return put(`uid=${uid},${base}`, {
    objectclass: ['inetOrgPerson'],
    uid: [uid],
    cn: [`Person ${uid}`],
    sn: [uid],
    ...more,
  });
}

export async function readAll(
  directory: Directory,
  signal = new AbortController().signal,
): Promise<{ entries: DirectoryEntry[]; certificate: ReadCertificate }> {
  const entries: DirectoryEntry[] = [];
  const certificates: ReadCertificate[] = [];
  for await (const batch of directory.read(null, signal)) {
    expect(certificates, 'the certificate is on the last batch').toEqual([]);
    expect(batch.entries.length).toBeLessThan(10_000);
    entries.push(...batch.entries);
    if (batch.certificate !== undefined) certificates.push(batch.certificate);
  }
  expect(certificates.length).toBe(1);
  expect(certificates[0]!.entries).toBe(entries.length);
  return { entries, certificate: certificates[0]! };
}

export async function writeAll(
  directory: Directory,
  changes: Iterable<DirectoryChange> | AsyncIterable<DirectoryChange>,
  signal = new AbortController().signal,
): Promise<WriteOutcome[]> {
  const outcomes: WriteOutcome[] = [];
  for await (const outcome of directory.write(streamOf(changes), signal)) outcomes.push(outcome);
  return outcomes;
}

async function* streamOf<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
  yield* items;
}

/** Entries by normal DN, values as a sorted list: what two contents have in common when they are the same. */
export function content(entries: { dn: string; attributes: Attributes }[]): Record<string, Record<string, string[]>> {
  const sorted = entries.map(({ dn, attributes }) => [normalizeDn(dn), plain(attributes)] as const);
  return Object.fromEntries(sorted.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function plain(attributes: Attributes): Record<string, string[]> {
  const pairs = [...attributes].map(
    ([name, values]) => [name, values.map((value) => Buffer.from(value).toString('latin1')).toSorted()] as const,
  );
  return Object.fromEntries(pairs.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

export function directoryContract(name: string, make: () => Promise<DirectoryUnderTest>): void {
  describe(`the Directory contract: ${name}`, () => {
    let made: DirectoryUnderTest;
    let directory: Directory;
    let people: DirectoryChange[];
    beforeEach(async () => {
      made = await make();
      directory = made.directory;
      people = [
        person(made.base, 'ann', { mail: ['ann@example.com'], telephonenumber: ['+47 1', '+47 2'] }),
        person(made.base, 'bo', { cn: ['Bjørn Ås', '  spaces  '], jpegphoto: [Buffer.from([0xff, 0, 10, 13, 0xd8])] }),
        put(`cn=Lee\\, \\"Big\\" +uid=cy,${made.base}`, {
          objectclass: ['inetOrgPerson'],
          uid: ['cy'],
          cn: ['Lee, "Big"'],
          sn: ['Lee'],
          'description;lang-no': [': < a\nb '],
        }),
      ];
    });
    afterEach(() => made.close());

    const expectContent = async (changes: DirectoryChange[]) => {
      const { entries, certificate } = await readAll(directory);
      expect(certificate).toMatchObject({ complete: true, remarks: [] });
      expect(content(entries)).toEqual(content(changes));
    };

    test('what is written is read again, and one outcome comes for every change, in order', async () => {
      const outcomes = await writeAll(directory, people);
      expect(outcomes.map(({ id, result }) => [Buffer.from(id), result])).toEqual(
        people.map(({ id }) => [Buffer.from(id), 'written']),
      );
      await expectContent(people);
    });

    test('writing the same again changes nothing', async () => {
      await writeAll(directory, people);
      await writeAll(directory, people);
      await expectContent(people);
    });

    test('what is removed is gone, also the second time', async () => {
      await writeAll(directory, people);
      const fewer: DirectoryChange[] = [
        people[0]!,
        { ...people[1]!, action: 'remove', attributes: new Map() },
        people[2]!,
      ];
      for (let i = 0; i < 2; i++) {
        expect((await writeAll(directory, fewer)).every(({ result }) => result === 'written')).toBe(true);
        await expectContent([people[0]!, people[2]!]);
      }
    });

    test('an entry is exactly what the change says: other values and attributes go', async () => {
      await writeAll(directory, people);
      const changed = [person(made.base, 'ann', { telephonenumber: ['+47 2'] }), people[1]!, people[2]!];
      await writeAll(directory, changed);
      await expectContent(changed);
    });

    test('one bad entry does not stop the others, and is refused with a reason', async () => {
      const bad: DirectoryChange = { ...person(made.base, 'bad'), dn: 'not a DN' };
      const outcomes = await writeAll(directory, [people[0]!, bad, people[1]!]);
      expect(outcomes.map(({ result }) => result)).toEqual(['written', 'refused', 'written']);
      expect(outcomes[1]!.code).toMatch(/\w/);
      expect(outcomes[1]!.reason).toMatch(/\w/);
      await expectContent([people[0]!, people[1]!]);
    });

    test('thousands of entries pass in batches', async () => {
      const many = Array.from({ length: 2_500 }, (_, i) => person(made.base, `u${i}`));
      await writeAll(directory, many);
      await expectContent(many);
    });

    test('a read that is aborted fails', async () => {
      await writeAll(directory, people);
      const abort = new AbortController();
      abort.abort(new Error('stopped here'));
      await expect(readAll(directory, abort.signal)).rejects.toThrow('stopped here');
    });

    test('the source of a write that fails, fails the write', async () => {
      await writeAll(directory, people);
      const failing = async function* () {
        yield people[0]!;
        throw new Error('source failed');
      };
      await expect(writeAll(directory, failing())).rejects.toThrow('source failed');
      if (directory.writes === 'whole') await expectContent(people);
    });

    test('a whole directory is not touched by a write that is aborted or left', async () => {
      if (directory.writes !== 'whole') return;
      await writeAll(directory, people);
      const abort = new AbortController();
      const aborting = async function* () {
        yield people[0]!;
        abort.abort(new Error('stopped here'));
        yield people[1]!;
      };
      await expect(writeAll(directory, aborting(), abort.signal)).rejects.toThrow('stopped here');
      await expectContent(people);
      // oxlint-disable-next-line no-unreachable-loop -- to leave it is what is tested
      for await (const _ of directory.write(streamOf([people[0]!]), new AbortController().signal)) break;
      await expectContent(people);
    });
  });
}
