import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DirpostError, isDirpostError } from '@dirpost/core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FolderTransport } from './folder.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'dirpost-folder-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const signal = new AbortController().signal;
const file = (to = 'hq') => ({ id: randomBytes(16).toString('hex'), from: 'oslo', to, bytes: randomBytes(50) });
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error as DirpostError,
  );

function transport(postoffice = 'hq', problems: DirpostError[] = []): FolderTransport {
  return new FolderTransport({ root, postoffice, maxMessageBytes: 1000, onProblem: (one) => problems.push(one) });
}

async function collected(from: FolderTransport): Promise<string[]> {
  const found: string[] = [];
  await from.collect(async (bytes) => found.push(Buffer.from(bytes).toString()) > 0, signal);
  return found;
}

it('a delivered file lies in the folder of its receiver, and nothing else does', async () => {
  const delivered = file();
  await transport('oslo').deliver(delivered, signal);
  expect(await readdir(root)).toEqual(['hq']);
  expect(await readdir(join(root, 'hq'))).toEqual([`${delivered.id}.dpm`]);
});

it('a stick that is not plugged in is noticed by both ends, and its folder is not made', async () => {
  await rm(root, { recursive: true });
  for (const attempt of [transport('oslo').deliver(file(), signal), transport().collect(async () => true, signal)]) {
    const error = await failure(attempt);
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'later' });
    expect(error?.hint).toContain('stick');
  }
  expect(await failure(readdir(root))).toMatchObject({ code: 'ENOENT' });
});

it('a stick that is plugged in again is used again', async () => {
  const away = `${root}-away`;
  await rename(root, away);
  expect(await failure(transport('oslo').deliver(file(), signal))).toMatchObject({ code: 'transport-failed' });
  await rename(away, root);
  await transport('oslo').deliver(file(), signal);
  expect(await collected(transport())).toHaveLength(1);
});

it('temporaries and files that are not ours are left alone', async () => {
  await mkdir(join(root, 'hq'));
  const foreign = ['.0123.dpm.tmp', 'letter.txt', 'x.dpm', `${'A'.repeat(32)}.dpm`, `.${'a'.repeat(32)}.dpm.tmp`];
  for (const name of foreign) await writeFile(join(root, 'hq', name), 'foreign');
  expect(await collected(transport())).toEqual([]);
  expect((await readdir(join(root, 'hq'))).toSorted()).toEqual(foreign.toSorted());
});

it('what a killed sender left half-written is removed after a day', async () => {
  await mkdir(join(root, 'hq'));
  const [old, young] = ['a', 'b'].map((digit) => `.${digit.repeat(32)}.dpm.tmp`) as [string, string];
  for (const name of [old, young]) await writeFile(join(root, 'hq', name), 'half');
  const twoDaysAgo = Date.now() / 1000 - 2 * 86_400;
  await utimes(join(root, 'hq', old), twoDaysAgo, twoDaysAgo);
  expect(await collected(transport())).toEqual([]);
  expect(await readdir(join(root, 'hq'))).toEqual([young]);
});

it('the oldest file is collected first', async () => {
  await mkdir(join(root, 'hq'));
  for (const [digit, atSeconds] of [
    ['a', 300],
    ['b', 100],
    ['c', 200],
  ] as const) {
    const path = join(root, 'hq', `${digit.repeat(32)}.dpm`);
    await writeFile(path, digit);
    await utimes(path, atSeconds, atSeconds);
  }
  expect(await collected(transport())).toEqual(['b', 'c', 'a']);
});

/** Of a message file, by its own lengths: 4 octets of header, 6 of body. */
const whole = Buffer.concat([Buffer.from('DIRPOST1'), Buffer.from([0, 4, 0, 0, 0, 6]), Buffer.alloc(4 + 6 + 64, 'x')]);

it.each([0, 5, 9, 14, whole.length - 1])(
  'a file that is being copied, of which %d octets are there, is taken when it is whole',
  async (there) => {
    await mkdir(join(root, 'hq'));
    const path = join(root, 'hq', `${'0'.repeat(32)}.dpm`);
    const collecting = transport();
    for (const octets of [there, Math.min(there + 1, whole.length - 1)]) {
      await writeFile(path, whole.subarray(0, octets));
      expect(await collected(collecting)).toEqual([]);
    }
    await writeFile(path, whole);
    expect(await collected(collecting)).toEqual([whole.toString()]);
  },
);

it('a file that ends early and is old was cut, and is taken as it is', async () => {
  await mkdir(join(root, 'hq'));
  const path = join(root, 'hq', `${'0'.repeat(32)}.dpm`);
  await writeFile(path, whole.subarray(0, 20));
  const hoursAgo = Date.now() / 1000 - 2 * 3_600;
  await utimes(path, hoursAgo, hoursAgo);
  expect(await collected(transport())).toEqual([whole.toString('utf8', 0, 20)]);
});

it('a file that cannot be removed is reported, holds up no other, and is not taken twice', async () => {
  await mkdir(join(root, 'hq'));
  const [stays, other] = ['0', '1'].map((digit) => join(root, 'hq', `${digit.repeat(32)}.dpm`)) as [string, string];
  const lay = async () => {
    await writeFile(stays, whole);
    await utimes(stays, 100, 100);
  };
  await lay();
  await writeFile(other, 'other');
  const problems: DirpostError[] = [];
  const collecting = transport('hq', problems);
  const taken: string[] = [];
  const spool = async (bytes: Uint8Array) => {
    taken.push(Buffer.from(bytes).toString());
    // A folder is not removed as a file is.
    if (taken.length === 1) await rm(stays).then(() => mkdir(stays));
    return true;
  };
  expect(await collecting.collect(spool, signal)).toBe(2);
  expect(taken).toEqual([whole.toString(), 'other']);
  expect(problems).toMatchObject([{ code: 'transport-failed' }]);
  await rm(stays, { recursive: true });
  await lay();
  expect(await collecting.collect(spool, signal)).toBe(0);
});

it('a file over the limit is left and reported, and does not stop the others', async () => {
  await mkdir(join(root, 'hq'));
  const large = `${'0'.repeat(32)}.dpm`;
  await writeFile(join(root, 'hq', large), randomBytes(1001));
  await writeFile(join(root, 'hq', `${'1'.repeat(32)}.dpm`), 'small');
  const problems: DirpostError[] = [];
  expect(await collected(transport('hq', problems))).toEqual(['small']);
  expect(problems.map(({ code }) => code)).toEqual(['message-too-large']);
  expect(await readdir(join(root, 'hq'))).toEqual([large]);
});

it.skipIf(process.platform === 'win32')('a link is not followed', async () => {
  await mkdir(join(root, 'hq'));
  await writeFile(join(root, 'secret'), 'secret');
  await symlink(join(root, 'secret'), join(root, 'hq', `${'0'.repeat(32)}.dpm`));
  const problems: DirpostError[] = [];
  expect(await collected(transport('hq', problems))).toEqual([]);
  expect(problems).toHaveLength(1);
});

it.each(['..', '../hq', 'a/b', 'a\\b', '', 'HQ', 'con', 'x'.repeat(64), 'hq\n'])(
  'a name from outside never becomes a path: %j',
  async (to) => {
    expect(isDirpostError(await failure(transport().deliver(file(to), signal)), 'wrong-use')).toBe(true);
    expect(() => transport(to)).toThrow();
    expect(await readdir(root)).toEqual([]);
  },
);

it('a message id from outside never becomes a path', async () => {
  const wrong = { ...file(), id: '../../escaped' };
  expect(await failure(transport().deliver(wrong, signal))).toMatchObject({ code: 'wrong-use' });
});
