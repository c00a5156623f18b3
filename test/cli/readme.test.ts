/** The walks in the README are run as they stand, so that they cannot rot. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { hasOpenssl } from '../contract/http-certificates.ts';
import { BINARY } from '../demo/office.ts';
import { freePorts } from '../servers/free-ports.ts';
import { runHere, temporaryFolder } from './network.ts';

const WALK_WITHIN_MS = 170_000;
vi.setConfig({ testTimeout: WALK_WITHIN_MS + 10_000 });

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const readme = readFileSync(join(checkout, 'README.md'), 'utf8');
const section = (title: string) => readme.slice(readme.indexOf(`\n## ${title}`)).split(/\n## /)[1]!;
const blocks = (title: string) => [...section(title).matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, text]) => text!);

/** Tells how each command ended. What runs in the background stays one process, which `kill` finds. */
const recorder = `dirpost() {
  case " $* " in *" run "*) exec dirpost "$@" ;; esac
  command dirpost "$@" < /dev/null
  echo "$? $*" >> "$HOME/codes"
}`;

interface Walked {
  home: string;
  out: string;
  /** The last words of the shell, which say where it stood. */
  end: string;
  /** Commands that did not end with exit code 0, with their code. */
  codes: string[];
}

/** Another port than the one in the text, because tests may not count on one. */
async function walk(lines: string[], port: number): Promise<Walked> {
  const home = await temporaryFolder();
  const env: NodeJS.ProcessEnv = { ...process.env, HOME: home };
  delete env['DIRPOST_CONFIG'];
  const text = [recorder, ...lines].join('\n').replaceAll('8943', String(port));
  // -u: nothing is forgotten; -x: its last words say where. A group of its own: whatever happens, no agent is left.
  const shell = spawn('sh', ['-ux', '-c', text], {
    cwd: checkout,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  shell.stdout.setEncoding('utf8').on('data', (some: string) => (out += some));
  shell.stderr.setEncoding('utf8').on('data', (some: string) => (err += some));
  const endAll = () => {
    try {
      process.kill(-shell.pid!, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };
  const late = setTimeout(endAll, WALK_WITHIN_MS);
  await once(shell, 'exit');
  clearTimeout(late);
  endAll();
  const codes = (await readFile(join(home, 'codes'), 'utf8')).trim().split('\n');
  return { home, out, end: err.slice(-1_000), codes: codes.filter((line) => !line.startsWith('0 ')) };
}

const pathLine = blocks('Ten minutes on two machines')[0]!.split('\n')[0]!;

describe('README.md', () => {
  it('its walk on two machines works, line by line: three agents, and everybody has everybody', async () => {
    const { home, out, end, codes } = await walk(blocks('Ten minutes on two machines'), (await freePorts(1))[0]!);
    expect({ codes, end }).toMatchObject({ codes: ['3 -c oslo/dirpost.yaml sync'] });
    expect(out).toContain('oslo has joined hq.');
    expect(out).toContain('the first write into a directory waits for: dirpost approve network');
    expect(out).toContain('title: Captain');
    expect(out).toContain('not published: Salary');
    // What lima has, as a spreadsheet.
    expect(out).toMatch(/^Anna Berg,.*anna@hq\.example\.org/m);
    expect(out).toMatch(/^lima +all +2 +2/m);
    expect(out).toContain('No requestor needs an administrator.');
    expect(out).not.toMatch(/warning: (?!network: \d+ entr)|error|fault/);
    // It has removed what it made; three agents were stopped, or the shell would still wait for them.
    await expect(access(join(home, 'dirpost-walk'))).rejects.toThrow();
    expect(end).toMatch(/\+ kill \d+ \d+ \d+\n\+ wait/);
  });

  it.runIf(hasOpenssl())(
    'its lines for real machines work: a certificate, and a branch to which nothing is copied',
    async () => {
      const title = 'Ten minutes on two machines';
      const [, real] = /^```\n(openssl [\s\S]*?)^```$/m.exec(section(title)) ?? [];
      const plain = /^dirpost -c hq\/dirpost\.yaml init .*$/m;
      const upToJoin = blocks(title).slice(0, 6);
      expect(upToJoin.at(-1)).toContain('join --file oslo.invitation');
      const lines = upToJoin.map((block) => block.replace(plain, () => real!));
      const port = (await freePorts(1))[0]!;
      // No name of the example is known here, and tests listen on loopback only.
      const here = lines.map((line) =>
        line
          .replaceAll('hq.example.org:8943', 'localhost:8943')
          .replaceAll('=hq.example.org', '=localhost')
          .replaceAll(':hq.example.org', ':localhost')
          .replaceAll('0.0.0.0', '127.0.0.1'),
      );
      const { home, out, end, codes } = await walk([...here, 'kill $hq; wait'], port);
      expect({ codes, end }).toMatchObject({ codes: ['3 -c oslo/dirpost.yaml sync'] });
      expect(out).toContain(`https://localhost:${port} answers`);
      expect(await readFile(join(home, 'dirpost-walk', 'oslo', 'dirpost.yaml'), 'utf8')).toContain('ca: server-ca.pem');
      expect(out).toContain('In step with hq: digests agree.');
    },
  );

  it('its walk with a stick works, line by line', async () => {
    const { out, end, codes } = await walk([pathLine, ...blocks('Without a line between them')], 0);
    expect({ codes, end }).toMatchObject({ codes: [] });
    expect(out).toMatch(/cn: Anna Berg[^]*cn: Kari Nordmann/);
    expect(out).toContain('No requestor needs an administrator.');
    expect(out).not.toMatch(/warning|error|fault/);
  });

  it('names every command, and none that is not there', async () => {
    const { out } = await runHere(['--help']);
    const commands = [...out.slice(out.indexOf('Commands:')).matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name!);
    const named = [...section('Commands').matchAll(/^\| `([a-z]+)/gm)].map(([, name]) => name!);
    expect([...named].sort()).toEqual(commands.filter((name) => name !== 'help').sort());
  });

  it('names documents and headings that are there', async () => {
    for (const [, file, heading] of readme.matchAll(/\]\(([\w./-]+)(?:#([\w-]+))?\)/g)) {
      await access(join(checkout, file!));
      if (heading === undefined) continue;
      const text = await readFile(join(checkout, file!), 'utf8');
      const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, words]) =>
        words!
          .toLowerCase()
          .replace(/[^\w -]/g, '')
          .replaceAll(' ', '-'),
      );
      expect(headings).toContain(heading);
    }
  });

  it('its set-up commands are those of package.json and of CI', async () => {
    const { scripts } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(['demo', 'test']));
    expect(readme).toMatch(/^npm ci && npm run demo -- --http$/m);
    expect(readme).toMatch(/^npm ci && npm test$/m);
    expect(await readFile(join(checkout, '.ci', 'run'), 'utf8')).toContain('npm ci && npm test');
    expect(await readFile(BINARY, 'utf8')).toMatch(/^#!/);
  });
});
