/** What comes from outside and is wrong: LDIF files, message files, folders. It is told, and nothing else changes. */
import { copyFile, mkdir, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { contentFaults, digestFaults } from '../demo/contents.ts';
import { cycle, Office } from '../demo/office.ts';
import { essence, freshNetwork, type Network, runHere, smallStaff, standing } from './network.ts';

async function inStep({ offices }: Network): Promise<void> {
  expect(digestFaults(await Promise.all(offices.map((office) => office.status())))).toEqual([]);
  for (const office of offices) expect(await contentFaults(office, offices)).toEqual([]);
}

describe('an LDIF file that is not whole removes nobody', () => {
  const faults: [string, (text: string) => string, RegExp][] = [
    ['empty', () => '', /file is empty/],
    ['cut off in the middle of a value', (text) => text.slice(0, 2_000), /does not end with a newline/],
    ['without any entry', () => 'version: 1\n\n', /no entry/],
    ['with a line that is none', (text) => text.replace(/\nmail: /, '\nmail '), /:\d+|line \d+/i],
    ['with base64 that is none', (text) => text.replace(/\ncn:: ./, '\ncn:: !'), /:\d+|line \d+/i],
    [
      'with an entry twice',
      (text) => `${text}\n${text.slice(text.indexOf('dn:'), text.indexOf('\n\n', 20) + 2)}`,
      /twice, in lines \d+ and \d+/,
    ],
  ];
  it.each(faults)('%s', async (_what, spoil, reason) => {
    const network = await freshNetwork();
    const { hq, oslo } = network;
    const before = [essence(await hq.status()), essence(await oslo.status())];
    const text = await readFile(oslo.people, 'utf8');
    await writeFile(oslo.people, spoil(text));
    const ran = await oslo.run('sync', '--wait', '0');
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/^T0 {2}warning: people was not read completely/m);
    expect(ran.out).toMatch(reason);
    await hq.must('dispatch');
    expect([essence(await hq.status()), essence(await oslo.status())]).toEqual(before);
    expect((await oslo.must('status')).out).toMatch(reason);
    await writeFile(oslo.people, text);
    await cycle(network.offices);
    await inStep(network);
  });

  it('a missing one neither', async () => {
    const { oslo } = await freshNetwork();
    const before = essence(await oslo.status());
    await rm(oslo.people);
    const ran = await oslo.run('sync', '--wait', '0');
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/There is no file .*people\.ldif/);
    expect(essence(await oslo.status())).toEqual(before);
  });
});

/** A change of oslo, on its way to hq. */
async function messageToHq({ hq, oslo }: Network, title = 'Harbour pilot'): Promise<string> {
  const staff = smallStaff('oslo');
  staff.people[0]!.title = title;
  await oslo.writePeople(staff);
  await oslo.must('sync', '--wait', '0');
  const [file] = await hq.waiting();
  return file!;
}

