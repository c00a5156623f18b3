/** The walk in the README is run as it stands, so that it cannot rot. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readLdif } from '../demo/contents.ts';
import { runHere, temporaryFolder } from './network.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const readme = readFileSync(join(checkout, 'README.md'), 'utf8');
const section = (title: string) => readme.slice(readme.indexOf(`\n## ${title}`)).split(/\n## /)[1]!;
const blocks = [...section('Ten minutes with your own file').matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(
  ([, text]) => text!,
);

describe('README.md', () => {
  it('its walk works, line by line', async () => {
    const home = await temporaryFolder();
    // -e: the first command that fails ends it; -u: nothing is forgotten; -x: its last words say where.
    const env = { ...process.env, HOME: home, DIRPOST_CONFIG: '' };
    delete (env as Record<string, string | undefined>)['DIRPOST_CONFIG'];
    const ran = spawnSync('sh', ['-eux', '-c', blocks.join('\n')], { cwd: checkout, env, encoding: 'utf8' });
    expect({ status: ran.status, end: ran.stderr.slice(-500) }).toMatchObject({ status: 0 });
    const walk = join(home, 'dirpost-walk');
    const atHq = await readLdif(join(walk, 'hq', 'network.ldif'));
    expect(atHq.get('uid=kari,ou=oslo,ou=network,dc=example,dc=org')?.get('title')).toEqual(['Captain']);
    expect(await readFile(join(walk, 'oslo', 'network.ldif'), 'utf8')).toContain('cn: Anna Berg');
    expect(ran.stdout).toMatch(/T1 {2}exchange \d+ to hq: 1 change up to seq 3/);
    expect(ran.stdout).not.toMatch(/warning|error|fault/);
  });

  it('names every command, and none that is not there', async () => {
    const { out } = await runHere(['--help']);
    const commands = [...out.slice(out.indexOf('Commands:')).matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name!);
    const named = [...section('Commands').matchAll(/^\| `([a-z]+)/gm)].map(([, name]) => name!);
    expect([...named].sort()).toEqual(commands.filter((name) => name !== 'help').sort());
  });

  it('its set-up commands are those of package.json and of CI', async () => {
    const { scripts } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(['demo', 'test']));
    expect(readme).toMatch(/^npm ci && npm run demo$/m);
    expect(readme).toMatch(/^npm ci && npm test$/m);
    expect(await readFile(join(checkout, '.ci', 'run'), 'utf8')).toContain('npm ci && npm test');
  });
});
