/** `dirpost status` at the server: who is in step, who lags and since when, who is missed, and what helps. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openSqliteStore } from '@dirpost/adapters';
import { noteSeqTime, type RequestorRecord, requestorDocument, type StoreTx } from '@dirpost/core';
import { describe, expect, it } from 'vitest';
import type { RequestorStatus } from '../../packages/agent/src/requestor-status.ts';
import type { Status } from '../../packages/agent/src/status.ts';
import { cycle, Office } from '../demo/office.ts';
import { freshNetwork, runHere, smallStaff } from './network.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const statusOf = async (office: Office): Promise<Status> => {
  const ran = await office.run('--json', 'status');
  expect(ran.err).toBe('');
  return JSON.parse(ran.out) as Status;
};

const rowOf = async (office: Office, name: string): Promise<RequestorStatus> =>
  (await statusOf(office)).server!.requestors.find((one) => one.name === name)!;

/** As time would have left it: what the server remembers of a requestor is put back. */
async function inStore(office: Office, work: (tx: StoreTx) => Promise<void>): Promise<void> {
  const store = await openSqliteStore({ path: join(office.data, 'store.db') });
  try {
    await store.transaction(work);
  } finally {
    await store.close();
  }
}

async function remembered(server: Office, name: string, change: (record: RequestorRecord) => void): Promise<void> {
  await inStore(server, async (tx) => {
    const record = (await tx.getDocument<RequestorRecord>(requestorDocument(name)))!;
    change(record);
    await tx.putDocument(requestorDocument(name), record);
  });
}

async function newTitle(office: Office, title: string): Promise<void> {
  const staff = smallStaff(office.name);
  staff.people[0]!.title = title;
  await office.writePeople(staff);
}

describe('a requestor', () => {
  it('in step lacks nothing, has written all, and needs nobody', async () => {
    const { hq } = await freshNetwork();
    expect(await rowOf(hq, 'oslo')).toMatchObject({
      list: 'all',
      heard: true,
      hasKeys: true,
      published: 14,
      lacking: 0,
      lackingMore: false,
      lackingSinceMs: null,
      written: true,
      overdueMs: null,
      stale: false,
      olderVersion: false,
      attention: [],
    });
    const { out } = await hq.must('status');
    expect(out).toContain('No requestor needs an administrator.');
    expect(out).toMatch(/^oslo +all +14 +14 +28 +0 +0 +\d+ s ago +\d+ s ago$/m);
  });

  it('that was never heard of has a row, with keys or only with a rule', async () => {
    const { root, hq } = await freshNetwork();
    const lima = new Office(root, 'lima', runHere);
    await lima.must('init', 'lima', '--role', 'requestor', '--server', 'hq');
    await lima.must('peer', 'export', '--out', join(root, 'lima.json'));
    await hq.must('peer', 'add', join(root, 'lima.json'), '--yes');
    await writeFile(hq.config, `${await readFile(hq.config, 'utf8')}\nrequestors: { rome: { publish: {} } }\n`);
    expect(await rowOf(hq, 'lima')).toMatchObject({
      heard: false,
      hasKeys: true,
      lastHeardMs: null,
      attention: ['never-heard'],
    });
    expect(await rowOf(hq, 'rome')).toMatchObject({ heard: false, hasKeys: false, attention: ['no-keys'] });
    const { out } = await hq.must('status');
    expect(out).toMatch(/^lima .*never +never$/m);
    expect(out).toMatch(/never heard of: lima – .*dirpost sync/);
    expect(out).toMatch(/no keys of it here: rome – .*dirpost peer add/);
  });

  it('lags by the entries of its list that it has not verified, not by seqs of its own', async () => {
    const { hq, oslo } = await freshNetwork();
    await newTitle(hq, 'Harbour pilot');
    await newTitle(oslo, 'Night watchman');
    await hq.must('sync');
    await oslo.must('sync', '--wait', '0');
    await hq.must('dispatch');
    const lagging = await rowOf(hq, 'oslo');
    expect(lagging).toMatchObject({ behind: 2, lacking: 1, lackingMore: false, attention: [] });
    await inStore(hq, async (tx) => {
      await tx.removeDocument('server/time');
      await tx.removeDocument('server/times');
      await noteSeqTime(tx, lagging.verifiedSeq!, Date.now() - 9 * DAY);
      await noteSeqTime(tx, lagging.verifiedSeq! + 2, Date.now() - 5 * HOUR - 1);
    });
    expect(Date.now() - (await rowOf(hq, 'oslo')).lackingSinceMs!).toBeGreaterThan(5 * HOUR);
    expect((await hq.must('status')).out).toMatch(/^oslo +5 h +all /m);
  });

  it('is overdue when the time that it named has passed', async () => {
    const { hq } = await freshNetwork();
    const named = (ms: number) =>
      remembered(hq, 'oslo', (record) => {
        record.report.nextContactMs = Date.now() + ms;
        record.lastHeardMs = Date.now() - 2 * DAY;
      });
    await named(3 * HOUR + 1_000);
    expect((await hq.must('status')).out).toMatch(/^oslo .* in 3 h /m);
    await named(-60_000);
    expect((await hq.must('status')).out).toMatch(/^oslo .* due now /m);
    expect((await rowOf(hq, 'oslo')).attention).toEqual([]);
    await named(-5 * HOUR);
    expect((await rowOf(hq, 'oslo')).attention).toEqual(['overdue']);
    const { out } = await hq.must('status');
    expect(out).toMatch(/^oslo .* overdue 5 h /m);
    expect(out).toMatch(/overdue: oslo \(5 h\) – .*dirpost queue/);
  });

  it('that was heard after the time that it named is not missed', async () => {
    const { hq } = await freshNetwork();
    await remembered(hq, 'oslo', (record) => (record.report.nextContactMs = record.lastHeardMs - DAY));
    expect(await rowOf(hq, 'oslo')).toMatchObject({ overdueMs: null, attention: [] });
  });

  it('is stale when it was silent beyond the retention', async () => {
    const { hq } = await freshNetwork();
    await remembered(hq, 'oslo', (record) => (record.lastHeardMs = Date.now() - 91 * DAY));
    expect(await rowOf(hq, 'oslo')).toMatchObject({ stale: true, attention: ['stale'] });
    expect((await hq.must('status')).out).toMatch(/silent beyond the retention: oslo \(91 days\)/);
  });

  it('that is suspended is said to be, and nothing else', async () => {
    const { hq } = await freshNetwork();
    await remembered(hq, 'oslo', (record) => (record.lastHeardMs = Date.now() - 91 * DAY));
    const file = join(hq.data, 'peers', 'oslo.json');
    const peer = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    await writeFile(file, JSON.stringify({ ...peer, state: 'suspended' }));
    expect(await rowOf(hq, 'oslo')).toMatchObject({ suspended: true, stale: true, attention: ['suspended'] });
    expect((await hq.must('status')).out).toMatch(/suspended: oslo – /);
  });

  it('of an older version is marked', async () => {
    const { hq } = await freshNetwork();
    await remembered(hq, 'oslo', (record) => (record.version = '0.0.9'));
    expect((await rowOf(hq, 'oslo')).olderVersion).toBe(true);
    expect((await hq.must('status')).out).toMatch(/^oslo .* 0\.0\.9 \(old\) /m);
  });

  it('whose directory or rule refuses entries is named, with what was refused', async () => {
    const { hq, offices } = await freshNetwork();
    const rule = 'requestors: { oslo: { publish: { kinds: [person] } } }';
    await writeFile(hq.config, `${await readFile(hq.config, 'utf8')}\n${rule}\n`);
    await cycle(offices);
    expect(await rowOf(hq, 'oslo')).toMatchObject({ flaggedCount: 2, refusedCount: 0, attention: ['refused'] });
    const { out } = await hq.must('status');
    expect(out).toMatch(/entries refused: oslo \(2\) – .*dirpost explain ID/);
    expect(out).toMatch(/^server, of oslo +[0-9a-f]{32} +kind-not-allowed/m);
  });
});

