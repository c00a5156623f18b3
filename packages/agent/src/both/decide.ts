/**
 * What is done about one attribute of one entry in the container of a directory of both ways (design section 5). Four values
 * are compared: what stands there, what was last written there, what the network says, and what was set by hand and stays.
 *
 *   here = network ─▶ agrees          here = kept ─▶ stays          here = written ─▶ unchanged: the network's comes by itself
 *   else somebody changed it by hand:
 *     network = written, proposed to owners ─▶ propose
 *     network ≠ written: both changed it     ─▶ propose where the directory wins, else …
 *     … network-wins ─▶ overwrite   directory-wins ─▶ keep   no-change ─▶ ask
 */
import type { ConflictPolicy } from '../config/both-ways.ts';

/** Texts that are equal where values are (valuesText). */
export interface Look {
  here: string;
  /** null: not known. */
  written: string | null;
  /** With own edits that its owner has not settled. */
  network: string;
  /** null: nothing that was set by hand stays. */
  kept: string | null;
}

export type Decision = 'agrees' | 'stays' | 'unchanged' | 'propose' | 'overwrite' | 'keep' | 'ask';

/** `isProposed`: changes by hand of it are proposed to the owners. */
export function decide(
  { here, written, network, kept }: Look,
  { policy, isProposed }: { policy: ConflictPolicy; isProposed: boolean },
): Decision {
  if (here === network) return 'agrees';
  if (here === kept) return 'stays';
  if (here === written) return 'unchanged';
  // Where nobody knows what was written both may have changed it.
  const hereAlone = network === written;
  if (isProposed && (hereAlone || policy === 'directory-wins')) return 'propose';
  return withoutProposal(policy);
}

export function withoutProposal(policy: ConflictPolicy): 'overwrite' | 'keep' | 'ask' {
  switch (policy) {
    case 'network-wins':
      return 'overwrite';
    case 'directory-wins':
      return 'keep';
    case 'no-change':
      return 'ask';
  }
}
