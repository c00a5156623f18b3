/**
 * Where is my change? Everything that this postoffice knows of one entry: as its owner, as the server, as a receiver.
 * Reads the store beside a running agent, and the publishing directories only where the store does not know the answer.
 * `dirpost explain` shows it.
 */
import { allRequestors, type StoreTx } from '@dirpost/core';
import type { Configuration } from './config/load.ts';
import { explainAtOwner, type OwnerStory } from './explain/at-owner.ts';
import { explainAtReceiver, type ReceiverStory } from './explain/at-receiver.ts';
import { explainAtServer, type Receivers, type ServerStory } from './explain/at-server.ts';
import { type ByHandStory, explainByHand } from './explain/changed-by-hand.ts';
import { anchorsKnown, findMatches, type Match, tablesOf } from './explain/find.ts';
import { parseQuery } from './explain/query.ts';
import { readSources, type Sources } from './explain/sources.ts';
import type { Postoffice } from './postoffice.ts';
import { knownRequestors } from './known-requestors.ts';

export interface ExplainOptions {
  /** Read the publishing directories in any case. */
  read: boolean;
  signal: AbortSignal;
}

export interface Explanation {
  asked: string;
  understood: string;
  postoffice: string;
  /** The tables of the store that were looked through. */
  lookedIn: string[];
  /** One when the question was precise. `more`: there are others. */
  matches: Match[];
  more: boolean;
  /** What the publishing directories say; null where they were not read. */
  sources: Sources | null;
  owner: OwnerStory | null;
  server: ServerStory | null;
  receiver: ReceiverStory | null;
  byHand: ByHandStory | null;
}

/** Throws DirpostError `filter-syntax`. */
export async function explainPerson(
  postoffice: Postoffice,
  configuration: Configuration,
  asked: string,
  { read, signal }: ExplainOptions,
): Promise<Explanation> {
  const { store } = postoffice;
  const query = parseQuery(asked, await store.read((tx) => anchorsKnown(tx, postoffice)));
  const { matches, more } = await store.read((tx) => findMatches(tx, postoffice, query));
  const explanation: Explanation = {
    asked,
    understood: query.understood,
    postoffice: postoffice.name,
    lookedIn: tablesOf(postoffice),
    matches,
    more,
    sources: null,
    owner: null,
    server: null,
    receiver: null,
    byHand: null,
  };
  const [match] = matches;
  if (matches.length > 1) return explanation;
  if (match !== undefined) {
    const receivers = await receiversOf(postoffice, configuration);
    Object.assign(explanation, await store.read((tx) => stories(tx, postoffice, configuration, receivers, match)));
  }
  const { owner } = explanation;
  const unpublished = match?.owner === postoffice.name && (owner === null || owner.removed || owner.held !== null);
  if (read || match === undefined || unpublished) {
    explanation.sources = await readSources(postoffice, configuration, query, match?.id ?? null, signal);
  }
  return explanation;
}

async function receiversOf(postoffice: Postoffice, configuration: Configuration): Promise<Receivers> {
  if (postoffice.server === null) return { names: [], records: new Map() };
  const known = await knownRequestors(postoffice.server, configuration);
  const records = await postoffice.store.read(allRequestors);
  const names = new Set([...records, ...known].map(({ name }) => name));
  return { names: [...names].sort(), records: new Map(records.map((record) => [record.name, record])) };
}

async function stories(
  tx: StoreTx,
  postoffice: Postoffice,
  configuration: Configuration,
  receivers: Receivers,
  { id, owner, kind }: Match,
): Promise<Pick<Explanation, 'owner' | 'server' | 'receiver' | 'byHand'>> {
  const own = owner === postoffice.name;
  return {
    owner: own ? await explainAtOwner(tx, postoffice, configuration, id, kind) : null,
    server: postoffice.server === null ? null : await explainAtServer(tx, postoffice.server, receivers, id),
    receiver: own ? null : await explainAtReceiver(tx, postoffice, id),
    byHand: await explainByHand(tx, postoffice, id),
  };
}