describe('a message file that is wrong is kept as corrupt, and changes nothing', () => {
  const flip = (at: (bytes: Buffer) => number) => (bytes: Buffer) => {
    bytes[at(bytes)]! ^= 1;
    return bytes;
  };
  const faults: [string, (bytes: Buffer) => Buffer, string | RegExp][] = [
    ['truncated', (bytes) => bytes.subarray(0, bytes.length - 10), 'message-truncated'],
    ['cut down to its first bytes', (bytes) => bytes.subarray(0, 9), 'message-truncated'],
    ['empty', () => Buffer.alloc(0), /message-(truncated|foreign)/],
    ['altered in the body', flip((bytes) => bytes.length >> 1), 'message-signature'],
    ['altered in the header', flip(() => 20), /message-(header|signature|sender|recipient)/],
    ['altered in the signature', flip((bytes) => bytes.length - 1), 'message-signature'],
    ['longer than it was', (bytes) => Buffer.concat([bytes, bytes]), 'message-signature'],
    ['of another program', () => Buffer.from('From: somebody\n\nhello\n'), 'message-foreign'],
    [
      'of a future version',
      (bytes) => Buffer.concat([bytes.subarray(0, 7), Buffer.of(bytes[7]! + 1), bytes.subarray(8)]),
      'message-version',
    ],
  ];
  it.each(faults)('%s', async (_what, spoil, code) => {
    const network = await freshNetwork();
    const { hq } = network;
    const file = await messageToHq(network);
    await writeFile(file, spoil(await readFile(file)));
    // One that ends early and is young may still be on its way into the folder.
    const hoursAgo = Date.now() / 1000 - 2 * 3_600;
    await utimes(file, hoursAgo, hoursAgo);
    const before = await standing(hq);
    const ran = await hq.run('dispatch');
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/^T3 {2}error: a message file was not taken, and is kept as corrupt\//m);
    const corrupt = (await hq.json<{ queue: string; note: string }[]>('queue')).filter(
      (one) => one.queue === 'corrupt',
    );
    expect(corrupt.map(({ note }) => note.split(':')[0])).toEqual([expect.stringMatching(code)]);
    expect(await standing(hq)).toEqual(before);
    expect((await hq.status()).corrupt).toBe(1);
    expect((await hq.must('queue')).out).toContain(corrupt[0]!.note);
    // The next cycle repeats what was not acknowledged.
    await cycle(network.offices);
    await inStep(network);
  });

  it('of a sender whom nobody has introduced', async () => {
    const { root, hq } = await freshNetwork();
    const stranger = new Office(root, 'zara', runHere);
    await stranger.must('init', 'zara', '--role', 'requestor', '--server', 'hq', '--folder', '../exchange');
    await stranger.must('peer', 'add', join(root, 'hq.json'), '--yes').catch(async () => {
      await hq.must('peer', 'export', '--out', join(root, 'hq.json'));
      await stranger.must('peer', 'add', join(root, 'hq.json'), '--yes');
    });
    await stranger.run('sync', '--wait', '0');
    expect(await hq.waiting()).toHaveLength(1);
    const before = await standing(hq);
    expect((await hq.run('dispatch')).out).toMatch(/zara/);
    expect(await hq.json('queue')).toMatchObject([
      { queue: 'corrupt', note: expect.stringMatching(/^message-sender/) },
    ]);
    expect(await standing(hq)).toEqual(before);
    expect(await readdir(join(hq.exchange, 'zara')).catch(() => [])).toEqual([]);
  });

  it('for somebody else', async () => {
    const network = await freshNetwork();
    const { oslo } = network;
    const file = await messageToHq(network);
    await mkdir(oslo.inbox, { recursive: true });
    await copyFile(file, join(oslo.inbox, `${'0'.repeat(32)}.dpm`));
    const before = await standing(oslo);
    expect(await oslo.run('dispatch')).toMatchObject({ code: 1 });
    expect(await oslo.json('queue')).toMatchObject([
      { queue: 'corrupt', note: expect.stringMatching(/^message-recipient/) },
    ]);
    expect(await standing(oslo)).toEqual(before);
  });

  it('replayed: it is answered by a receipt at the most', async () => {
    const network = await freshNetwork();
    const { root, hq, oslo, offices } = network;
    const copies: string[] = [];
    for (const title of ['Harbour pilot', 'Harbour master']) {
      const file = await messageToHq(network, title);
      const copy = join(root, `copy-${copies.length}.dpm`);
      copies.push(copy);
      await copyFile(file, copy);
      await cycle(offices);
    }
    const before = [essence(await hq.status()), essence(await oslo.status())];
    for (const [i, copy] of copies.entries()) await copyFile(copy, join(hq.inbox, `${String(i).repeat(32)}.dpm`));
    const ran = await hq.must('dispatch');
    expect(ran.out.match(/a repeat; answered with a receipt/g)).toHaveLength(2);
    await oslo.must('dispatch');
    expect([essence(await hq.status()), essence(await oslo.status())]).toEqual(before);
    await inStep(network);
  });
});

