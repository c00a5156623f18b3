/** Who is turned away at the door of transport http: never answered, counted for the administrator, and no burden to others. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { isPostofficeName } from '@dirpost/core';
import { type Agent, loadConfiguration, openAgent } from '../../packages/agent/src/index.ts';
import { dispatch } from '../../packages/agent/src/dispatch.ts';
import type { CycleEvent } from '../../packages/agent/src/events.ts';
import { Office } from '../demo/office.ts';
import { asks, freshBranches, lineFor, makeBranch, makeServer, rosterOf, settings } from './branches.ts';
import { runHere } from './network.ts';

/** The server with http beside its exchange folder, as long as `work` takes. */
async function listening<T>(hq: Office, work: (url: string, agent: Agent, events: CycleEvent[]) => Promise<T>) {
  const text = await readFile(hq.config, 'utf8');
  await writeFile(hq.config, text.replace(/^transports:$/m, 'transports:\n  http: { listen: "127.0.0.1:0" }'));
  const events: CycleEvent[] = [];
  const agent = await openAgent(await loadConfiguration(hq.config), { tell: (event) => events.push(event) });
  try {
    return await work((await agent.transports.listen())!, agent, events);
  } finally {
    await agent.close();
  }
}

/** Status of the answer to one who only says that he is `name`. */
async function knock(url: string, name: string): Promise<[number, unknown]> {
  expect(isPostofficeName(name)).toBe(true);
  const { nonce } = (await (await fetch(`${url}/v1/nonce`)).json()) as { nonce: string };
  const signature = Buffer.alloc(64).toString('base64');
  const headers = { 'dirpost-postoffice': name, 'dirpost-nonce': nonce, 'dirpost-signature': signature };
  const answer = await fetch(`${url}/v1/messages/${'a'.repeat(32)}`, { headers });
  return [answer.status, await answer.json()];
}

it('strangers, and those who are suspended or have another key, are counted together, and told once', async () => {
  const { hq } = await freshBranches();
  await hq.must('requestor', 'suspend', 'oslo');
  const told = await listening(hq, async (url, _agent, events) => {
    for (const name of ['zara', 'oslo', 'zara', 'bergen']) {
      expect(await knock(url, name)).toEqual([403, { error: 'refused' }]);
    }
    return events;
  });
  const { refused } = await rosterOf(hq);
  const why = 'not known here, suspended, or without the key of that name';
  expect(refused.map(({ name, count }) => [name, count]).sort()).toEqual([
    ['bergen', 1],
    ['oslo', 1],
    ['zara', 2],
  ]);
  expect(refused.every((one) => one.why === why)).toBe(true);
  expect(told.filter(({ level }) => level === 'warning')).toHaveLength(1);
});

it('whoever joins and asks for his answer too early is not among them', async () => {
  const hq = await makeServer();
  const line = await lineFor(hq, 'oslo');
  await asks(await makeBranch(hq, 'oslo'), line);
  await listening(hq, async (url, { postoffice }) => {
    await knock(url, 'oslo');
    await dispatch(postoffice, { signal: new AbortController().signal });
  });
  expect(await rosterOf(hq)).toMatchObject({ requestors: [{ name: 'oslo', state: 'active' }], refused: [] });
});

it('the refusal of a used invitation does not fill the mailbox of the one who used it', async () => {
  const hq = await makeServer();
  const line = await lineFor(hq, 'oslo');
  const [first, late] = ['first', 'late'].map((folder) => new Office(join(hq.root, folder), 'oslo', runHere));
  for (const office of [first!, late!]) await mkdir(office.root);
  await first!.must('join', line, ...settings('oslo'), '--folder', hq.exchange, '--wait', '0');
  await hq.must('dispatch');
  await late!.must('join', line, ...settings('oslo'), '--folder', hq.exchange, '--wait', '0');
  const [file] = await hq.waiting();
  const body = await readFile(file!);
  await rm(file!);
  const text = await readFile(hq.config, 'utf8');
  await writeFile(hq.config, text.replace(/^ {2}folder: .*$/m, ''));
  const told = await listening(hq, async (url, { postoffice }, events) => {
    const posted = fetch(`${url}/v1/enrolments/${'a'.repeat(32)}`, { method: 'PUT', body });
    const end = new AbortController();
    const http = postoffice.inbound.find((one) => one.name === 'http')!;
    await new Promise<void>((resolve) => void http.watch!(resolve, end.signal));
    await dispatch(postoffice, { signal: end.signal });
    end.abort();
    expect((await posted).status).toBe(204);
    return events.map((event) => event.text);
  });
  expect(told.join('\n')).toMatch(/oslo wanted to join .*refused: its invitation was used before/);
  expect(told.join('\n')).toMatch(
    /the refusal is not sent: over http and mail only the oslo that is known here is reached/,
  );
  expect(await readdir(join(hq.data, 'http')).catch(() => [])).not.toContain('mailboxes');
});
