/**
 * Edits and entry ids that no honest program would send, by a requestor that is known: real postoffices, real message files. What
 * bergen publishes is put into its own store, past everything that would refuse it there, so that it is numbered, summed, sealed and
 * signed as anything else of bergen; hq is the server, and oslo owns the people.
 */
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import {
  type Attributes,
  baseOf,
  composeExchange,
  decodeEntry,
  DigestSum,
  EDIT_BASE,
  EDIT_SERIAL,
  EDIT_TARGET,
  editId,
  encodeEntry,
  type Entry,
  entryHash,
  type EntryRow,
  loadOwn,
  type Report,
  saveOwn,
  type StoreTx,
} from '@dirpost/core';
import { describe, expect, it, vi } from 'vitest';
import { openAgent } from '../../packages/agent/src/agent.ts';
import { loadConfiguration } from '../../packages/agent/src/config/load.ts';
import { sendOutgoing } from '../../packages/agent/src/send.ts';
import type { Postoffice } from '../../packages/agent/src/postoffice.ts';
import { type Office, type Ran } from '../demo/office.ts';
import { makePerson } from '../demo/people.ts';
import { expectInStep, freshBranches } from '../cli/branches.ts';
import { smallStaff } from '../cli/network.ts';

// Whole networks, and machines that have other work to do.
vi.setConfig({ testTimeout: 120_000 });

/** What these rows are called, in the place of a directory: no read removes them. */
const NOTE = '(forged)';

async function opened<T>(office: Office, work: (postoffice: Postoffice) => Promise<T>): Promise<T> {
  const agent = await openAgent(await loadConfiguration(office.config));
  try {
    return await work(agent.postoffice);
  } finally {
    await agent.close();
  }
}

function inStore<T>(office: Office, work: (tx: StoreTx) => Promise<T>): Promise<T> {
  return opened(office, ({ store }) => store.transaction(work));
}

const REPORT: Report = { writtenUpTo: 0, refusedCount: 0, refused: [], heldCount: 0, nextContactMs: null };

/** What is published goes to the server without a look of the program at what that is; and the server takes it. */
async function sends(office: Office, hq: Office): Promise<Ran> {
  await opened(office, async (postoffice) => {
    await postoffice.store.transaction((tx) => composeExchange(tx, postoffice.requestor, REPORT));
    await sendOutgoing(postoffice, new AbortController().signal);
  });
  return hq.run('sync');
}

/** Publishes it there as it is, or takes it back (`gone`), with all sums right. */
async function forge(office: Office, entry: Entry, gone = false): Promise<void> {
  await inStore(office, async (tx) => {
    const own = await loadOwn(tx);
    const [row] = await tx.entriesById('published', [entry.id]);
    const bytes = gone ? null : encodeEntry(entry);
    const sum = DigestSum.from(own.digest);
    const isThere = row !== undefined && !row.deleted;
    if (isThere) sum.subtract(row.hash);
    if (bytes !== null) sum.add(entryHash(bytes));
    const seq = ++own.seq;
    own.live += (bytes === null ? 0 : 1) - (isThere ? 1 : 0);
    own.digest = sum.digest();
    const forged: EntryRow = {
      number: row?.number ?? 0,
      id: entry.id,
      owner: entry.owner,
      seq,
      deleted: gone,
      hash: bytes === null ? row!.hash : entryHash(bytes),
      bytes,
      peerNumber: null,
      introduced: isThere ? row.introduced : seq,
      changed: null,
      note: NOTE,
      held: null,
      withheld: null,
    };
    await tx.putEntries('published', [forged]);
    await saveOwn(tx, own);
  });
}

const octets = (fields: Record<string, string[]>): Attributes =>
  new Map(Object.entries(fields).map(([name, all]) => [name, all.map((value) => Buffer.from(value))]));

/** An edit by bergen as octets say it: none of the checks of the editor's side. */
function forgedEdit(target: Uint8Array, saw: Attributes, values: Record<string, string[]>, id?: Uint8Array): Entry {
  const attributes: Attributes = new Map([
    [EDIT_TARGET, [target]],
    [EDIT_BASE, [baseOf(saw, Object.keys(values))]],
    [EDIT_SERIAL, [randomBytes(8)]],
    ...octets(values),
  ]);
  return { id: id ?? editId('bergen', target), owner: 'bergen', kind: 'edit', attributes };
}