describe('folders', () => {
  it('an exchange folder that is not plugged in is said, and comes back', async () => {
    const network = await freshNetwork();
    const { root, hq, oslo, offices } = network;
    await rename(oslo.exchange, join(root, 'unplugged'));
    const staff = smallStaff('oslo');
    staff.people[0]!.title = 'Harbour pilot';
    await oslo.writePeople(staff);
    for (const args of [['sync', '--wait', '0'], ['check']]) {
      const ran = await oslo.run(...args);
      expect(ran.code).toBe(1);
      expect(ran.out).toMatch(/exchange/);
      expect(ran.out).toMatch(/[Pp]lug in the stick|is not there/);
    }
    expect(await readdir(root)).not.toContain('exchange');
    await rename(join(root, 'unplugged'), oslo.exchange);
    await cycle(offices);
    await cycle(offices);
    expect(
      (await hq.json<{ attributes: { title: string[] } }[]>('entries', '(title=Harbour pilot)')).length,
    ).toBeGreaterThan(0);
    await inStep(network);
  });

  it('a target that cannot be written is exit code 1, told to the server, and written later', async () => {
    const network = await freshNetwork();
    const { root, oslo, hq, offices } = network;
    await rename(oslo.network, join(root, 'network.ldif'));
    await mkdir(oslo.network);
    const staff = smallStaff('hq');
    staff.people[0]!.title = 'Harbour pilot';
    await hq.writePeople(staff);
    await hq.must('sync');
    await oslo.run('sync', '--wait', '0');
    await hq.must('dispatch');
    const ran = await oslo.run('dispatch');
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/error: network could not be written, and will be tried again: .*network\.ldif/);
    expect((await oslo.must('status')).out).toMatch(/network: .*network\.ldif/);
    await rm(oslo.network, { recursive: true });
    await oslo.must('dispatch');
    await cycle(offices);
    await inStep(network);
  });
});

describe('nothing in a directory speaks to the terminal', () => {
  const evil = 'Anna\u001b]0;owned\u0007\u001b[31m\u009b31m\r\u202e';

  async function withEvil(): Promise<Network> {
    const network = await freshNetwork();
    const staff = smallStaff('oslo');
    staff.people[0]!.sn = evil;
    staff.people[1]!.uid = `a\u001b[2Jb`;
    staff.groups[0]!.cn = `group \u001b[1m\n`;
    staff.people[2]!.key = '';
    await network.oslo.writePeople(staff);
    return network;
  }

  const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/;

  it('whichever command shows it', async () => {
    const { hq, oslo } = await withEvil();
    const seen = [
      await oslo.run('check'),
      await oslo.run('preview'),
      await oslo.run('--verbose', 'sync', '--wait', '0'),
    ];
    const [file] = await hq.waiting();
    seen.push(await hq.must('message', 'show', file!), await hq.must('--verbose', 'dispatch'));
    seen.push(await oslo.must('status'), await oslo.must('queue'), await hq.must('status'));
    const filter = '(|(sn=Anna*)(uid=a*b)(cn=group*))';
    seen.push(
      await hq.must('entries', '--of', 'collected', filter),
      await oslo.must('entries', '--of', 'published', filter),
    );
    seen.push(
      await hq.must('--json', 'entries', '--of', 'collected', filter),
      await oslo.run('unlink', 'people', evil),
    );
    for (const { command, out, err } of seen)
      expect({ command, found: CONTROLS.exec(out + err)?.[0] }).toEqual({ command, found: undefined });
    expect(seen.map(({ out }) => out).join('')).toContain('Anna\\x1b]0;owned\\x07');
    const [person] = await hq.json<{ attributes: { sn: string[] } }[]>('entries', '--of', 'collected', '(sn=Anna*)');
    expect(person!.attributes.sn).toEqual([evil]);
  });

  it('and the values arrive as they are', async () => {
    const network = await withEvil();
    await cycle(network.offices).catch(() => {});
    await cycle(network.offices).catch(() => {});
    const { hq } = network;
    const written = await readFile(hq.network, 'utf8');
    expect(written).toContain(Buffer.from(evil).toString('base64'));
    expect(written).not.toMatch(CONTROLS);
  });
});
