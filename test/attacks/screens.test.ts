/**
 * Values from outside on a terminal. See also test/cli/bad-input.test.ts, "nothing in a directory speaks to the terminal".
 * An attacker owns an entry somewhere on the network; an administrator elsewhere looks at it by any command.
 */
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { createLog } from '../../packages/agent/src/log.ts';
import { printable, printableJson } from '../../packages/agent/src/printable.ts';
import { cycle, type Office, type Ran } from '../demo/office.ts';
import { freshNetwork, smallStaff } from '../cli/network.ts';

const FORGED = 'T2  everything is fine';
/** Clears the screen, sets the title, C1 controls, turns text around, hides letters, begins a line of its own. */
const EVIL = `Evil\u001b[2J\u001b]0x\u0007\u009b1m\u202egnitaerts\u2066\u200b\u200d\u00ad\u2060\ufeff\u{e0041}\u2028\r\n${FORGED}`;
const UNSEEN =
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e0fff}]/u;
const NOTHING_MAY_LEAVE = 'holds: { removals: { above: 0, percent: 0 }, renames: { above: 0, percent: 0 } }\n';

function faults({ command, out, err }: Ran): string[] {
  const all = out + err;
  const faults = [];
  const found = UNSEEN.exec(all);
  if (found !== null) faults.push(`${command}: U+${found[0].codePointAt(0)!.toString(16)}`);
  if (all.split('\n').some((line) => line.trim().startsWith(FORGED))) faults.push(`${command}: a forged line`);
  return faults;
}

/** A person and a group of oslo in whom every value is evil. */
async function writeEvil(oslo: Office, title: string): Promise<void> {
  const staff = smallStaff('oslo');
  Object.assign(staff.people[0]!, { sn: EVIL, givenName: EVIL, title, telephoneNumber: EVIL, l: EVIL });
  staff.people[1]!.uid = `a${EVIL}`;
  staff.groups[0]!.cn = EVIL;
  await oslo.writePeople(staff);
}

it('no command shows what cannot be seen, drives the terminal or forges a line', async () => {
  const { hq, oslo, offices } = await freshNetwork();
  await writeEvil(oslo, EVIL);
  const seen = [await oslo.run('check'), await oslo.run('preview'), await oslo.run('--verbose', 'sync', '--wait', '0')];
  const [file] = await hq.waiting();
  seen.push(await hq.run('message', 'show', file!), await hq.run('message', 'show', '--header', file!));
  seen.push(await hq.run('queue'), await hq.run('--verbose', 'dispatch'));
  await cycle(offices);
  // The same mail twice, and then a removal and a new name that are held, at both.
  await writeFile(
    oslo.people,
    (await readFile(oslo.people, 'utf8')).replaceAll(/^mail: .*$/gm, 'mail: one@oslo.example.org'),
  );
  for (const office of offices) await appendFile(office.config, NOTHING_MAY_LEAVE);
  await cycle(offices).catch(() => {});
  await writeFile(oslo.people, (await readFile(oslo.people, 'utf8')).replace(/^dn:: .*\n(?:.+\n)+\n/m, ''));
  await oslo.run('sync', '--wait', '0');
  for (const office of offices) {
    const person = '(sn=Evil*)';
    seen.push(
      await office.run('explain', person),
      await office.run('explain', '(uid=aEvil*)'),
      await office.run('explain', EVIL),
    );
    seen.push(
      await office.run('held'),
      await office.run('duplicates'),
      await office.run('status'),
      await office.run('queue'),
    );
    seen.push(await office.run('entries', '--of', 'published', person), await office.run('entries', person));
    for (const args of [['explain', person], ['held'], ['duplicates'], ['status'], ['entries', person]]) {
      seen.push(await office.run('--json', ...args));
    }
  }
  expect(seen.flatMap(faults)).toEqual([]);
  const shown = seen.map(({ out }) => out).join('');
  expect(shown).toContain('Evil\\x1b[2J');
  expect((await oslo.run('held')).code).toBe(3);
  expect((await oslo.run('duplicates')).out).toContain('one@oslo.example.org');
  // In JSON the value stays what it is.
  const [entry] = await hq.json<{ attributes: { sn: string[] } }[]>('entries', '--of', 'collected', '(sn=Evil*)');
  expect(entry!.attributes.sn).toEqual([EVIL]);
});

it.each(['readable', 'json'] as const)('the log of the agent in the form %s does neither', (format) => {
  const lines: string[] = [];
  const log = createLog({ format, level: 'debug', write: (line: string) => lines.push(line) });
  log.event({ time: 'T2', level: 'warning', text: `refused: ${EVIL}`, details: { reason: EVIL } });
  expect(lines).toHaveLength(1);
  expect(UNSEEN.exec(lines[0]!.trimEnd())).toBeNull();
});

it('values are shown with what is hidden in them, and are the same again when read as JSON', () => {
  expect(printable('a\u200bb')).toBe('a\\x200bb');
  expect(printable('a\nb')).toBe('a\\x0ab');
  expect(printable('Åse Ødegård 李 👍🏽 नमस्ते')).toBe('Åse Ødegård 李 👍🏽 नमस्ते');
  expect(UNSEEN.exec(printableJson({ value: EVIL }))).toBeNull();
  expect(JSON.parse(printableJson({ value: EVIL }))).toEqual({ value: EVIL });
});
