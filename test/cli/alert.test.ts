/** `dirpost status --alert`: one line and an exit code for a monitoring program. */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { openSqliteStore } from '@dirpost/adapters';
import type { StoreTx } from '@dirpost/core';
import { describe, expect, it } from 'vitest';
import type { Office } from '../demo/office.ts';
import { freshNetwork } from './network.ts';

const DAY = 86_400_000;

async function putBack(
  office: Office,
  document: string,
  change: (kept: Record<string, unknown>) => object,
): Promise<void> {
  const store = await openSqliteStore({ path: join(office.data, 'store.db') });
  try {
    await store.transaction(async (tx: StoreTx) => {
      const kept = (await tx.getDocument<Record<string, unknown>>(document))!;
      await tx.putDocument(document, { ...kept, ...change(kept) });
    });
  } finally {
    await store.close();
  }
}

const alertOf = (office: Office) => office.run('status', '--alert');

describe('status --alert', () => {
  it('is one line, and exit code 0, where nobody is needed', async () => {
    const { hq, oslo } = await freshNetwork();
    expect(await alertOf(hq)).toMatchObject({ code: 0, out: 'OK hq: nothing needs an administrator.\n', err: '' });
    expect(await alertOf(oslo)).toMatchObject({ code: 0, out: 'OK oslo: nothing needs an administrator.\n', err: '' });
  });

  it('names a directory that cannot be read', async () => {
    const { oslo } = await freshNetwork();
    await rename(oslo.people, `${oslo.people}.away`);
    await oslo.run('sync', '--wait', '0');
    const told = await alertOf(oslo);
    expect(told).toMatchObject({ code: 1, err: '' });
    expect(told.out).toMatch(/^ALERT oslo: people \(cannot be read or written\)\. Look closer: dirpost status\n$/);
    const json = await oslo.run('--json', 'status', '--alert');
    expect(json.code).toBe(1);
    expect(JSON.parse(json.out)).toMatchObject({ attention: ['directory'] });
  });

  it('names at the server who is overdue, and a branch that is held beside it', async () => {
    const { hq } = await freshNetwork();
    await putBack(hq, 'server/requestor/oslo', ({ report }) => ({
      lastHeardMs: Date.now() - 2 * DAY,
      report: { ...(report as object), nextContactMs: Date.now() - DAY, heldCount: 4 },
    }));
    const { code, out } = await alertOf(hq);
    expect(code).toBe(1);
    expect(out).toMatch(/^ALERT hq: oslo \(overdue\); .*oslo \(held for a word\)\. Look closer: dirpost status\n$/);
  });

  it('has the exit code of what is held where only that is waited for', async () => {
    const { oslo } = await freshNetwork();
    await putBack(oslo, 'requestor', () => ({ heldAtServer: 2 }));
    const { code, out } = await alertOf(oslo);
    expect(code).toBe(3);
    expect(out).toBe('HELD oslo: oslo (held for a word). Look closer: dirpost status\n');
  });

  it('says that the server does not answer after three days, and not for one exchange that waits', async () => {
    const { oslo } = await freshNetwork();
    const nowMs = Date.now();
    await putBack(oslo, 'requestor', () => ({ unanswered: 2, answeredMs: nowMs - 2 * DAY, exchangeMs: nowMs }));
    expect((await alertOf(oslo)).code).toBe(0);
    await putBack(oslo, 'requestor', () => ({ unanswered: 1, answeredMs: nowMs - 20 * DAY }));
    expect((await alertOf(oslo)).code).toBe(0);
    await putBack(oslo, 'requestor', () => ({ unanswered: 2, answeredMs: nowMs - 4 * DAY }));
    expect(await alertOf(oslo)).toMatchObject({
      code: 1,
      out: 'ALERT oslo: oslo (the server does not answer). Look closer: dirpost status\n',
    });
  });

  it('leaves refused entries to those who look now and then', async () => {
    const { hq } = await freshNetwork();
    await putBack(hq, 'server/requestor/oslo', () => ({ flaggedCount: 5 }));
    expect((await alertOf(hq)).code).toBe(0);
  });
});
