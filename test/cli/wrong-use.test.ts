/** Wrong use is exit code 2, with a text that helps; nothing is changed by it. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freshNetwork, runHere, temporaryFolder } from './network.ts';

describe('wrong use', () => {
  it.each([
    [['snyc'], /unknown command.*\n?.*sync/i],
    [['sync', '--colour'], /unknown option/],
    [['init', '--role', 'server'], /missing required argument/],
    [['init', 'oslo'], /required option '--role/],
    [['sn\u001b[31myc'], /unknown command 'sn\\x1b/],
    [['init', 'oslo', '--role', 'boss'], /server, requestor/],
    [['entries', '--of', 'everything'], /replica, published, collected/],
    [['peer'], /export|add|list/],
    [['list', 'delete'], /unknown command/],
    [['sync', 'now'], /too many arguments/],
  ])('%j', async (args, text) => {
    const { code, out, err } = await runHere(['-c', join(await temporaryFolder(), 'dirpost.yaml'), ...args]);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(text);
  });

  it('no command at all shows the commands', async () => {
    const { code, out, err } = await runHere([]);
    expect(code).toBe(2);
    expect(out + err).toMatch(/preview/);
  });

  it('--help and --version are no errors', async () => {
    const help = await runHere(['--help']);
    expect(help).toMatchObject({ code: 0, err: '' });
    expect(help.out).toMatch(/Exit codes: 0 done, 1 failed, 2 wrong use or configuration, 3 something is held/);
    expect(await runHere(['--version'])).toMatchObject({ code: 0 });
    expect(await runHere(['peer', 'add', '--help'])).toMatchObject({ code: 0 });
  });

  it.each([
    [['init', 'Oslo!', '--role', 'server']],
    [['init', 'oslo', '--role', 'requestor']],
    [['init', '../oslo', '--role', 'server']],
    [['init', 'os\u001b[31mlo', '--role', 'server']],
  ])('a name that is none: %j', async (args) => {
    const { code, err } = await runHere(['-c', join(await temporaryFolder(), 'dirpost.yaml'), ...args]);
    expect(code).toBe(2);
    expect(err).not.toContain('\u001b');
  });

  it.each([[['status']], [['sync']], [['check']], [['queue']], [['peer', 'list']]])(
    'without a configuration: %j says how to make one',
    async (args) => {
      const { code, err } = await runHere(['-c', join(await temporaryFolder(), 'dirpost.yaml'), ...args]);
      expect(code).toBe(2);
      expect(err).toMatch(/There is no configuration .*\n.*dirpost init/);
    },
  );

  it('an invitation in a file that is not there', async () => {
    const folder = await temporaryFolder();
    const missing = join(folder, 'invitation');
    const { code, err } = await runHere(['-c', join(folder, 'dirpost.yaml'), 'join', '--file', missing]);
    expect(code).toBe(1);
    expect(err).toBe(
      `dirpost: There is no file ${missing}.\n  Name the file that the invitation was saved in, as it is called here; or run  dirpost join -  and paste it.\n`,
    );
  });

  it('a number of seconds that is none', async () => {
    const { oslo } = await freshNetwork();
    const { code, err } = await oslo.run('sync', '--wait', 'long');
    expect(code).toBe(2);
    expect(err).toMatch(/"long" is not a number of seconds/);
  });
});
