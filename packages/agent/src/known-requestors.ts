/** Which requestors a server knows at all: of their keys, or of the configuration. */
import type { PostofficeName, ServerContext } from '@dirpost/core';
import type { Configuration } from './config/load.ts';
import { loadPeers } from './peers.ts';

export interface KnownRequestor {
  name: PostofficeName;
  hasKeys: boolean;
  /** Of its newest keys; null: there are none here. */
  fingerprint: string | null;
  suspended: boolean;
}

/** Whoever has keys here or stands in the configuration, whether it was ever heard of or not. */
export async function knownRequestors(server: ServerContext, configuration: Configuration): Promise<KnownRequestor[]> {
  const peers = await loadPeers(configuration.dataFolder);
  const names = new Set([...peers.values()].filter(({ role }) => role === 'requestor').map(({ name }) => name));
  for (const name of Object.keys(configuration.requestors)) names.add(name);
  for (const { definition } of server.lists) {
    if (definition.receivers !== '*') for (const name of definition.receivers) names.add(name);
  }
  if (configuration.directories.length > 0) names.add(server.name);
  return [...names].map((name) => ({
    name,
    hasKeys: name === server.name || peers.has(name),
    fingerprint: peers.get(name)?.fingerprint ?? null,
    suspended: peers.get(name)?.suspended === true,
  }));
}
