/** `dirpost check` of who is who: entries under other keys than before, and those that a target has already. */
import { loadDirectoryState } from '../directory-state.ts';
import type { Postoffice } from '../postoffice.ts';
import { waitingMatches, waitingWords } from '../waiting-matches.ts';
import type { Finding } from './findings.ts';

/** Who could not be told for certain: by the last read, and in what is written. */
export async function associationFindings(postoffice: Postoffice): Promise<Finding[]> {
  const { store, publishing } = postoffice;
  return store.read(async (tx) => {
    const found: Finding[] = [];
    for (const { directory } of publishing) {
      const { read } = await loadDirectoryState(tx, directory.name);
      const [first] = read?.ambiguous ?? [];
      if (first === undefined) continue;
      const { came, missing, attribute } = first;
      const others = read!.ambiguousCount > 1 ? `, and ${read!.ambiguousCount - 1} more such cases` : '';
      const text = `entries have other keys than before, and nobody can tell by ${attribute} whether ${came} is ${missing}${others}`;
      const mend = 'They count as new and as removed. If the old keys can come back, let them; see also: dirpost held';
      found.push({ what: directory.name, result: 'warning', text, mend });
    }
    for (const one of await waitingMatches(tx, postoffice)) {
      for (const text of waitingWords(one)) found.push({ what: one.directory, result: 'warning', text });
    }
    return found;
  });
}