describe('what is held', () => {
  it('is exit code 3, with the command that shows it', async () => {
    const { hq } = await freshNetwork();
    await remembered(hq, 'oslo', (record) => (record.report.heldCount = 4));
    const ran = await hq.run('status');
    expect(ran.code).toBe(3);
    expect(ran.out).toMatch(/held: oslo \(4\) – .*dirpost held/);
    const json = await hq.run('--json', 'status');
    expect(json.code).toBe(3);
    expect(JSON.parse(json.out)).toMatchObject({ held: { here: 0, atServer: 0, atRequestors: 4 } });
  });

  it('at the server is told to the requestor', async () => {
    const { oslo } = await freshNetwork();
    await inStore(oslo, async (tx) => {
      const own = (await tx.getDocument<{ heldAtServer: number }>('requestor'))!;
      await tx.putDocument('requestor', { ...own, heldAtServer: 2 });
    });
    const ran = await oslo.run('status');
    expect(ran.code).toBe(3);
    expect(ran.out).toMatch(/HELD at the server: 2 entries\. Look there, at hq: dirpost held/);
  });
});

describe('the screen', () => {
  it('has tables of at most 100 characters in the usual case', async () => {
    const { hq } = await freshNetwork();
    await remembered(hq, 'oslo', (record) => {
      Object.assign(record, { live: 120_000, lastHeardMs: Date.now() - 20 * DAY, flaggedCount: 12 });
      Object.assign(record.report, { nextContactMs: Date.now() - 19 * DAY, refusedCount: 100, heldCount: 100 });
      record.accepted.seq = 1_234_567;
      record.version = '0.0.12';
    });
    const ran = await hq.run('status');
    const requestors = ran.out.slice(ran.out.indexOf('Requestors'));
    for (const line of requestors.split('\n').filter((one) => /^(name|oslo|hq) /.test(one)))
      expect({ line, width: line.length > 100 }).toEqual({ line, width: false });
  });

  it('of a branch says what could not be sent or collected, and why', async () => {
    const { root, oslo } = await freshNetwork();
    const config = await readFile(oslo.config, 'utf8');
    await writeFile(oslo.config, config.replace('path: ../exchange', 'path: ../unplugged'));
    expect(await oslo.run('sync', '--wait', '0')).toMatchObject({ code: 1 });
    expect(await statusOf(oslo)).toMatchObject({
      server: null,
      unsent: { messages: 1, attempts: 1 },
      uncollected: [{ transport: 'folder', hint: expect.stringMatching(/stick/) as string }],
      attention: ['unsent', 'uncollected'],
    });
    expect((await oslo.must('status')).out).toMatch(/1 message file could not be sent \(1 failed, .*unplugged/);
    await mkdir(join(root, 'unplugged'));
  });
});
