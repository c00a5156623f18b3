import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Invocation } from './cli/command.ts';
import { askAgent, runIfSame, runInsteadOf } from './cli/remote.ts';
import { Screen } from './cli/screen.ts';
import { DirpostError } from '@dirpost/core';
import { LineReader, localAddress, makeOwnFolder, MAX_REQUEST_BYTES } from './local-protocol.ts';
import { type CommandHandler, listenLocally, type LocalSocket } from './local-socket.ts';

const ABOUT = { configuration: '00ff', pid: 712 };
const folders: string[] = [];
const sockets: LocalSocket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) await socket.close();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function dataFolder(name = ''): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'dirpost-socket-'));
  folders.push(root);
  const folder = join(root, name);
  await mkdir(folder, { recursive: true });
  return folder;
}

async function listen(folder: string, handler: CommandHandler): Promise<LocalSocket> {
  const socket = await listenLocally(folder, handler, ABOUT);
  sockets.push(socket);
  return socket;
}

const locked = () => new DirpostError('locked', 'The process 7 is using the data folder.', { context: { pid: 7 } });

function call(
  argv: string[],
  signal = new AbortController().signal,
): { call: Invocation; out(): string; err(): string } {
  let [out, err] = ['', ''];
  const screen = new Screen(
    { out: { write: (text) => (out += text), columns: 77, isTTY: true }, err: { write: (text) => (err += text) } },
    false,
  );
  const invocation = {
    screen,
    configFile: '/srv/dirpost.yaml',
    signal,
    verbose: false,
    argv,
    cwd: '/srv',
    running: null,
  };
  return { call: invocation, out: () => out, err: () => err };
}

const ask = (folder: string, argv: string[], signal?: AbortSignal) => {
  const one = call(argv, signal);
  return { ...one, ended: runInsteadOf(locked(), one.call, folder) };
};

async function rawly(path: string, text: string | Buffer): Promise<{ answer: string; socket: Socket }> {
  const socket = connect(path);
  let answer = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
  socket.on('error', () => {});
  socket.write(text);
  await once(socket, 'close');
  return { answer, socket };
}

