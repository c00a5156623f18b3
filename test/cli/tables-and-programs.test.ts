/** CSV files and programs as directories, from the configuration to the file that is written. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runHere, temporaryFolder } from './network.ts';

const row = (nr: number, mail = `p${nr}@x`) => `${nr};Person ${nr};${mail};10000\r\n`;
const table = (rows: string) => `Personnel Number;Full name;mail;Salary\r\n${rows}`;

/** A server whose people are in a table and whose rooms are printed. */
async function postoffice() {
  const root = await temporaryFolder();
  const at = (name: string) => join(root, name);
  const run = (...args: string[]) => runHere(['--config', at('dirpost.yaml'), ...args]);
  await run('init', 'hq', '--role', 'server');
  await writeFile(
    at('dirpost.yaml'),
    `postoffice: hq
role: server
directories:
  - { name: people, type: csv, path: people.csv, direction: publish, key: Personnel Number, attributes: { cn: Full name } }
  - { name: rooms, type: command, command: [${JSON.stringify(process.execPath)}, rooms.mjs], direction: publish, key: cn }
  - { name: network, type: csv, path: network.csv, direction: subscribe, firstWrite: allowed }
lists: [{ name: all, receivers: "*" }]
`,
  );
  const rooms = (exitCode: number) =>
    writeFile(
      at('rooms.mjs'),
      `console.log('dn: cn=Blue,o=x\\nobjectClass: room\\ncn: Blue\\n'); console.error('no line'); process.exitCode = ${exitCode};`,
    );
  await writeFile(at('people.csv'), table(row(7) + row(8)));
  await rooms(0);
  const entries = async () => (await run('entries', '--of', 'published')).out;
  return { run, at, rooms, entries };
}

describe('a postoffice whose people are in a CSV file and whose rooms a program prints', () => {
  it('checks, publishes, and keeps to itself what no mapping names', async () => {
    const { run, entries, at } = await postoffice();
    const check = await run('check');
    expect(check.out).toContain('2 entries to publish');
    expect(check.out).toContain('not published: Salary');
    await run('sync');
    const published = await entries();
    for (const name of ['Person 7', 'Person 8', 'Blue']) expect(published).toContain(name);
    expect((await run('--json', 'entries', '--of', 'published')).out).not.toContain('10000');
    expect(await readFile(at('network.csv'), 'utf8')).toMatch(/^\uFEFFcn,sn,/);
  });

  it('removes nobody when the table is cut off, lacks a column, or the program fails', async () => {
    const { run, at, rooms, entries } = await postoffice();
    await run('sync');
    const before = await entries();
    expect(before).toContain('Person 8');
    await rooms(1);
    for (const [text, told] of [
      [table(row(7)).slice(0, -2), 'half-written'],
      ['Personnel No;Full name;mail\r\n7;Person 7;p7@x\r\n', 'no column "Personnel Number"'],
      ['', 'The file is empty'],
    ] as const) {
      await writeFile(at('people.csv'), text);
      const { out, err } = await run('sync');
      expect(out + err).toContain(told);
      expect(out + err).toContain('ended with exit code 1');
      expect(await entries()).toBe(before);
    }
    expect((await run('check')).out).toContain('It said: "no line');
  });

  it('a row that is wrong is refused by its line, and the others go', async () => {
    const { run, at, entries } = await postoffice();
    await writeFile(at('people.csv'), table(`${row(7)}8;Person 8;p8@x;1;too;many\r\n${row(9)}`));
    await run('sync');
    expect(await entries()).toContain('Person 9');
    expect((await run('status')).out).toContain('line 3: 6 cells');
  });
});