/** Persons of oslo as bergen has them. */
async function victims(bergen: Office): Promise<Entry[]> {
  const rows = await inStore(bergen, (tx) => tx.scanEntries('replica', 0, 1_000));
  const entries = rows.filter(({ bytes }) => bytes !== null).map(({ bytes }) => decodeEntry(bytes!));
  return entries.filter(({ owner, kind }) => owner === 'oslo' && kind === 'person');
}

interface Flagged {
  server: {
    requestors: { name: string; flaggedCount: number; flagged: { id: string; code: string; reason: string }[] }[];
  };
}

async function flaggedOf(hq: Office, name: string): Promise<Flagged['server']['requestors'][number]['flagged']> {
  return (await hq.json<Flagged>('status')).server.requestors.find((one) => one.name === name)!.flagged;
}

describe('edits without permission', () => {
  it('of a list that takes none, and of attributes that it does not take, are on no list, and change nobody', async () => {
    const { hq, oslo, bergen } = await freshBranches();
    const [nobody, other] = await victims(bergen);
    const before = await readFile(oslo.people, 'utf8');
    const edit = forgedEdit(nobody!.id, nobody!.attributes, { title: ['Chief of all'] });
    await forge(bergen, edit);
    await sends(bergen, hq);
    expect(await flaggedOf(hq, 'bergen')).toMatchObject([
      {
        id: Buffer.from(edit.id).toString('hex'),
        code: 'edit-not-allowed',
        reason: 'the list all takes no edits of title',
      },
    ]);
    // What the list takes lets nothing else through, in the same edit neither.
    await define(hq, ['title']);
    await forge(bergen, edit, true);
    await forge(bergen, forgedEdit(other!.id, other!.attributes, { title: ['Chief'], telephonenumber: ['+666'] }));
    await sends(bergen, hq);
    expect(await flaggedOf(hq, 'bergen')).toMatchObject([{ reason: 'the list all takes no edits of telephonenumber' }]);
    await settled(hq, oslo, bergen);
    expect(await readFile(hq.network, 'utf8')).not.toMatch(/Chief|\+666/);
    expect(await readFile(oslo.people, 'utf8')).toBe(before);
    expect(await oslo.json('entries', '(|(title=Chief*)(telephoneNumber=+666))')).toEqual([]);
  });

  it('a chain of them, edits of edits, under ids of others, or of what nobody may edit, are refused one by one', async () => {
    const { hq, oslo, bergen } = await freshBranches();
    await define(hq, ['*']);
    const [one, two, three, four] = await victims(bergen);
    const honest = forgedEdit(one!.id, one!.attributes, { title: ['Pilot'] });
    const chained = forgedEdit(honest.id, honest.attributes, { title: ['Chief'] });
    const ofTheChain = forgedEdit(chained.id, chained.attributes, {
      [EDIT_TARGET]: ['x'.repeat(16)],
      title: ['Chief'],
    });
    const underAnId = forgedEdit(two!.id, two!.attributes, { title: ['Chief'] }, editId('oslo', two!.id));
    const ofAPassword = forgedEdit(three!.id, three!.attributes, { userpassword: ['secret'] });
    const ofAMark = forgedEdit(four!.id, four!.attributes, { 'x-edit-settled': ['y'.repeat(16)] });
    await forge(bergen, honest);
    await sends(bergen, hq);
    for (const edit of [chained, ofTheChain, underAnId, ofAPassword, ofAMark]) await forge(bergen, edit);
    await sends(bergen, hq);
    const refused = new Map((await flaggedOf(hq, 'bergen')).map(({ id, code, reason }) => [id, `${code}: ${reason}`]));
    const reasonOf = ({ id }: Entry) => refused.get(Buffer.from(id).toString('hex'));
    expect(reasonOf(honest)).toBeUndefined();
    expect(reasonOf(chained)).toBe('edit-not-allowed: it is of an own entry, which needs no edit');
    for (const edit of [ofTheChain, underAnId, ofAPassword, ofAMark])
      expect(reasonOf(edit)).toBe('edit-not-allowed: it is malformed');
    // oslo is shown the one that is allowed, and settles it: it was not asked for more.
    await oslo.must('sync', '--wait', '0');
    expect((await oslo.must('conflicts')).out).not.toMatch(/Chief|secret/);
    for (const edit of [honest, chained, ofTheChain, underAnId, ofAPassword, ofAMark]) await forge(bergen, edit, true);
    await settled(hq, oslo, bergen);
    expect(await readFile(hq.network, 'utf8')).not.toMatch(/Chief|userPassword/i);
  });
});

