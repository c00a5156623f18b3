/** `init --listen`, and what `check` says of HTTP at a server and at a requestor. */
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Office, type Ran } from '../demo/office.ts';
import { runHere, temporaryFolder } from './network.ts';

async function empty(name = 'hq'): Promise<Office> {
  return new Office(await temporaryFolder(), name, runHere);
}

const listening = (office: Office, ...args: string[]): Promise<Ran> =>
  office.run('init', office.name, '--role', 'server', '--publish', 'people.ldif', ...args);

const person = 'dn: uid=a,o=x\nobjectClass: person\nentryUUID: 5a1c6c1e-53a3-4c5d-9d0a-0d6f0e1a0001\ncn: A\nsn: A\n\n';

describe('init --listen', () => {
  it('writes a configuration whose invitations name the address', async () => {
    const hq = await empty();
    expect(await listening(hq, '--listen', '127.0.0.1:8943')).toMatchObject({ code: 0, err: '' });
    await writeFile(join(hq.data, 'people.ldif'), person);
    const check = await hq.must('check');
    expect(check.out).toContain('listens on 127.0.0.1:8943; requestors call http://127.0.0.1:8943');
    expect(check.out).not.toMatch(/^(warning|fault):/m);
    expect((await hq.must('invite', 'oslo')).out).toMatch(/reached by +http:\/\/127\.0\.0\.1:8943$/m);
  });

  it('names certificate, key, address and a folder beside it', async () => {
    const hq = await empty();
    const tls = ['--certificate', 'hq.crt', '--certificate-key', 'hq.key'];
    const ways = ['--listen', '0.0.0.0:8943', '--address', 'https://hq.example.org:8943', '--folder', '../exchange'];
    await listening(hq, ...ways, ...tls);
    const text = await readFile(hq.config, 'utf8');
    expect(text).toContain('tls: { certificate: hq.crt, key: hq.key }');
    expect(text).toMatch(/^ {2}folder: \{ path: \.\.\/exchange \}$/m);
    const check = await hq.run('check');
    expect(check.code).toBe(1);
    expect(check.out).toMatch(/http +fault .*hq\.crt/);
  });

  it('without it and without a folder nothing carries message files, and check says so', async () => {
    const hq = await empty();
    await listening(hq);
    expect(await readFile(hq.config, 'utf8')).toMatch(/^# transports:$/m);
    await writeFile(join(hq.data, 'people.ldif'), person);
    const check = await hq.run('check');
    expect(check.out).toMatch(/^warning: transports: no transport is configured/m);
  });

  it.each([
    ['beyond this machine without a certificate', ['--listen', '0.0.0.0:8943'], /needs a certificate/],
    ['a port alone', ['--listen', '8943'], /must be an address and a port/],
    ['a port that is none', ['--listen', '127.0.0.1:89430'], /must be an address and a port/],
    ['an address that is none', ['--listen', '127.0.0.1:8943', '--address', 'hq'], /must be an address such as/],
    ['an address without --listen', ['--address', 'https://hq.example.org'], /where the server listens/],
    ['half a certificate', ['--listen', '0.0.0.0:8943', '--certificate', 'a'], /has two files/],
  ])('%s is refused before anything is made', async (_, args, message) => {
    const hq = await empty();
    const ran = await listening(hq, ...args);
    expect(ran).toMatchObject({ code: 2, out: '' });
    expect(ran.err).toMatch(message);
    await expect(readFile(hq.config)).rejects.toThrow('ENOENT');
  });

  it('is refused for a requestor', async () => {
    const oslo = await empty('oslo');
    const ran = await oslo.run('init', 'oslo', '--role', 'requestor', '--server', 'hq', '--listen', '127.0.0.1:1');
    expect(ran.code).toBe(2);
    expect(ran.err).toContain('Only a directory server listens');
  });
});

it('init --publish people.csv makes a directory of type csv, whose key is a column', async () => {
  const hq = await empty();
  const files = ['--publish', 'people.csv', '--key', 'Personnel Number', '--subscribe', 'network.CSV'];
  await hq.must('init', 'hq', '--role', 'server', ...files);
  await writeFile(join(hq.data, 'people.csv'), 'Personnel Number,cn,sn,Salary\n7,Anna Berg,Berg,1\n');
  const { out } = await hq.must('check');
  expect(out).toContain('1 entry to publish');
  expect(out).toContain('not published: Salary');
});

describe('check of a requestor', () => {
  let server: Server | undefined;

  afterEach(() => {
    server?.close();
    server = undefined;
  });

  const answering = async (status: number, text: string): Promise<number> => {
    server = createServer((_, answer) => void answer.writeHead(status).end(text));
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  };

  const checked = async (url: string): Promise<Ran> => {
    const oslo = await empty('oslo');
    await oslo.must('init', 'oslo', '--role', 'requestor', '--server', 'hq');
    const text = await readFile(oslo.config, 'utf8');
    await writeFile(oslo.config, text.replace(/^ {2}folder: .*$/m, `  http: { url: "${url}" }`));
    return oslo.run('check');
  };

  it('says that the server answers', async () => {
    const port = await answering(200, '{"status":"ok"}');
    expect((await checked(`http://127.0.0.1:${port}`)).out).toMatch(/http +ok +http:\S+ answers/);
  });

  it('a server that is somebody else is a warning', async () => {
    const port = await answering(200, '<html>Please log in</html>');
    expect((await checked(`http://127.0.0.1:${port}`)).out).toMatch(/warning: http: .*not as a dirpost server/);
  });

  it('a wrong port is a warning that says what to look at', async () => {
    const port = await answering(200, '');
    await new Promise((resolve) => server!.close(resolve));
    const { out } = await checked(`http://127.0.0.1:${port}`);
    expect(out).toMatch(/warning: http: .*nothing listens there\n {2}Are address and port right/);
  });

  it('http:// to another machine is a fault', async () => {
    const ran = await checked('http://hq.example.org:8943');
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/fault: http: .*without TLS\n {2}Write https:/);
    expect(ran.out.match(/^fault: .*without TLS/gm)).toHaveLength(1);
  });
});