describe('a command', () => {
  it('runs in the agent: what it says comes back, and how it ended', async () => {
    const folder = await dataFolder();
    let asked: unknown;
    await listen(folder, async (request, { out, err }) => {
      asked = request;
      out.write(`wide ${out.columns} ${out.isTTY} ${err.isTTY}\n`);
      err.write('careful\n');
      out.write('x'.repeat(300_000));
      return 3;
    });
    const one = ask(folder, ['sync', '--wait', '5']);
    expect(await one.ended).toBe(3);
    expect(asked).toMatchObject({ argv: ['sync', '--wait', '5'], cwd: '/srv' });
    expect(one.out()).toBe(`wide 77 true false\n${'x'.repeat(300_000)}`);
    expect(one.err()).toBe('careful\n');
  });

  it('is cancelled when the one who asked goes away', async () => {
    const folder = await dataFolder();
    let cancelled = false;
    let begun = () => {};
    const running = new Promise<void>((resolve) => (begun = resolve));
    await listen(folder, async (_request, { out }, signal) => {
      begun();
      await once(signal, 'abort');
      cancelled = true;
      out.write('too late');
      return 1;
    });
    const interrupt = new AbortController();
    const one = ask(folder, ['sync'], interrupt.signal);
    const refused = expect(one.ended).rejects.toThrow('Ctrl-C');
    await running;
    interrupt.abort(new DirpostError('interrupted', 'Ctrl-C'));
    await refused;
    await vi.waitFor(() => expect(cancelled).toBe(true));
  });

  it('is cancelled when the agent stops, and told how it ended', async () => {
    const folder = await dataFolder();
    let begun = () => {};
    const running = new Promise<void>((resolve) => (begun = resolve));
    const socket = await listen(folder, async (_request, _streams, signal) => {
      begun();
      await once(signal, 'abort');
      return 1;
    });
    const one = ask(folder, ['sync']);
    await running;
    await socket.close();
    expect(await one.ended).toBe(1);
    await expect(stat(socket.path)).rejects.toThrow();
  });

  it('whose agent dies says so', async () => {
    const folder = await dataFolder();
    const { path } = localAddress(folder);
    const server = createServer((socket) => socket.once('data', () => socket.destroy()));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await expect(ask(folder, ['sync']).ended).rejects.toMatchObject({ code: 'interrupted', retry: 'later' });
    await new Promise((resolve) => server.close(resolve));
  });

  it('finds nobody where another command holds the lock, and says which process', async () => {
    const folder = await dataFolder();
    await expect(ask(folder, ['sync']).ended).rejects.toMatchObject({
      code: 'locked',
      message: expect.stringContaining('process 7'),
      hint: expect.stringContaining('wait'),
    });
  });

  it('keeps what it is told where no process here has the lock', async () => {
    const folder = await dataFolder();
    const context = { pid: null, isHeldHere: false };
    const refused = new DirpostError('locked', 'It cannot be locked.', { hint: 'Use a local disk.', context });
    await expect(runInsteadOf(refused, call(['sync']).call, folder)).rejects.toBe(refused);
  });

  it('any other error is not its concern', async () => {
    const other = new DirpostError('store-damaged', 'broken');
    await expect(runInsteadOf(other, call(['sync']).call, '/nowhere')).rejects.toBe(other);
  });

  it('a fault of the handler is told, and the next command works', async () => {
    const folder = await dataFolder();
    await listen(folder, async ({ argv }) => {
      if (argv[0] === 'bad') throw new TypeError('x is not a function');
      return 0;
    });
    await expect(ask(folder, ['bad']).ended).rejects.toThrow('x is not a function');
    expect(await ask(folder, ['good']).ended).toBe(0);
  });
});