describe('an id that the entry of somebody else would get', () => {
  it('stops what its owner submits, and both names are told; nobody loses an entry of his', async () => {
    const { hq, oslo, bergen } = await freshBranches();
    const known = await readFile(bergen.network, 'utf8');
    const newcomer = makePerson('oslo', 700);
    const [someone] = await victims(bergen);
    // By the key that oslo's directory will name him by.
    const { mapping } = (await opened(oslo, async ({ publishing }) => publishing))[0]!;
    const id = mapping.idOfAnchor(Buffer.from(newcomer.key));
    const taken: Entry = { ...someone!, id, owner: 'bergen', kind: 'person' };
    await forge(bergen, taken);
    expect(await sends(bergen, hq)).toMatchObject({ code: 0 });
    const staff = smallStaff('oslo');
    await oslo.writePeople({ ...staff, people: [...staff.people, newcomer] });
    await oslo.must('sync', '--wait', '0');
    const said = await hq.run('sync');
    const words = `oslo submitted an entry whose id ${Buffer.from(id).toString('hex')} is of bergen. Nothing of this message was taken.`;
    expect(said).toMatchObject({ code: 1, out: expect.stringContaining(words) as string });
    expect((await hq.must('queue')).out).toContain(words);
    // All that oslo had before stands everywhere, and the others are served.
    const others = await hq.json<{ owner: string }[]>('entries');
    expect(others.filter(({ owner }) => owner === 'oslo')).toHaveLength(14);
    await bergen.must('sync', '--wait', '0');
    expect(await readFile(bergen.network, 'utf8')).toBe(known);
    // It is not forgotten at once that it was somebody else's; who the owner was is told.
    await forge(bergen, taken, true);
    await sends(bergen, hq);
    await oslo.must('sync', '--wait', '0');
    expect((await hq.run('sync')).out).toMatch(
      /is that of an entry of bergen, which was removed and is not forgotten yet/,
    );
    // Who gives the entry up goes on at once.
    staff.people[0]!.title = 'Captain';
    await oslo.writePeople(staff);
    await settled(hq, oslo, bergen);
    expect(await readFile(bergen.network, 'utf8')).toContain('title: Captain');
  });

  it('by mistake is no mistake any more when it is taken out again, while its owner still has it', async () => {
    const { hq, oslo, bergen } = await freshBranches();
    const known = await readFile(bergen.network, 'utf8');
    const [mine] = await victims(bergen);
    const mistaken: Entry = { ...mine!, owner: 'bergen' };
    await forge(bergen, mistaken);
    expect((await sends(bergen, hq)).out).toContain('is of oslo. Nothing of this message was taken.');
    await forge(bergen, mistaken, true);
    expect(await sends(bergen, hq)).toMatchObject({ code: 0 });
    expect(await readFile(bergen.network, 'utf8')).toBe(known);
    const staff = smallStaff('bergen');
    staff.people[0]!.title = 'Captain';
    await bergen.writePeople(staff);
    await settled(hq, oslo, bergen);
    expect(await readFile(oslo.network, 'utf8')).toContain('title: Captain');
  });
});

/** A cycle in which files that are refused may lie about, then two without any. */
async function settled(hq: Office, ...branches: Office[]): Promise<void> {
  // Who is answered before another has submitted his changes gets those with the next cycle.
  for (let i = 0; i < 2; i++) {
    for (const branch of branches) await branch.must('sync', '--wait', '0');
    await hq.run('sync');
    for (const branch of branches) await branch.must('dispatch');
    await hq.run('dispatch');
  }
  await expectInStep(hq, ...branches);
}

/** The list of all takes edits of these. */
async function define(hq: Office, edits: string[]): Promise<void> {
  const lists = `- { name: all, filter: "(objectClass=*)", attributes: ["*"], receivers: "*", edits: ${JSON.stringify(edits)} }`;
  const text = await readFile(hq.config, 'utf8');
  await writeFile(hq.config, `${text.replace(/^lists:[\s\S]*?(?=^\S|$(?![\s\S]))/m, '')}\nlists:\n  ${lists}\n`);
}