describe('garbage', () => {
  it.each([
    ['no JSON', 'GET / HTTP/1.1\r\n\r\n'],
    ['no request', '{"v":1}\n'],
    ['another version', '{"v":2,"argv":["sync"],"cwd":"/"}\n'],
    ['words that are none', '{"v":1,"argv":[1,2],"cwd":"/"}\n'],
    ['octets', Buffer.from([0, 255, 10, 254, 10])],
    ['nesting', `${'['.repeat(100_000)}\n`],
    ['a line without an end', 'x'.repeat(MAX_REQUEST_BYTES + 1)],
  ])('%s is refused, and nothing runs', async (_name, text) => {
    const folder = await dataFolder();
    const handler = vi.fn<CommandHandler>(async () => 0);
    const { path } = await listen(folder, handler);
    const { answer } = await rawly(path, text);
    expect(answer).toMatch(/"refused"/);
    expect(handler).not.toHaveBeenCalled();
    expect(await ask(folder, ['sync']).ended).toBe(0);
  });

  it('of an agent is told as such', async () => {
    const folder = await dataFolder();
    for (const words of ['220 mail.example.org\r\n', '{"v":9}\n', 'x'.repeat(2_000_000)]) {
      const server = createServer((socket) =>
        socket
          .on('error', () => {})
          .resume()
          .end(words),
      );
      await new Promise<void>((resolve) => server.listen(localAddress(folder).path, resolve));
      await expect(ask(folder, ['sync']).ended).rejects.toBeInstanceOf(DirpostError);
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('more than one request on a connection is not listened to', async () => {
    const folder = await dataFolder();
    let ran = 0;
    const { path } = await listen(folder, async () => ++ran - 1);
    const request = '{"v":1,"argv":["sync"],"cwd":"/"}\n';
    const { answer } = await rawly(path, request + request + request);
    expect([answer, ran]).toEqual(['{"exit":0}\n', 1]);
  });
});

describe('a command that has not read the configuration', () => {
  it('runs where the agent has the same one, and nowhere else', async () => {
    const folder = await dataFolder();
    const handler = vi.fn<CommandHandler>(async (_request, { out }) => (out.write('done'), 3));
    expect(await runIfSame(call(['sync']).call, folder, 'abc')).toBeNull();
    const socket = await listenLocally(folder, handler, ABOUT, 'abc');
    sockets.push(socket);
    const other = call(['sync']);
    expect(await runIfSame(other.call, folder, 'abd')).toBeNull();
    expect([handler.mock.calls.length, other.out(), other.err()]).toEqual([0, '', '']);
    const same = call(['sync']);
    expect([await runIfSame(same.call, folder, 'abc'), same.out()]).toEqual([3, 'done']);
  });

  it('is not taken by an agent that does not know its own', async () => {
    const folder = await dataFolder();
    const handler = vi.fn<CommandHandler>(async () => 0);
    await listen(folder, handler);
    expect(await runIfSame(call(['sync']).call, folder, 'abc')).toBeNull();
    expect(handler).not.toHaveBeenCalled();
  });
});

describe('a question about the agent', () => {
  it('is answered, and runs nothing', async () => {
    const folder = await dataFolder();
    const handler = vi.fn<CommandHandler>(async () => 0);
    await listen(folder, handler);
    expect(await askAgent(folder)).toEqual(ABOUT);
    expect(handler).not.toHaveBeenCalled();
  });

  it('has no answer where no agent runs, or one that does not understand it', async () => {
    const folder = await dataFolder();
    expect(await askAgent(folder)).toBeNull();
    const older = createServer(
      (socket) => void socket.resume().end('{"refused":"this agent understands version 1 only"}\n'),
    );
    older.listen(localAddress(folder).path);
    await once(older, 'listening');
    expect(await askAgent(folder)).toBeNull();
    await new Promise((resolve) => older.close(resolve));
  });
});

describe('lines', () => {
  it('may come in any pieces', () => {
    const reader = new LineReader(10);
    const text = Buffer.from('æøå\nab\n\ncd');
    const lines = [...text].flatMap((octet) => reader.take(Buffer.from([octet])));
    expect([...lines, ...reader.take(Buffer.from('\n'))]).toEqual(['æøå', 'ab', '', 'cd']);
    expect(() => reader.take(Buffer.from('x'.repeat(11)))).toThrow(/more than 10 bytes/);
  });
});

describe.skipIf(process.platform === 'win32')('the place of the socket', () => {
  it('is the data folder, closed to others', async () => {
    const folder = await dataFolder();
    const { path } = await listen(folder, async () => 0);
    expect(path).toBe(join(folder, 'agent.sock'));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('of a dead agent is taken over', async () => {
    const folder = await dataFolder();
    await writeFile(localAddress(folder).path, '');
    await listen(folder, async () => 5);
    expect(await ask(folder, ['sync']).ended).toBe(5);
  });

  it('is a folder of its own where the path is too long for the system', async () => {
    const folder = await dataFolder('x'.repeat(120));
    const address = localAddress(folder);
    folders.push(address.folder!);
    expect(Buffer.byteLength(address.path)).toBeLessThanOrEqual(103);
    await listen(folder, async () => 4);
    expect((await stat(address.folder!)).mode & 0o777).toBe(0o700);
    expect(await ask(folder, ['sync']).ended).toBe(4);
  });

  it('is never a folder that others can reach, or a link', async () => {
    const root = await dataFolder();
    const open = join(root, 'open');
    await mkdir(open);
    await chmod(open, 0o755);
    await expect(makeOwnFolder(open)).rejects.toMatchObject({ code: 'file-denied' });
    await symlink(root, join(root, 'link'));
    await expect(makeOwnFolder(join(root, 'link'))).rejects.toMatchObject({ code: 'file-denied' });
  });
});
